package h1

// This file finds the proof that a lost request was not delivered, so that even
// a POST may be sent again (RFC 9110 section 9.2.2: a client may retry what is
// not idempotent where it can detect that it was never applied).
//
// The proof is the end of the server's stream together with the octets that the
// server's system had acknowledged by then. Every segment says how far the
// sender has received, and so does the one with the end. When that is not one
// octet of the request, then no program had any of it before the server closed
// its side, and one that has closed its side can answer no more: it is taken to
// run no further request. On a closed socket the octets meet a reset.
//
// The end has to come first. A reset proves nothing, as a server that has read
// the request and then resets the connection looks the same: its system drops
// the acknowledgement that was due. Read tells the two apart, as it gives the
// end of the stream also after a later reset, and the reset otherwise. But a
// reset is told only once: after a Write that was told of it Read gives the end
// of the stream too, so that such a Write spoils the proof.
//
// What is proven is proven of the next hop: a proxy that acknowledges has it.

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/h1go/h1/internal/sockinfo"
)

// wire is the TCP connection under a client's Conn, as far as it is known.
type wire struct {
	tcp   *net.TCPConn // nil: unknown, and nothing can be proven
	meter *meter       // counts what it is given to send; nil: what the Conn writes
}

// wireOf is the wire under nc, of which raw is the connection with a descriptor.
func wireOf(nc, raw net.Conn) wire {
	m, ok := raw.(*meter)
	if ok {
		raw = m.Conn
	} else if nc != raw {
		return wire{} // something between the two writes what nobody counts
	}
	tcp, _ := raw.(*net.TCPConn)
	return wire{tcp, m}
}

// meter is the connection under a client's TLS. It counts what is written to it:
// TLS writes more octets than it is given. Of what is read it follows the records,
// which begin with a header whose last two octets are a length (RFC 8446 section
// 5.1).
type meter struct {
	net.Conn
	out atomic.Int64

	more   bool // TLS may have been given more than the one record it reads next
	header int  // octets of a record's header that were read
	left   int  // and of the record itself, not read so far
}

// Write implements io.Writer. What is being written counts as written.
func (m *meter) Write(p []byte) (int, error) {
	m.out.Add(int64(len(p)))
	n, err := m.Conn.Write(p)
	m.out.Add(int64(n - len(p)))
	return n, err
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.follow(p[:n])
	return n, err
}

// follow goes through octets that were read.
func (m *meter) follow(p []byte) {
	if len(p) == 0 {
		return
	}
	ended := 0
	for len(p) > 0 {
		if m.header < recordHeader {
			if m.header++; m.header > recordHeader-2 {
				m.left = m.left<<8 | int(p[0])
			}
			p = p[1:]
		} else {
			n := min(m.left, len(p))
			m.left -= n
			p = p[n:]
		}
		if m.header == recordHeader && m.left == 0 {
			m.header = 0
			ended++
		}
	}
	m.more = ended > 1 || m.inRecord()
}

// inRecord tells whether what was read ends in the middle of a record.
func (m *meter) inRecord() bool { return m.header > 0 }

// wireOut is how many octets the TCP connection was given to send since the Conn
// was made.
func (c *Conn) wireOut() int64 {
	if m := c.client.wire.meter; m != nil {
		return m.out.Load()
	}
	return c.bytesOut.Load()
}

// streamEnd notes how far the server had acknowledged when its stream ended. err
// is what reading gave. It is asked before the connection is closed.
func (c *Conn) streamEnd(err error) {
	k := c.client
	if k.wire.tcp == nil || err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) || !c.wmu.TryLock() {
		return
	}
	spoilt := c.werr != nil && !errors.Is(c.werr, syscall.EPIPE)
	c.wmu.Unlock()
	if spoilt {
		return
	}
	// First what is unacknowledged, then what was written: what another goroutine
	// writes in between seems acknowledged, and proves nothing.
	left, ok := sockinfo.Unacked(k.wire.tcp)
	if !ok {
		return
	}
	k.ended, k.acked = true, c.wireOut()-left
	if left > 0 {
		// The request may be sent again elsewhere, so what is left of it here is to
		// be thrown away by the close, and not sent once more.
		_ = k.wire.tcp.SetLinger(0)
	}
}

// undelivered tells whether it is proven that nothing that was written from the
// given octet of the wire on reached the server's program.
func (k *clientSide) undelivered(from int64) bool { return k.ended && k.acked <= from }

// delivered tells whether the server's system got some of that before the server
// closed its side.
func (k *clientSide) delivered(from int64) bool { return k.ended && k.acked > from }
