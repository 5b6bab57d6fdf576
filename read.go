package h1

// This file holds the only blocking read of a connection (rawRead) and the only
// read deadlines (armRead): what a read waits for, until when, and what it means
// when the wait is over.

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/poll"
)

// wait says what a read waits for; it decides the deadline and what passing
// it means.
type wait uint8

const (
	waitIdle   wait = iota // the next request's first octet
	waitAhead              // what follows a request whose handler works
	waitHead               // the rest of a head
	waitAnswer             // the first octet of an answer
	waitBody               // more of a body
	waitDrain              // more of a body that nobody wants
	waitHere               // nothing: what was read already has to do
)

// doing is how messages name each wait.
func (c *Conn) doing(w wait) string {
	request := c.role == ServerRole
	switch w {
	case waitIdle, waitAhead:
		return "waiting for a request"
	case waitAnswer:
		return "waiting for the response"
	case waitHead:
		if request {
			return "reading the request head"
		}
		return "reading the response head"
	}
	if request {
		return "reading the request body"
	}
	return "reading the response body"
}

// rawRead reads at least one octet into p, or fails. It is the only blocking
// read: what is to be sent goes out first, since the peer may wait for it.
// The error is io.EOF, as the peer's FIN is for the caller to judge, or an
// *Error.
func (c *Conn) rawRead(p []byte, w wait) (int, error) {
	if !c.endless(w) {
		c.now = clock.Now()
	}
	if err := c.flushBeforeRead(); err != nil {
		return 0, err
	}
	if w == waitIdle {
		return c.idleRead(p)
	}
	since, wire := c.now, int64(0)
	if w == waitBody {
		wire = c.wireOctets()
	}
	for {
		by := c.readDeadline(w)
		c.armRead(by)
		switch { // what others changed before it was armed
		case c.interrupted(w):
			return 0, c.waitOver(w)
		case !c.readDeadline(w).Equal(by):
			continue
		}
		n, err := c.readOnce(p)
		if n > 0 {
			if w == waitBody {
				c.came(c.now.Sub(since), max(int64(n), c.wireOctets()-wire))
			}
			return n, nil
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return 0, io.EOF
		case !isTimeout(err):
			return 0, c.readFailed(w, err)
		case by.IsZero() || c.now.Before(by): // fired early: a lazy deadline or a poke; the wait's own limit stays
			c.now, c.readArmed = since, since
		case w == waitBody && c.wireOctets() > wire: // a part of a record
			c.came(c.now.Sub(since), c.wireOctets()-wire)
			since, wire, c.readArmed = c.now, c.wireOctets(), c.now
		default:
			c.readArmed = c.now
			return 0, c.waitOver(w)
		}
	}
}

// idleRead is rawRead between two messages. When the connection is to be closed,
// it is read once more: octets may have come that nobody has noticed yet.
func (c *Conn) idleRead(p []byte) (int, error) {
	for {
		by := c.readDeadline(waitIdle)
		last := c.over(waitIdle, by)
		if last {
			by = c.now.Add(lastLook)
		}
		c.armRead(by)
		switch { // what others changed before it was armed
		case c.interrupted(waitHead):
			return 0, c.waitOver(waitIdle)
		case !last && (c.interrupted(waitIdle) || !c.readDeadline(waitIdle).Equal(by)):
			continue
		}
		n, err := c.readOnce(p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
		case errors.Is(err, io.EOF):
			return 0, io.EOF
		case !isTimeout(err):
			return 0, c.readFailed(waitIdle, err)
		case last && !c.now.Before(by): // else it was called off, and has seen nothing
			return 0, c.waitOver(waitIdle)
		}
		c.readArmed = c.now // a lazy deadline, a poke, or the wait is over: looked at anew
	}
}

// lastLook is how long a connection that blocks is read once more before it is
// closed for being idle. A request that has arrived is answered; without the
// look it would be cut whenever the deadline is noticed before the octets are.
const lastLook = time.Millisecond

// readOnce is the read itself; c.now is when it returned.
func (c *Conn) readOnce(p []byte) (int, error) {
	if !c.pk.tls { // under TLS the records' source does, when it reads
		c.pk.Clear()
	}
	n, err := c.octets(p)
	c.now = clock.Now()
	// A read that was called off says nothing: octets may have come before it began.
	c.pk.drained = n > 0 && n < len(p) && (!c.pk.tls || records(c.nc).empty())
	if n > 0 {
		c.bytesIn.Add(int64(n))
	}
	return n, err
}

// octets reads from the connection, by the way that costs least.
func (c *Conn) octets(p []byte) (int, error) {
	if c.pk.rc == nil || c.pk.tls {
		return c.nc.Read(p)
	}
	return poll.Read(c.nc, c.pk.rc, p)
}

// fill reads what there is into the window.
func (c *Conn) fill(w wait) error {
	n, err := c.rawRead(c.win.Room(minRoom), w)
	c.win.Filled(n)
	return err
}

// minRoom is the least space worth a read: below it the window is moved or
// grown first.
const minRoom = 512

