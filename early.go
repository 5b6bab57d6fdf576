package h1

// This file is the ResponseWriter of a handler that began before its turn: what
// it does is noted, and done again on the exchange when the turn comes. Who
// begins handlers early is in parallel.go.

import (
	"bytes"
	"sync"

	"github.com/h1go/h1/internal/fault"
)

// early is what a handler did before its turn. Its fields are guarded by the
// writer's mu.
type early struct {
	look *lookahead
	came bool       // the turn
	lost error      // it never will
	wait *sync.Cond // for either
	acts []func()   // what the handler did, in order
	held int64      // octets of its answer among that
}

// waits tells whether the turn has not come; of a nil early it has.
func (e *early) waits() bool { return e != nil && !e.came }

// later notes what is to be done when the turn comes.
func (e *early) later(act func()) { e.acts = append(e.acts, act) }

// keep holds octets of the answer's body until the turn. When too much is held
// already it waits instead; false means that the turn has come.
func (w *responseWriter) keep(p []byte) (bool, error) {
	e := w.early
	if !e.look.hold(int64(len(p))) {
		return false, w.awaitTurn()
	}
	e.held += int64(len(p))
	body := bytes.Clone(p)
	e.later(func() { _, _ = w.x.Write(body) })
	return true, nil
}

// awaitTurn waits until the handler writes to its connection itself; mu is
// held, and free while it waits.
func (w *responseWriter) awaitTurn() error {
	for w.early.waits() && w.early.lost == nil {
		w.early.wait.Wait()
	}
	return w.early.lost
}

// takeTurn gives the writer its exchange, and does on it what was noted.
func (w *responseWriter) takeTurn(x *Exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.early
	w.x, e.came = x, true
	for _, act := range e.acts {
		act()
	}
	e.look.hold(-e.held)
	e.acts, e.held = nil, 0
	e.wait.Broadcast()
}

// lose tells a handler that its turn will not come.
func (w *responseWriter) lose() {
	w.mu.Lock()
	w.early.lost = fault.New(fault.Closed, fault.Local, "answering a pipelined request")
	w.early.wait.Broadcast()
	w.mu.Unlock()
}

// newEarly makes the writer and the request of a handler that begins before its
// turn; false when the request's target is no URL.
func (l *lookahead) newEarly(h *head, octets []byte) (*responseWriter, bool) {
	w := &responseWriter{ss: l.ss, early: &early{look: l}}
	w.early.wait = sync.NewCond(&w.mu)
	w.ctx.parent, w.ctx.conn = &l.gone, l.ss.c
	return w, w.newRequest(h, octets) == nil
}
