package h1

// This file bears with slow peers. How long one is waited for is in pace.go;
// here the waits are measured. A write that takes long is interrupted from time
// to time and goes on with what is left: systems hold megabytes and let a writer
// know of room when a good part of that has gone, but they take at any time what
// they have room for, which tells a peer that reads slowly from one that does not
// read.

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/sockinfo"
)

// readPacing is how a body has to come. A handler that set a read deadline of
// its own knows better than a rate; silence is still limited.
func (c *Conn) readPacing() *pacing {
	if c.readOwn.Load() {
		return &c.set.stalls
	}
	return &c.set.readPace
}

// writePacing is how an answer has to be taken.
func (c *Conn) writePacing() *pacing {
	if c.writeOwn.Load() {
		return &c.set.stalls
	}
	return &c.set.writePace
}

// wireOctets is how many octets have come over the wire, as far as that is not
// what Read gives: a TLS record is given when all of it is there, and a slow one
// comes all the same.
func (c *Conn) wireOctets() int64 {
	if s := records(c.nc); s != nil {
		return s.in
	}
	return 0
}

// came accounts for a wait for a body: n octets at the end of took.
func (c *Conn) came(took time.Duration, n int64) {
	c.reads.spend(took)
	c.reads.earn(n, c.readPacing())
}

// taken accounts for a write that took that long. It earns first: the system
// took the octets before the wait for room began.
func (c *Conn) taken(took time.Duration, n int64) {
	c.writes.earn(n, c.writePacing())
	c.writes.spend(took)
}

// leastLook is the shortest time between two looks at a slow write.
const leastLook = 50 * time.Millisecond

// nextLook is when a write that does not end is looked at, given that it may
// take that long without progress.
func nextLook(left time.Duration) time.Duration {
	return min(left, max(left/2, leastLook))
}

// writeBegins notes that a write begins now.
func (c *Conn) writeBegins(now time.Time, resumes bool) {
	c.wrote, c.accepted = now, 0
	c.armWrite(now, resumes)
}

// unsent is how much of what a server sends the system holds beyond what is on
// its way. Left alone, Linux takes up to 4 MiB of each answer, so that a few
// hundred clients that do not read cost a gigabyte.
const unsent = 128 << 10

// sends counts n octets that are about to be sent. A connection that sends no
// more than the system may hold is not told of the limit.
func (c *Conn) sends(n int64) {
	total := c.bytesOut.Add(n)
	if c.role != ServerRole || total <= unsent || total-n > unsent {
		return
	}
	if tcp, ok := under(c.nc).(*net.TCPConn); ok {
		sockinfo.LimitUnsent(tcp, unsent)
	}
}

// measure accounts for a write that has ended.
func (c *Conn) measure() {
	now := clock.Now()
	c.taken(now.Sub(c.wrote), c.accepted)
	c.wrote, c.accepted = now, 0
}

// bears decides, when the deadline of a write has passed, whether it goes on. A
// timeout that came before the deadline is one of the connection's own, and
// stays.
func (c *Conn) bears() bool {
	now := clock.Now()
	if now.Before(clock.At(c.writeArmed.Load())) {
		return false
	}
	c.taken(now.Sub(c.wrote), c.accepted)
	c.wrote, c.accepted = now, 0
	if by := c.writeBy.Load(); by != 0 && !now.Before(clock.At(by)) {
		return false
	}
	if c.writes.left(c.writePacing()) <= 0 {
		return false
	}
	c.writeArmed.Store(0) // it has passed
	c.armWrite(now, true)
	return true
}

// armWrite sets the deadline of a write that begins now: when it is looked at,
// or the answer's own limit. One that is far enough is left alone, so a busy
// connection moves its deadline seldom. One that cannot be resumed is not looked
// at before its time is over.
func (c *Conn) armWrite(now time.Time, resumes bool) {
	var by time.Time
	look := c.writes.left(c.writePacing())
	if look != never {
		if resumes {
			look = nextLook(look)
		}
		by = now.Add(look)
	}
	if own := c.writeBy.Load(); own != 0 {
		by = earlier(by, clock.At(own))
	}
	was := c.writeArmed.Load()
	if was == 0 && by.IsZero() {
		return
	}
	if armed := clock.At(was); was != 0 && !by.IsZero() && !armed.After(by) && armed.After(now.Add(look/2)) {
		return
	}
	c.setWriteDeadline(by)
	if own := c.writeBy.Load(); own != 0 && clock.At(own).Before(by) { // set since it was looked at
		c.setWriteDeadline(clock.At(own))
	}
}

func (c *Conn) setWriteDeadline(by time.Time) {
	var armed int64
	if !by.IsZero() {
		armed = clock.Mono(by)
	}
	c.writeArmed.Store(armed)
	_ = c.nc.SetWriteDeadline(by)
}

// resumes tells whether a write that timed out can go on. Over TLS it can where
// that is seen to below TLS (record.go); crypto/tls itself gives up for good.
func (c *Conn) resumes() bool {
	_, overTLS := c.nc.(*tls.Conn)
	return !overTLS || records(c.nc) != nil
}

// writeOn writes p to nc, which is the connection or the one under TLS, for as
// long as the peer may be waited for.
func (c *Conn) writeOn(nc net.Conn, p []byte) (n int, err error) {
	for {
		piece := p[n:]
		if len(piece) > oneRecord && !c.resumes() {
			piece = piece[:oneRecord] // each in a time of its own
		}
		m, err := nc.Write(piece)
		n += m
		c.accepted += int64(m)
		switch {
		case err == nil && n == len(p):
			return n, nil
		case err == nil:
			c.measure()
			c.armWrite(c.wrote, false)
		case !isTimeout(err) || !c.bears():
			return n, err
		}
	}
}

// limitWrite sets when the present answer has to be sent; zero: no such limit.
// Whoever writes at this moment heeds an earlier time at once, and a later one
// when it looks again.
func (c *Conn) limitWrite(t time.Time) {
	if t.IsZero() {
		c.writeBy.Store(0)
		return
	}
	c.writeBy.Store(clock.Mono(t))
	if c.wmu.TryLock() {
		c.wmu.Unlock()
	} else if armed := c.writeArmed.Load(); armed == 0 || t.Before(clock.At(armed)) {
		c.setWriteDeadline(t)
	}
}
