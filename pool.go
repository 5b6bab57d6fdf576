package h1

// This file keeps a Transport's connections: which are idle, which origin they
// belong to, who waits for one. It knows nothing of messages, and no goroutine
// watches: the poller tells when a server closes (evict.go), one timer gives up
// the connections that were idle for too long, and each is looked at before it
// is used again.
//
// No lock is held while a connection is closed, looked at or told of.

import (
	"container/list"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/poll"
)

// originKey names what connections are shared for.
type originKey struct {
	scheme string // "http" or "https"
	addr   string // host and port
}

// origin is what the pool has for one scheme and address.
type origin struct {
	key     originKey
	idle    []*pooled // the newest last
	open    int       // connections, and those being dialled
	waiting list.List // of *waiter, the longest waiting first
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
	trip   *trip        // the exchange under way

	until        time.Time // when to give it up; zero: never
	older, newer *pooled   // among all idle ones, in the order they became idle
}

// waiter is a request that waits because its origin has all the connections it
// may have. It gets a connection, or nil for the right to dial one.
type waiter struct {
	origin *origin
	got    chan *pooled
	elem   *list.Element // its place in line; nil when its turn has come
}

// pool is a Transport's connections.
type pool struct {
	policy      *policy
	maxIdle     int // in all
	maxIdleHost int // for one origin
	maxHost     int // idle or not, for one origin; 0: any number

	mu             sync.Mutex
	origins        map[originKey]*origin
	all            map[*pooled]struct{}
	oldest, newest *pooled // the ends of the list of idle ones
	idle           int
	closing        bool // CloseIdleConnections was called and no request came since
	timer          *time.Timer
	wake           time.Time // when the timer fires; zero: it does not
}

// take gives a connection for the origin: the one that became idle last, since
// its server is the least likely to have closed it. With a nil connection it
// gives the right to dial, which ends with opened or gaveUp. fresh asks for one that
// was not idle. When the origin has all its connections, the request waits in
// line; the error is ctx's.
func (p *pool) take(ctx context.Context, key originKey, fresh bool) (*pooled, error) {
	for {
		pc, w := p.tryTake(key, fresh)
		switch {
		case w != nil:
			return p.await(ctx, w)
		case pc == nil:
			return nil, nil
		}
		reason, err := pc.condemned(clock.Now(), p.policy)
		switch {
		case reason != CloseNone:
			pc.c.note(err)
		case fresh:
			reason = ClosePoolFull // it makes room for the fresh one
		default:
			return pc, nil
		}
		p.drop(pc, reason)
	}
}

// tryTake gives an idle connection, or the right to dial, or a place in line.
func (p *pool) tryTake(key originKey, fresh bool) (*pooled, *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = false
	o := p.at(key)
	full := p.maxHost > 0 && o.open >= p.maxHost
	switch n := len(o.idle); {
	case n > 0 && (full || !fresh):
		pc := o.idle[n-1]
		p.unlist(pc)
		return pc, nil
	case !full:
		o.open++
		return nil, nil
	}
	w := &waiter{origin: o, got: make(chan *pooled, 1)}
	w.elem = o.waiting.PushBack(w)
	return nil, w
}

// at is the origin of that key; mu is held.
func (p *pool) at(key originKey) *origin {
	o := p.origins[key]
	if o == nil {
		o = &origin{key: key}
		if p.origins == nil {
			p.origins = map[originKey]*origin{}
			p.all = map[*pooled]struct{}{}
		}
		p.origins[key] = o
	}
	return o
}

