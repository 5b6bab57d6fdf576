package h1

// This file holds the only write of a connection (flushLocked): what is queued
// goes out in one system call with what follows it.

import (
	"net"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/poll"
)

// flushBeforeRead sends what is pending, unless another goroutine is writing:
// that one sends it, and waiting for it here could wait for a peer who sends
// without reading.
func (c *Conn) flushBeforeRead() error {
	if k := c.client; k != nil && k.share != nil {
		k.share.waits.Store(true) // first: who holds the lock looks at it afterwards
	}
	if !c.wmu.TryLock() && !c.owes() {
		return nil
	}
	defer c.wmu.Unlock()
	if len(c.out.B) == 0 {
		return nil
	}
	return c.flushLocked(nil)
}

// flush sends what is pending.
func (c *Conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.busy == nil { // it waits: nothing is pending
		return c.werr
	}
	return c.flushLocked(nil)
}

// flushNow is flush for the goroutine that holds the exchange, which knows the
// time.
func (c *Conn) flushNow() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if len(c.out.B) == 0 {
		return c.werr
	}
	return c.flushAt(nil, c.now)
}

// sendLocked queues p, or sends it at once together with what is pending when
// the output has no room for it. p is not kept.
func (c *Conn) sendLocked(p []byte) error {
	out := c.out.Ready()
	if len(out)+len(p) > cap(out) {
		return c.flushLocked(p)
	}
	c.out.B = append(out, p...)
	return c.werr
}

// flushLocked writes the pending output and then p, in one system call where
// the connection has writev. It is the only write. A write error ends the
// connection: what the peer has seen by then cannot be known.
func (c *Conn) flushLocked(p []byte) error { return c.flushAt(p, time.Time{}) }

// flushAt is flushLocked at a time that is known; zero: it is not.
func (c *Conn) flushAt(p []byte, now time.Time) error {
	if c.werr != nil {
		return c.werr
	}
	if len(c.out.B)+len(p) == 0 {
		return nil
	}
	midway := now.IsZero() // there may be more to come; small answers are not measured
	if midway {
		now = clock.Now()
	}
	c.writeBegins(now, c.resumes())
	whole := int64(len(c.out.B) + len(p))
	c.sends(whole) // counted before the peer can have seen them
	n, err := c.writev(c.out.B, p)
	c.out.B = c.out.B[:0]
	c.bytesOut.Add(n - whole)
	if err != nil {
		c.werr = c.writeFailed(err)
	} else if midway {
		c.measure()
	}
	return c.werr
}

func (c *Conn) writev(a, b []byte) (int64, error) {
	switch {
	case len(b) == 0:
		n, err := c.put(a)
		return int64(n), err
	case len(a) == 0:
		n, err := c.put(b)
		return int64(n), err
	case gathers(c.nc):
		return c.gather(a, b)
	case len(a)+len(b) <= oneRecord:
		joined := copyBuffers.Get().(*[32 << 10]byte)
		defer copyBuffers.Put(joined)
		n, err := c.put(append(append(joined[:0], a...), b...))
		return int64(n), err
	}
	n, err := c.put(a)
	if err != nil {
		return int64(n), err
	}
	m, err := c.put(b)
	return int64(n + m), err
}

// put writes p.
func (c *Conn) put(p []byte) (int, error) {
	s := records(c.nc)
	if s == nil {
		return c.putOn(c.nc, p)
	}
	s.writer.Store(c) // which writes on, below TLS
	defer s.writer.Store(nil)
	return c.nc.Write(p)
}

// putOn writes p to nc, which is the connection or the one under TLS. Almost
// always the system has room for a small answer, and then the write need not be
// one that may wait.
func (c *Conn) putOn(nc net.Conn, p []byte) (int, error) {
	if c.pk.rc == nil {
		return c.writeOn(nc, p)
	}
	n, err := poll.TryWrite(nc, c.pk.rc, p)
	if err != nil {
		return n, err
	}
	c.accepted += int64(n)
	if n == len(p) {
		return n, nil
	}
	m, err := c.writeOn(nc, p[n:])
	return n + m, err
}

// gather writes a and b in one system call.
func (c *Conn) gather(a, b []byte) (n int64, err error) {
	c.vec = [2][]byte{a, b}
	c.vecs = c.vec[:] // a field, as WriteTo would move a variable to the heap
	for {
		var m int64
		m, err = c.vecs.WriteTo(c.nc) // what was written is gone from it
		n += m
		c.accepted += m
		if err == nil || !isTimeout(err) || !c.bears() {
			break
		}
	}
	c.vec, c.vecs = [2][]byte{}, nil
	return n, err
}

// oneRecord is how much a TLS record holds (RFC 8446 section 5.1). Up to that,
// copying costs less than a record and a system call more.
const oneRecord = 16 << 10

// gathers tells whether the connection writes several pieces in one system
// call.
func gathers(nc net.Conn) bool {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

func (c *Conn) writeFailed(cause error) error {
	code, reason := fault.WriteFailed, CloseWriteFailed
	if isTimeout(cause) {
		code, reason = fault.WriteTimeout, CloseWriteTimeout
	}
	level := levelNow
	if c.role == ClientRole {
		level = levelLast // the server may have answered before it closed
	}
	err := fault.Wrap(code, c.peer(), "sending", cause)
	c.m.raise(level, reason)
	c.noteBroken(err)
	c.peerGone()
	return err
}
