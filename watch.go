package h1

// This file is how a handler learns that its client has gone, on a connection
// that is not at the poller: when somebody asks the request's context for
// Done, and the request is read whole, one octet is read in the background. At
// the poller (park.go) the system tells, and none of this is needed.

import (
	"sync"
	"sync/atomic"
)

// peerWatch is one background read.
type peerWatch struct {
	mu    sync.Mutex
	ctx   *requestContext // whom to tell; nil while nobody asked
	over  chan struct{}   // closed when the read under way has ended; nil when there is none
	off   atomic.Bool     // it is to end
	octet [1]byte
	n     int
}

// watchedBy lets ctx, which is that of the handler about to work, learn when the
// peer has gone, be it already.
func (c *Conn) watchedBy(ctx *requestContext) {
	c.watcher.Store(ctx)
	if level, _ := c.m.closing(); level == levelNow || c.pk.HungUp() {
		ctx.hangup()
	}
}

// peerGone ends the context of the handler at work: its answer can reach nobody.
func (c *Conn) peerGone() {
	if ctx := c.watcher.Load(); ctx != nil {
		go ctx.hangup() // which calls what the application gave to context.AfterFunc
	}
}

// watchFor begins to watch for the peer's end on behalf of ctx, now or when the
// request's body has been read.
func (c *Conn) watchFor(ctx *requestContext) {
	if c.pk.on.Load() {
		return
	}
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	c.watch.ctx = ctx
	if c.bodyOver.Load() {
		c.startWatch()
	}
}

// startWatch begins the background read; watch.mu is held.
func (c *Conn) startWatch() {
	w := &c.watch
	if w.over != nil || w.ctx == nil || w.n > 0 || c.ended.Load() {
		return
	}
	w.over = make(chan struct{})
	c.disarmRead()
	go c.watchPeer(w.ctx, w.over)
}

// watchPeer waits for an octet, which is the next request's first, or for the
// end of the stream. Whoever sets a deadline meanwhile, as a handler may, does not
// end that.
func (c *Conn) watchPeer(ctx *requestContext, over chan struct{}) {
	w := &c.watch
	n, err := c.nc.Read(w.octet[:])
	for n == 0 && isTimeout(err) && !w.off.Load() {
		if c.disarmRead(); w.off.Load() { // what stopWatch did may have been undone
			break
		}
		n, err = c.nc.Read(w.octet[:])
	}
	w.n = n     // read by whoever waited for over
	close(over) // first: who waits for it may hold the context's lock
	if n == 0 && err != nil && !isTimeout(err) {
		ctx.hangup()
	}
}

// bodyIsOver lets a watch begin that waited for the body's end.
func (c *Conn) bodyIsOver() {
	c.bodyOver.Store(true)
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	c.startWatch()
}

// stopWatch ends the background read before the connection is read again. An
// octet it got goes where it belongs.
func (c *Conn) stopWatch() {
	if c.pk.on.Load() {
		return
	}
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	w := &c.watch
	w.ctx = nil
	if w.over == nil {
		return
	}
	w.off.Store(true)
	c.endRead()
	<-w.over
	w.over = nil
	w.off.Store(false)
	c.readArmed = longAgo
	if w.n > 0 {
		c.bytesIn.Add(int64(w.n))
		c.win.Room(1)[0] = w.octet[0]
		c.win.Filled(1)
		w.n = 0
	}
}
