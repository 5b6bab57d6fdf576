package h1

// This file is how the pool comes by connections: requests wait in line, and
// connections are dialled for them by goroutines of their own. What is dialled
// for a request goes to that request, unless an idle connection came first; it
// is the pool's then. So no request waits for a slow dial while there is a
// connection for it, and no dial is in vain.

import (
	"container/list"
	"context"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// waiter is who wants a connection: a request in line, or nobody, for one that
// is to be kept warm.
type waiter struct {
	origin *origin
	ctx    context.Context // whose values the dial gets
	fresh  bool            // one that was used before will not do
	warm   bool            // the connection goes to the pool

	got    chan lot
	line   *list.Element      // its place among the waiting; nil when its turn has come, or for a warm one
	turn   *list.Element      // its place among those nobody dials for; nil when somebody does
	cancel context.CancelFunc // ends the dial made for it
}

// lot is what a waiter gets.
type lot struct {
	pc  *pooled
	err error
}

// unwantedDial is how long a dial that nobody waits for any more may go on. It
// ends within that or is not worth the place it takes.
const unwantedDial = time.Second

// await waits in line.
func (p *pool) await(ctx context.Context, w *waiter) (*pooled, error) {
	select {
	case l := <-w.got:
		return l.pc, l.err
	case <-ctx.Done():
	}
	doing := "waiting for a connection"
	p.mu.Lock()
	waits := w.line != nil
	if waits {
		if w.turn == nil {
			doing = "connecting to " + w.origin.key.where()
		}
		p.leave(w)
	}
	p.mu.Unlock()
	if !waits { // its turn came at the same time
		if l := <-w.got; l.pc != nil {
			p.put(l.pc)
		}
	}
	return nil, cancelled(ctx, doing)
}

// crowded tells whether requests wait for a connection to the origin because it
// has all that it may have.
func (p *pool) crowded(key originKey) bool {
	if p.maxHost == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.origins[key]
	return o != nil && p.full(o) && o.waiting.Len() > 0
}

// leave takes a waiter off the lines; mu is held. Its dial has a moment more.
func (p *pool) leave(w *waiter) {
	w.origin.waiting.Remove(w.line)
	w.line = nil
	if w.turn != nil {
		w.origin.undialed.Remove(w.turn)
		w.turn = nil
	} else if w.cancel != nil {
		p.unwanted[w] = struct{}{}
		time.AfterFunc(unwantedDial, w.cancel)
	}
}

// hand gives a connection that is free to the first in line that takes it; mu
// is held. wanted tells that its place is wanted more than itself: by a request
// that takes none that was used before, and for which there is no room.
func (p *pool) hand(pc *pooled) (handed, wanted bool) {
	o := pc.origin
	for e := o.waiting.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		switch {
		case !w.fresh:
			p.leave(w)
			pc.rested = false
			w.got <- lot{pc: pc}
			return true, false
		case w.turn != nil && p.full(o):
			return false, true
		}
	}
	return false, false
}

// dialMore begins as many dials as are wanted and allowed, for those that wait
// before those that do not; mu is held.
func (p *pool) dialMore(o *origin) {
	for !p.full(o) && (p.maxDials == 0 || o.dialing < p.maxDials) {
		var w *waiter
		if e := o.undialed.Front(); e != nil {
			w = o.undialed.Remove(e).(*waiter)
		} else if e := o.warm.Front(); e != nil {
			w = o.warm.Remove(e).(*waiter)
		} else {
			return
		}
		w.turn = nil
		p.occupy(o)
		o.dialing++
		o.count.dials++
		// The request's end is not the dial's: another may have use for it.
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.WithoutCancel(w.ctx))
		go p.dial(ctx, w)
	}
}

// dial makes a connection for a waiter.
func (p *pool) dial(ctx context.Context, w *waiter) {
	pc, err := p.connect(ctx, w.origin.key)
	w.cancel()
	o := w.origin
	p.mu.Lock()
	o.dialing--
	if err == nil {
		pc.origin, pc.warm = o, w.warm
		p.all[pc] = struct{}{}
	} else {
		o.count.failed++
		p.warmed(o, w.warm)
	}
	w.cancel = nil
	delete(p.unwanted, w)
	if w.line != nil {
		p.leave(w)
		w.got <- lot{pc, err}
		pc = nil
	}
	if err != nil {
		p.vacate(o)
	} else {
		p.dialMore(o) // one dial less is under way
	}
	p.mu.Unlock()
	if pc != nil {
		p.put(pc)
	}
	if w.warm {
		w.got <- lot{err: err}
	}
}

// warmed counts, if it is so, a connection that was to be kept warm among those on
// their way no more; mu is held.
func (p *pool) warmed(o *origin, warm bool) {
	if warm {
		o.warming--
		p.warming--
	}
}

// warmUp makes the origin have n idle connections, as far as its limits allow;
// mu is held. It returns those whose connections are on their way.
func (p *pool) warmUp(ctx context.Context, o *origin, n int) []*waiter {
	missing := min(min(n, p.maxIdleHost)-o.idle.n-o.warming, p.maxIdle-p.idle.n-p.warming)
	if p.maxHost > 0 {
		missing = min(missing, p.maxHost-o.open-o.warm.Len())
	}
	var all []*waiter
	for range missing {
		w := &waiter{origin: o, ctx: ctx, warm: true, got: make(chan lot, 1)}
		w.turn = o.warm.PushBack(w)
		o.warming++
		p.warming++
		all = append(all, w)
	}
	p.dialMore(o)
	return all
}

// topUp keeps an origin that is in use at its least number of idle connections;
// mu is held. It is out of use when nobody asked for as long as a connection may
// be idle. A dial that fails is not repeated before the next request, and neither
// is one whose connection came to nothing.
func (p *pool) topUp(o *origin) {
	if p.minIdleHost == 0 || p.closing || p.policy.idle > 0 && clock.Now().Sub(o.asked) >= p.policy.idle {
		return
	}
	for _, w := range p.warmUp(context.Background(), o, p.minIdleHost) {
		p.unwanted[w] = struct{}{}
	}
}

// prewarm is warmUp and the wait for it.
func (p *pool) prewarm(ctx context.Context, key originKey, n int) error {
	if n <= 0 {
		return nil
	}
	p.mu.Lock()
	p.closing = false
	o := p.at(key)
	if p.minIdleHost > 0 {
		o.asked = clock.Now()
	}
	coming := p.warmUp(ctx, o, n)
	p.mu.Unlock()
	for i, w := range coming {
		select {
		case l := <-w.got:
			if l.err == nil {
				continue
			}
			p.abandon(coming[i:])
			return l.err
		case <-ctx.Done():
			p.abandon(coming[i:])
			return cancelled(ctx, "waiting for a connection")
		}
	}
	return nil
}

// abandon is when nobody waits for these any more: they go on, until all that is
// idle is closed.
func (p *pool) abandon(coming []*waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range coming {
		if w.turn != nil || w.cancel != nil {
			p.unwanted[w] = struct{}{}
		}
	}
}

// forget takes back what nobody waits for: a dial under way is ended, one that was
// to come does not come; mu is held.
func (p *pool) forget(w *waiter) {
	if w.turn == nil {
		w.cancel()
		return
	}
	w.origin.warm.Remove(w.turn)
	w.turn = nil
	p.warmed(w.origin, true)
	delete(p.unwanted, w)
}
