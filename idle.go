package h1

// This file is the order of idle connections: all of a Transport's by age, and
// each origin's by who is to be used next.

// ReuseOrder is which of several idle connections a request gets.
type ReuseOrder uint8

// The orders.
const (
	// NewestFirst takes the connection that became idle last: its server is the
	// least likely to have closed it, and connections that a burst has left over
	// stay idle and end. The default, as in net/http, nginx and curl.
	NewestFirst ReuseOrder = iota
	// OldestFirst takes the one that is idle for longest: all of them stay in
	// use, and load spreads over the servers behind one address.
	OldestFirst
	// LeastUsed takes the one that has carried the fewest requests: a new
	// connection, to a server just added say, catches up with the others.
	LeastUsed
)

// String gives the order's name in lower case.
func (o ReuseOrder) String() string {
	switch o {
	case OldestFirst:
		return "oldest_first"
	case LeastUsed:
		return "least_used"
	}
	return "newest_first"
}

// idleList is idle connections in an order: the first is the next to be used,
// or to be given up. Each connection may be in two lists, one of each kind.
type idleList struct {
	first, last *pooled
	n           int
	kind        listKind
}

type listKind uint8

const (
	byAge    listKind = iota // all of a pool's, those idle for longest first
	byChoice                 // one origin's, in its ReuseOrder
	listKinds
)

// links are a connection's neighbours in a list.
type links struct{ before, after *pooled }

// insert adds a connection behind another; nil is in front of all.
func (l *idleList) insert(pc, behind *pooled) {
	at := &pc.links[l.kind]
	at.before = behind
	if behind != nil {
		at.after = behind.links[l.kind].after
		behind.links[l.kind].after = pc
	} else {
		at.after, l.first = l.first, pc
	}
	if at.after != nil {
		at.after.links[l.kind].before = pc
	} else {
		l.last = pc
	}
	l.n++
}

// remove takes a connection out.
func (l *idleList) remove(pc *pooled) {
	at := &pc.links[l.kind]
	if at.before != nil {
		at.before.links[l.kind].after = at.after
	} else {
		l.first = at.after
	}
	if at.after != nil {
		at.after.links[l.kind].before = at.before
	} else {
		l.last = at.before
	}
	*at = links{}
	l.n--
}

// place adds a connection that just became idle where the order wants it. For
// LeastUsed that is nearly always the end, as those in front of it were used
// less often.
func (l *idleList) place(pc *pooled, order ReuseOrder) {
	behind := l.last
	switch order {
	case NewestFirst:
		behind = nil
	case LeastUsed:
		for n := pc.c.m.requests.Load(); behind != nil && behind.c.m.requests.Load() > n; {
			behind = behind.links[l.kind].before
		}
	}
	l.insert(pc, behind)
}

// surplus is the connection to close when there are too many: the one idle for
// longest, or of LeastUsed the one most used.
func (l *idleList) surplus(order ReuseOrder) *pooled {
	if order == OldestFirst {
		return l.first
	}
	return l.last
}
