package h1

// This file learns at which idle age an origin's server closes connections,
// where the server does not say so itself. It is a rule: ages go in, and how
// near an age is to the limit comes out.
//
// What is dangerous is a stretch of time and not all that follows it: a request
// that is sent just before the server closes is lost, while a connection that is
// still open well past the limit shows that this is not its server's limit. So
// connections near the limit are left alone, not closed. Either their end comes
// and confirms the limit, or they outlive it and refute it. Nothing has to be
// tried at a request's risk to find out that a server has changed.
//
// Until a limit is known some request has to be the first at each age. One is
// enough, so that a burst of them is not lost together.

import "time"

// idleLimit is what was learned of one origin. The zero value knows nothing.
type idleLimit struct {
	age     time.Duration // the least idle age at which the server closed; 0: not known
	later   time.Duration // the least age of those that it closed past that; 0: none since age was confirmed
	safe    time.Duration // while age is not known: the greatest idle age at which a request was answered
	doubts  int           // how often in a row connections outlived age
	doubted time.Time     // when the last one did
}

// doubtful is how often connections have to outlive a limit, with none in
// between that confirms it, before it is given up.
const doubtful = 3

// standing is where an idle age lies.
type standing uint8

const (
	beforeLimit standing = iota // far enough before it, or there is none
	nearLimit                   // the server may be closing just now
	beyondLimit                 // the server should have closed: it may be late, on a machine that is busy, or wait longer now
	pastLimit                   // no server is so late
)

// margin is how far from the limit a request is safe. A request that is sent at
// some age arrives a round trip older, since the server's clock started half a
// trip before ours, and needs half a trip to arrive. The variance of a path is
// of the order of its round trip, so that is taken twice. A sixteenth is for
// timers that are rough in proportion, 2 ms for a busy machine.
func (l *idleLimit) margin(rtt time.Duration) time.Duration {
	return l.age/16 + 2*time.Millisecond + 2*rtt
}

// fence is the age at which the danger begins; 0: never, or from the start.
func (l *idleLimit) fence(rtt time.Duration) time.Duration {
	return max(l.age-l.margin(rtt), 0)
}

// stands tells where an idle age lies, for a path with that round-trip time.
func (l *idleLimit) stands(age, rtt time.Duration) standing {
	switch margin := l.margin(rtt); {
	case l.age == 0 || age < l.age-margin:
		return beforeLimit
	case age <= l.age+margin:
		return nearLimit
	case age <= 2*l.age+margin:
		return beyondLimit
	}
	return pastLimit
}

// closed learns that the server closed a connection that was idle for so long.
// The least age counts: what is measured is the server's limit or, on a machine
// that is busy, a little more.
func (l *idleLimit) closed(age, rtt time.Duration, now time.Time) {
	switch age = max(age, 1); {
	case l.age == 0 || age < l.age:
		*l = idleLimit{age: age}
	case l.stands(age, rtt) == nearLimit:
		l.later, l.doubts = 0, 0
	default:
		if l.later == 0 || age < l.later {
			l.later = age
		}
		l.doubt(now)
	}
}

// outlived learns that a request was answered on a connection that had been
// idle for so long.
func (l *idleLimit) outlived(age, rtt time.Duration, now time.Time) {
	switch {
	case l.age == 0:
		l.safe = max(l.safe, age)
	case l.stands(age, rtt) >= beyondLimit:
		l.doubt(now)
	}
}

// leastLimit is shorter than servers keep idle connections that keep any: what is
// lost earlier was not lost to idleness.
const leastLimit = 50 * time.Millisecond

// unexplored tells whether no request was answered at such an idle age so far,
// while the limit is not known.
func (l *idleLimit) unexplored(age time.Duration) bool {
	return l.age == 0 && age > max(leastLimit, l.safe)
}

// doubt counts against the limit, once in as much time as the limit is: a
// machine that stands still for a moment makes many connections late at once.
// When the limit is given up, what was seen past it takes its place, if anything
// was.
func (l *idleLimit) doubt(now time.Time) {
	if l.doubts > 0 && now.Sub(l.doubted) < l.age {
		return
	}
	l.doubted = now
	if l.doubts++; l.doubts >= doubtful {
		*l = idleLimit{age: l.later}
	}
}
