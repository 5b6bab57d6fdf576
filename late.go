package h1

// This file keeps answers from waiting for a slow handler. Answers to pipelined
// requests are held back to leave in one write; a handler that takes its time
// must not make the answers before its own wait for more than a millisecond.

import (
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// lateAfter is how long an answer may be held back for others to join it.
const lateAfter = time.Millisecond

// lateness is a connection's watch over its pending answers. It is set once
// for each burst of pipelined requests, not for each request.
type lateness struct {
	timer *time.Timer
	armed bool
	fired atomic.Bool // the burst began more than a millisecond ago
}

// handlerNext notes that a handler is about to run while answers may be
// pending.
func (c *Conn) handlerNext() {
	if !c.batched {
		return
	}
	l := c.late
	if l == nil {
		c.late = newLateness(c)
		return
	}
	if l.fired.Load() {
		l.fired.Store(false)
		l.armed, c.now = false, clock.Now()
		c.x.at = c.now
	}
	if !l.armed {
		l.timer.Reset(lateAfter)
		l.armed = true
	}
}

// newLateness begins to watch: when the time is over, what a slow handler holds
// up is sent.
func newLateness(c *Conn) *lateness {
	l := &lateness{armed: true}
	l.timer = time.AfterFunc(lateAfter, func() {
		l.fired.Store(true)
		_ = c.flush() // of a connection that waits by now: nothing
	})
	return l
}

// burstOver notes that nothing is pending any more.
func (c *Conn) burstOver() {
	if c.late != nil && c.late.armed {
		c.late.timer.Stop()
		c.late.armed = false
		c.late.fired.Store(false)
	}
}

// inBurst tells whether less than a millisecond has passed since c.now, in a
// burst of pipelined requests.
func (c *Conn) inBurst() bool {
	return c.batched && c.late != nil && c.late.armed && !c.late.fired.Load()
}

// date is the time for an answer's Date field.
func (x *Exchange) date() time.Time {
	if x.ending || x.c.inBurst() {
		return x.at
	}
	return clock.Now()
}