// await waits in line.
func (p *pool) await(ctx context.Context, w *waiter) (*pooled, error) {
	select {
	case pc := <-w.got:
		return pc, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	waits := w.elem != nil
	if waits {
		w.origin.waiting.Remove(w.elem)
	}
	p.mu.Unlock()
	if waits {
		return nil, ctx.Err()
	}
	// Its turn came at the same time: the next in line gets what it got.
	if pc := <-w.got; pc != nil {
		p.put(pc)
	} else {
		p.gaveUp(w.origin.key)
	}
	return nil, ctx.Err()
}

// hand serves the first in line, if anyone waits; mu is held.
func (o *origin) hand(pc *pooled) bool {
	first := o.waiting.Front()
	if first == nil {
		return false
	}
	w := o.waiting.Remove(first).(*waiter)
	w.elem = nil
	if pc != nil {
		pc.rested = false
	}
	w.got <- pc
	return true
}

// opened adds a connection that was dialled with the right to.
func (p *pool) opened(key originKey, c *Conn, raw net.Conn) *pooled {
	pc := &pooled{c: c, peeker: poll.NewPeeker(raw)}
	p.mu.Lock()
	pc.origin = p.at(key)
	p.all[pc] = struct{}{}
	p.mu.Unlock()
	pc.watchEnd(p, raw)
	return pc
}

// gaveUp returns the right to dial, unused.
func (p *pool) gaveUp(key originKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vacate(p.at(key))
}

// vacate gives the place of a connection that is no more to the first in line;
// mu is held.
func (p *pool) vacate(o *origin) {
	if o.hand(nil) {
		return
	}
	if o.open--; o.open == 0 && p.origins[o.key] == o {
		delete(p.origins, o.key)
	}
}

// put takes back a connection whose exchange is over and that persists. It
// tells whether the connection was kept, or handed to who waited for one.
func (p *pool) put(pc *pooled) bool {
	pc.until, _ = pc.c.m.idleUntil(p.policy)
	p.mu.Lock()
	if pc.origin.hand(pc) {
		p.mu.Unlock()
		return true
	}
	p.list(pc)
	var surplus *pooled
	reason := ClosePoolFull
	switch {
	case p.closing:
		surplus, reason = pc, CloseLocalAsked
	case len(pc.origin.idle) > p.maxIdleHost:
		surplus = pc.origin.idle[0]
	case p.idle > p.maxIdle:
		surplus = p.oldest
	}
	if surplus != nil {
		p.unlist(surplus)
	}
	p.wakeBy(pc.until)
	p.mu.Unlock()
	if surplus != nil {
		p.drop(surplus, reason)
	}
	if pc.end.HungUp() { // before it was idle, so that nobody was told
		p.evict(pc)
	}
	return surplus != pc
}

// drop closes a connection that is not listed as idle, or forgets one that is
// closed or handed over already.
func (p *pool) drop(pc *pooled, reason CloseReason) {
	pc.unwatchEnd(reason == CloseHijacked)
	_ = pc.c.abort(reason, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, pc)
	p.vacate(pc.origin)
}

// list makes a connection the newest idle one; mu is held.
func (p *pool) list(pc *pooled) {
	pc.origin.idle = append(pc.origin.idle, pc)
	pc.older, pc.newer = p.newest, nil
	if p.newest != nil {
		p.newest.newer = pc
	} else {
		p.oldest = pc
	}
	p.newest = pc
	p.idle++
	pc.listed = true
}

// unlist takes a connection off the idle ones; mu is held.
func (p *pool) unlist(pc *pooled) {
	o := pc.origin
	if last := len(o.idle) - 1; o.idle[last] == pc {
		o.idle[last] = nil
		o.idle = o.idle[:last]
	} else {
		i := slices.Index(o.idle, pc)
		o.idle = slices.Delete(o.idle, i, i+1)
	}
	if pc.older != nil {
		pc.older.newer = pc.newer
	} else {
		p.oldest = pc.newer
	}
	if pc.newer != nil {
		pc.newer.older = pc.older
	} else {
		p.newest = pc.older
	}
	pc.older, pc.newer = nil, nil
	p.idle--
	pc.listed, pc.rested = false, true
}

// condemned tells why an idle connection is not to be used again; CloseNone when
// it is. An idle connection is silent: the end of stream means that the server
// closed it, and an octet, a late 408 say, must not be taken for the next
// answer.
//
// Under TLS the octets may belong to TLS itself, but even so they condemn. The
// session tickets that a server sends after its handshake lie before its first
// answer and were read with that; what comes later is nearly always the alert of
// a server that closes. Reading to be sure would cost each reuse far more than
// the rare new connection does.
func (pc *pooled) condemned(now time.Time, p *policy) (CloseReason, error) {
	if level, reason := pc.c.m.closing(); level > levelKeep {
		return reason, nil
	}
	if !pc.until.IsZero() && !now.Before(pc.until) {
		return pc.c.m.whyIdle(now, p), nil
	}
	if pc.peeker == nil {
		return CloseNone, nil
	}
	switch sight, err := pc.peeker.Peek(); sight {
	case poll.Octets:
		return CloseUnasked, nil
	case poll.End:
		return ClosePeerEOF, nil
	case poll.Failure:
		return CloseReadFailed, err
	}
	return CloseNone, nil
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
	for pc := p.oldest; pc != nil; {
		newer := pc.newer
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
// next request.
func (p *pool) closeIdle() {
	var idle []*pooled
	p.mu.Lock()
	p.closing = true
	for p.oldest != nil {
		idle = append(idle, p.oldest)
		p.unlist(p.oldest)
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
