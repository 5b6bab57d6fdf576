package h1

// This file keeps a Transport's connections: which are idle, which origin they
// belong to. It knows nothing of messages, and no goroutine watches: the poller
// tells when a server closes (evict.go), one timer gives up the connections
// that were idle for too long, and each is looked at before it is used again.
// Who waits for a connection, and who dials one, is in dials.go.
//
// No lock is held while a connection is closed, looked at or told of.

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/poll"
)

// originKey names what connections are shared for.
type originKey struct {
	proxy  string // the URL of the proxy that leads there; empty: none
	scheme string // "http" or "https"
	addr   string // host and port; empty: whatever the proxy is asked for
}

// origin is what the pool has for one scheme and address, and what it
// knows of it. It outlives its connections (see pool.vacant).
type origin struct {
	key     originKey
	idle    idleList
	open    int // connections, and those being dialled
	dialing int

	waiting  list.List // of *waiter, the longest waiting first
	undialed list.List // of those, the ones that nobody dials for
	warm     list.List // of *waiter: connections wanted for nobody yet
	warming  int       // of these, the ones whose connections are not there

	explorer *pooled       // finds out for others whether connections may be idle for so long
	limit    idleLimit     // how long its server keeps connections idle, as far as that was learned
	asked    time.Time     // when a request last asked; only kept where idle ones are a must
	vacant   *list.Element // its place among those without connections; nil while it has some
	count    poolCounts
}

// pooled is a connection in a pool. It belongs to whoever took it, and to the
// pool while it is idle.
type pooled struct {
	c      *Conn
	origin *origin
	peeker *poll.Peeker // nil where nobody can look
	end    endWatch     // tells of the server's end while it is idle
	listed bool         // it is among the idle ones
	rested bool         // who took it last found it idle
	again  bool         // it has been idle, or another request's
	warm   bool         // it was dialled to be kept warm, and is new
	trip   *trip        // the exchange under way
	pipe   *pipe        // those under way where requests share it; nil: they do not

	taken time.Time     // when a request took it last
	age   time.Duration // how long it was idle when it was last looked at
	first bool          // no request was answered at such an age so far, and no limit is known
	late  bool          // that is longer than its server is thought to keep it
	wary  bool          // its server may be closing it just now
	fence time.Duration // the age from which that is so, if age is before it; 0: never
	rtt   time.Duration // of the path, when it was made; 0: unknown

	until time.Time        // when to give it up; zero: never
	links [listKinds]links // its neighbours among the idle ones
}

// pool is a Transport's connections.
type pool struct {
	policy      *policy
	order       ReuseOrder
	maxIdle     int // in all
	maxIdleHost int // for one origin
	minIdleHost int // for one origin in use
	maxHost     int // idle or not, for one origin; 0: any number
	maxDials    int // under way, for one origin; 0: any number
	connect     func(context.Context, originKey) (*pooled, error)
	ended       func(originKey, *Conn) // told of each connection's end; may be nil

	mu       sync.Mutex
	origins  map[originKey]*origin
	recent   *origin // the one of them that was asked for last
	all      map[*pooled]struct{}
	idle     idleList             // those idle for longest first
	unwanted map[*waiter]struct{} // dials that nobody waits for, under way or to come
	warming  int                  // connections wanted for nobody yet that are not there
	vacant   list.List            // of *origin without connections, those for longest first
	gone     poolCounts           // of origins that are forgotten
	closing  bool                 // CloseIdleConnections was called and no request came since
	timer    *time.Timer
	wake     time.Time // when the timer fires; zero: it does not

	armTimer *time.Timer
	arming   bool // it is set
}

// maxVacant is how many origins are remembered that have no connection. It
// bounds what a program that visits a million hosts keeps of them.
const maxVacant = 1024

// take gives a connection for the origin: an idle one, or the first to come of
// the one that is dialled for the request and of those that become idle
// meanwhile. fresh asks for one that has not been used; twice tells that the
// request may be sent twice. The error is the dial's, or that of a context that
// ended.
func (p *pool) take(ctx context.Context, key originKey, fresh, twice bool) (*pooled, error) {
	for {
		now := clock.Now()
		pc, w := p.tryTake(ctx, key, now, fresh, twice)
		if w != nil {
			var err error
			if pc, err = p.await(ctx, w); err != nil {
				return nil, err
			}
			now = clock.Now()
			pc.handedOn(now)
		}
		pc.taken = now
		if !pc.again {
			return pc, nil
		}
		pc.disarm()
		reason, err := pc.condemned(now, p.policy)
		switch {
		case reason != CloseNone:
			pc.c.note(err)
		case fresh:
			reason = ClosePoolFull // it makes room for the fresh one
		default:
			return pc, nil
		}
		p.drop(pc, reason)
		p.explored(pc)
	}
}

