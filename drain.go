package h1

// This file drops what is left of a body that nobody wants, so that its
// connection can be used again: reading a little costs less than connecting.

import (
	"errors"
	"io"

	"github.com/h1go/h1/internal/clock"
)

// errNotHere is what a read for waitHere ends with when it would have to wait.
var errNotHere = errors.New("h1: not here yet")

// drain reads the rest of the body and drops it, within the budgets of
// octets and time. It tells whether the body came to its end.
func (c *Conn) drain() bool {
	c.drainBy = after(clock.Now(), c.set.limits.drainTime)
	c.dropBody(waitDrain)
	if c.in.coded != nil {
		_ = c.in.coded.Close()
		c.in.coded = nil
	}
	return c.in.whole
}

// dropBody drops as much of the body as w waits for and the budget of octets
// allows, and tells whether that was all of it.
func (c *Conn) dropBody(w wait) bool {
	for left := c.set.limits.drainBytes; left >= 0 && !c.in.whole; {
		run, err := c.bodyRun(w)
		if err != nil {
			break
		}
		c.win.Advance(len(run))
		c.tookBody(len(run))
		left -= int64(len(run))
	}
	return c.in.whole
}

// drains tells whether the rest of an answer is worth reading: the connection
// persists after it, and its request is sent. Any goroutine may ask.
func (c *Conn) drains() bool {
	level, _ := c.m.closing()
	return level < levelLast && c.m.phase(clientHalf) == phaseDone
}

// quit ends the caller's use of a body whose answer is not read whole; mu is
// held and the exchange under way. What is here already is dropped at once. The
// rest is read in the background, within its budgets, when the connection
// belongs to a pool; one that is used alone has to be read by its caller.
func (b *responseBody) quit(reason CloseReason) {
	c := b.c
	b.reason = reason
	switch {
	case !c.drains() && b.reading:
		_ = c.abort(reason, nil) // the Read under way fails, and ends the exchange
	case !c.drains():
		b.drained(c, false)
	case b.reading:
		b.handing = true // the Read under way is woken, and hands the rest over
		c.abandoned.Store(true)
		c.poke()
	case c.dropBody(waitHere):
		b.drained(c, true)
	case c.in.dec.remaining() > c.set.limits.drainBytes:
		b.drained(c, false)
	case c.client.release == nil:
		b.drained(c, c.drain())
	default:
		b.c = nil
		go func() {
			whole := c.drain()
			b.mu.Lock()
			defer b.mu.Unlock()
			b.drained(c, whole)
		}()
	}
}

// takeOver is quit in the Read that was woken for it; err is what it came to,
// and n what it read.
func (b *responseBody) takeOver(n int, err error) (int, error) {
	c := b.c
	b.handing = false
	c.abandoned.Store(false)
	switch {
	case err == nil || c.drains(): // the body is as it was
		if err != io.EOF {
			c.in.err = nil
		}
		b.quit(b.reason)
	default:
		b.end(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.fate()
}

// drained ends the exchange, whose rest was read whole or is not going to be; mu
// is held.
func (b *responseBody) drained(c *Conn, whole bool) {
	b.c = nil
	if whole {
		c.endExchange(c.m.verdict())
		return
	}
	c.m.raise(levelNow, b.reason)
	c.endExchange(verdictClose)
}
