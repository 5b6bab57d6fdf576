package h1

// This file keeps answers from waiting for a slow handler. Answers to pipelined
// requests are held back to leave in one write; a handler that takes its time
// must not make the answers before its own wait for more than a millisecond.
//
// One goroutine looks after all connections that run a handler while output is
// pending, and ends when there are none: a timer for each would cost more than
// the write that batching saves.

import (
	"sync"
	"time"
)

// lateTick is how often pending output is looked at. What is found pending
// twice without a write in between is sent, so nothing waits for longer than
// two ticks.
const lateTick = 500 * time.Microsecond

// lateFlusher sends what slow handlers hold up.
type lateFlusher struct {
	mu    sync.Mutex
	conns []lateConn
	runs  bool
}

// lateConn is a connection with pending output, and how many writes it had seen
// when that was found.
type lateConn struct {
	c      *Conn
	writes uint32
	seen   bool
}

var late lateFlusher

// handlerNext notes that a handler is about to run; answers may be pending.
func (c *Conn) handlerNext() {
	if !c.batched || c.lateKnown.Swap(true) {
		return
	}
	late.mu.Lock()
	defer late.mu.Unlock()
	late.conns = append(late.conns, lateConn{c: c})
	if !late.runs {
		late.runs = true
		go late.run()
	}
}

func (l *lateFlusher) run() {
	tick := time.NewTicker(lateTick)
	defer tick.Stop()
	for range tick.C {
		if l.look() {
			return
		}
	}
}

// look goes over the connections once; true when none are left.
func (l *lateFlusher) look() (done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.conns[:0]
	for _, lc := range l.conns {
		if lc.look() {
			kept = append(kept, lc)
		}
	}
	clear(l.conns[len(kept):])
	l.conns = kept
	l.runs = len(kept) > 0
	return !l.runs
}

// look tells whether the connection has to be looked at again.
func (lc *lateConn) look() bool {
	c := lc.c
	if !c.wmu.TryLock() {
		return true // it is being written to
	}
	pending, writes := len(c.out.B) > 0, c.writes
	c.wmu.Unlock()
	switch {
	case !pending:
		c.lateKnown.Store(false)
		return false
	case lc.seen && lc.writes == writes:
		c.lateKnown.Store(false)
		go func() { _ = c.flush() }() // it may block on a client that does not read
		return false
	}
	lc.seen, lc.writes = true, writes
	return true
}