// tryTake gives an idle connection, or a place in line.
func (p *pool) tryTake(ctx context.Context, key originKey, now time.Time, fresh, twice bool) (*pooled, *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = false
	o := p.at(key)
	if p.minIdleHost > 0 {
		o.asked = now
		defer p.topUp(o)
	}
	if !fresh || p.full(o) {
		if pc := p.choose(o, now, twice); pc != nil {
			p.unlist(pc)
			return pc, nil
		}
	}
	w := &waiter{origin: o, ctx: ctx, fresh: fresh, got: make(chan lot, 1)}
	w.line, w.turn = o.waiting.PushBack(w), o.undialed.PushBack(w)
	p.dialMore(o)
	return nil, w
}

// full tells whether the origin has all the connections it may have.
func (p *pool) full(o *origin) bool { return p.maxHost > 0 && o.open >= p.maxHost }

// at is the origin of that key; mu is held.
func (p *pool) at(key originKey) *origin {
	if p.recent != nil && p.recent.key == key {
		return p.recent
	}
	o := p.origins[key]
	if o == nil {
		o = &origin{key: key, idle: idleList{kind: byChoice}}
		if p.origins == nil {
			p.origins = map[originKey]*origin{}
			p.all = map[*pooled]struct{}{}
			p.unwanted = map[*waiter]struct{}{}
		}
		p.origins[key] = o
	}
	p.recent = o
	return o
}

// vacate gives the place of a connection that is no more to the next that
// wants one; mu is held.
func (p *pool) vacate(o *origin) {
	o.open--
	p.dialMore(o)
	if o.open > 0 || o.vacant != nil {
		return
	}
	o.vacant = p.vacant.PushBack(o)
	if p.vacant.Len() > maxVacant {
		oldest := p.vacant.Remove(p.vacant.Front()).(*origin)
		delete(p.origins, oldest.key)
		if p.recent == oldest {
			p.recent = nil
		}
		p.gone.add(&oldest.count)
	}
}

// occupy takes a place for a connection; mu is held.
func (p *pool) occupy(o *origin) {
	o.open++
	if o.vacant != nil {
		p.vacant.Remove(o.vacant)
		o.vacant = nil
	}
}

// put takes back a connection whose exchange is over and that persists, or a new
// one that nobody waits for. It tells whether the connection was kept, or handed
// to who waited for one.
func (p *pool) put(pc *pooled) bool {
	pc.until, _ = pc.c.m.idleUntil(p.policy, nil)
	p.mu.Lock()
	pc.again = true
	p.warmed(pc.origin, pc.warm)
	pc.warm = false
	handed, wanted := p.hand(pc)
	var surplus *pooled
	reason := ClosePoolFull
	switch {
	case handed:
	case wanted:
		surplus = pc
	default:
		surplus, reason = p.keep(pc)
	}
	p.mu.Unlock()
	if surplus != nil {
		p.drop(surplus, reason)
	}
	if !handed && pc.end.HungUp() { // before it was idle, so that nobody was told
		p.evict(pc)
	}
	return surplus != pc
}

// keep makes a connection an idle one, and tells which one has to go for it; mu
// is held.
func (p *pool) keep(pc *pooled) (surplus *pooled, reason CloseReason) {
	p.list(pc)
	reason = ClosePoolFull
	switch o := pc.origin; {
	case p.closing:
		surplus, reason = pc, CloseLocalAsked
	case o.idle.n > p.maxIdleHost:
		surplus = o.idle.surplus(p.order)
	case p.idle.n > p.maxIdle:
		surplus = p.idle.first
	}
	if surplus != nil {
		p.unlist(surplus)
	}
	p.wakeBy(pc.until)
	return surplus, reason
}