// readDeadline is when waiting for w ends; zero is never.
func (c *Conn) readDeadline(w wait) time.Time {
	var by time.Time
	switch w {
	case waitAhead:
		return time.Time{} // the handler may take its time
	case waitIdle:
		by = c.idleDeadline()
	case waitHead:
		by = after(c.began, c.set.headTime)
	case waitAnswer:
		by = after(c.began, c.set.headTime)
	case waitBody:
		by = after(c.now, c.reads.left(c.readPacing()))
	case waitDrain:
		return c.drainBy
	}
	if own := c.readBy.Load(); own != 0 {
		by = earlier(by, clock.At(own))
	}
	return by
}

// endless tells whether a wait has no limit and no deadline is set: then it does
// not matter when it began.
func (c *Conn) endless(w wait) bool {
	return w == waitAnswer && c.set.headTime == 0 && c.readBy.Load() == 0 && c.readArmed.IsZero()
}

// idleDeadline is when the wait for the next request ends; zero is never.
func (c *Conn) idleDeadline() time.Time {
	by, _ := c.m.idleUntil(&c.set.policy, c.set.drain.Load())
	return by
}

// after is t+d; zero when d is none.
func after(t time.Time, d time.Duration) time.Time {
	if d <= 0 || d == never {
		return time.Time{}
	}
	return t.Add(d)
}

// armRead sets the read deadline, unless one that fires no later is set: when
// that fires early, rawRead looks again. So a busy connection sets none.
func (c *Conn) armRead(by time.Time) {
	armed := c.readArmed
	if armed.IsZero() && by.IsZero() {
		return
	}
	if armed.After(c.now) && (by.IsZero() || !armed.After(by)) {
		return
	}
	c.readArmed = by
	_ = c.nc.SetReadDeadline(by) // a conn without deadlines waits without them
}

// disarmRead lifts the read deadline, which would fail even a read that does
// not wait.
func (c *Conn) disarmRead() {
	c.readArmed = time.Time{}
	_ = c.nc.SetReadDeadline(time.Time{})
}

// poke wakes a blocked read, to look at the close intent again. Any goroutine may
// do so, at any time.
func (c *Conn) poke() { c.ended.touch(c.endRead) }

// endRead is poke for the connection's owner.
func (c *Conn) endRead() { _ = c.nc.SetReadDeadline(longAgo) }

var longAgo = time.Unix(1, 0)

// interrupted tells whether somebody asked to stop, in a way that ends this
// wait: an exchange under way may finish, an idle wait ends at once.
func (c *Conn) interrupted(w wait) bool {
	level, _ := c.m.closing()
	switch w {
	case waitIdle:
		return level >= levelNoMore
	case waitBody, waitAhead, waitAnswer, waitHead:
		return level == levelNow || c.abandoned.Load()
	}
	return level == levelNow
}

// over tells whether the wait has to end: somebody asked for it, or its time,
// which is by, has passed.
func (c *Conn) over(w wait, by time.Time) bool {
	return c.interrupted(w) || !by.IsZero() && !c.now.Before(by)
}

// waitOver says what it means that the wait is over.
func (c *Conn) waitOver(w wait) error {
	if c.interrupted(w) {
		return c.faultOf(fault.Closed, w, nil)
	}
	return c.timedOut(w)
}

// faultOf makes an *Error of a code that concerns the peer.
func (c *Conn) faultOf(code fault.Code, w wait, cause error) *fault.Error {
	if cause == nil {
		cause = code.Cause()
	}
	return fault.Wrap(code, c.peer(), c.doing(w), cause)
}

func (c *Conn) readFailed(w wait, cause error) error {
	err := c.faultOf(fault.ReadFailed, w, cause)
	c.m.raise(levelNow, CloseReadFailed)
	c.noteBroken(err)
	return err
}

// timedOut says what it means that the wait took too long.
func (c *Conn) timedOut(w wait) error {
	switch w {
	case waitIdle:
		c.m.raise(levelNow, c.m.whyIdle(c.now, &c.set.policy))
		return c.faultOf(fault.IdleTimeout, w, nil)
	case waitHead:
		return c.timeout(levelLast, CloseHeadTimeout, c.faultOf(fault.HeadTimeout, w, nil))
	case waitAnswer:
		return c.timeout(levelNow, CloseHeadTimeout, c.faultOf(fault.ResponseTimeout, w, nil))
	case waitBody:
		return c.timeout(levelLast, CloseBodyTimeout, c.faultOf(fault.BodyTimeout, w, nil))
	}
	return c.faultOf(fault.BodyTimeout, w, nil)
}

// timeout ends the connection because the peer took too long.
func (c *Conn) timeout(l level, reason CloseReason, err *fault.Error) error {
	c.m.raise(l, reason)
	c.note(err)
	return err
}

// isTimeout tells whether a deadline passed. That the system gave a connection up
// after a time is called a timeout too, but nothing comes after that, and it is
// told only once: the next Read gives the end of the stream.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() && !errors.Is(err, syscall.ETIMEDOUT)
}