// drop closes a connection that is not listed as idle, or forgets one that is
// closed or handed over already.
func (p *pool) drop(pc *pooled, reason CloseReason) {
	pc.unwatchEnd(reason == CloseHijacked)
	p.learnEnd(pc, reason)
	_ = pc.c.abort(reason, nil)
	p.mu.Lock()
	_, known := p.all[pc]
	if known {
		delete(p.all, pc)
		pc.origin.count.carried(pc.c)
		pc.origin.count.closed[pc.c.Reason()]++
		p.vacate(pc.origin)
		if !pc.cameToNothing() {
			p.topUp(pc.origin)
		}
	}
	p.mu.Unlock()
	if known && p.ended != nil {
		p.ended(pc.origin.key, pc.c)
	}
}

// fleeting is how soon a connection ends that comes to nothing: its server takes
// all that come, and has room for none. Another would fare no better.
const fleeting = time.Second

// cameToNothing tells whether a connection ended soon, before it had a request.
func (pc *pooled) cameToNothing() bool {
	return pc.c.m.requests.Load() == 0 && pc.c.age(clock.Now()) < fleeting
}

// list makes a connection an idle one; mu is held.
func (p *pool) list(pc *pooled) {
	p.idle.insert(pc, p.idle.last)
	pc.origin.idle.place(pc, p.order)
	pc.listed = true
	p.armSoon(pc)
}

// unlist takes a connection off the idle ones; mu is held.
func (p *pool) unlist(pc *pooled) {
	p.idle.remove(pc)
	pc.origin.idle.remove(pc)
	pc.listed, pc.rested = false, true
}

// condemned tells why an idle connection is not to be used again; CloseNone when
// it is.
func (pc *pooled) condemned(now time.Time, p *policy) (CloseReason, error) {
	if level, reason := pc.c.m.closing(); level > levelKeep {
		return reason, nil
	}
	if !pc.until.IsZero() && !now.Before(pc.until) {
		return pc.c.m.whyIdle(now, p), nil
	}
	reason, err := pc.look()
	if reason == CloseNone && (pc.wary || pc.older()) {
		reason = CloseLearned
	}
	return reason, err
}

// reapPause is the least time between two looks at all idle connections. One
// may be kept so much longer than it should; it is not used in that time.
const reapPause = 10 * time.Millisecond

// wakeBy makes the timer fire at that time, or before; mu is held.
func (p *pool) wakeBy(at time.Time) {
	if at.IsZero() || !p.wake.IsZero() && !at.Before(p.wake) {
		return
	}
	p.wake = at
	wait := at.Sub(clock.Now())
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.reap)
	} else {
		p.timer.Reset(wait)
	}
}

// reap closes the connections whose time is over.
func (p *pool) reap() {
	now := clock.Now()
	var over []*pooled
	var next time.Time
	p.mu.Lock()
	for pc := p.idle.first; pc != nil; {
		newer := pc.links[byAge].after
		if !pc.until.IsZero() && !now.Before(pc.until) {
			p.unlist(pc)
			over = append(over, pc)
		} else {
			next = earlier(next, pc.until)
		}
		pc = newer
	}
	p.wake = time.Time{}
	if soonest := now.Add(reapPause); !next.IsZero() && next.Before(soonest) {
		next = soonest
	}
	p.wakeBy(next)
	p.mu.Unlock()
	for _, pc := range over {
		p.drop(pc, pc.c.m.whyIdle(now, p.policy))
	}
}

// closeIdle closes all that are idle, and those that become idle before the
// next request. Dials that nobody waits for end too.
func (p *pool) closeIdle() {
	var idle []*pooled
	p.mu.Lock()
	p.closing = true
	for p.idle.first != nil {
		idle = append(idle, p.idle.first)
		p.unlist(p.idle.first)
	}
	for w := range p.unwanted {
		p.forget(w)
	}
	if p.timer != nil {
		p.timer.Stop()
		p.wake = time.Time{}
	}
	p.mu.Unlock()
	for _, pc := range idle {
		p.drop(pc, CloseLocalAsked)
	}
}

// conns are the connections that are open now.
func (p *pool) conns() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := make([]*Conn, 0, len(p.all))
	for pc := range p.all {
		conns = append(conns, pc.c)
	}
	return conns
}

// newPooled makes a connection ready for the pool; raw is the one with a
// descriptor, where there is one to be had.
func (p *pool) newPooled(c *Conn, raw net.Conn) *pooled {
	pc := &pooled{c: c, peeker: poll.NewPeeker(raw), rtt: roundTripTime(raw)}
	pc.watchEnd(p, raw)
	return pc
}
