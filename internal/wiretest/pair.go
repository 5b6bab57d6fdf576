package wiretest

import (
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pairCapacity is how many octets wait in each direction before Write blocks.
const pairCapacity = 1 << 20

// Conn is one end of an in-memory connection made by Pair. It behaves as a
// TCP connection does where HTTP can tell the difference:
//
//   - A Write returns when its octets are in the buffer; nobody has to read.
//   - CloseWrite sends a FIN: the peer reads what is there, then io.EOF.
//   - Close with octets unread, or a Write to a peer that has closed, brings a
//     reset: what the writer of that octet had not read yet is lost, its
//     next Read says ECONNRESET. That is the danger of RFC 9112 section 9.6,
//     here always at its worst, so that tests see who closes carelessly.
//   - Errors are those of package net: io.EOF bare, all others in a
//     *net.OpError around net.ErrClosed, os.ErrDeadlineExceeded, ECONNRESET
//     or EPIPE.
//
// Two things differ from TCP, to the profit of tests. Each Write is a segment
// of its own: a Read never joins the octets of two Writes, so a test decides
// where its text is cut. And every wait is one that testing/synctest takes
// for durably blocked, so deadlines run in fake time.
type Conn struct {
	link *link
	peer *Conn
	addr Addr

	// All below is guarded by link.mu.
	in          [][]byte // segments the peer wrote and we have not read
	unread      int      // octets in them
	fin         bool     // the peer writes no more
	wroteFin    bool     // we write no more
	reset       bool     // the peer reset the connection
	closed      bool     // Close was called here
	read, write *deadline
}

// link is what the two ends share: one lock, and one condition broadcast at
// each change. Tests have few waiters, so precision would buy nothing.
type link struct {
	mu       sync.Mutex
	changed  sync.Cond
	capacity int
}

// deadline is one setting of a deadline. A new setting is a new value, so a
// timer that fires late marks only the setting it was made for.
type deadline struct {
	timer   *time.Timer
	expired bool
}

// Pair returns the two ends of an in-memory connection with large buffers.
func Pair() (a, b *Conn) { return PairSize(pairCapacity) }

// PairSize is Pair with room for capacity octets in each direction. A small
// one makes a Write block early, as it does when the peer does not read.
func PairSize(capacity int) (a, b *Conn) {
	l := &link{capacity: max(capacity, 1)}
	l.changed.L = &l.mu
	a = &Conn{link: l, addr: nextAddr(), read: &deadline{}, write: &deadline{}}
	b = &Conn{link: l, addr: nextAddr(), read: &deadline{}, write: &deadline{}}
	a.peer, b.peer = b, a
	return a, b
}

// Read takes octets of the oldest segment. It reports data before the end of
// the stream, and a deadline that has passed before data, as package net does.
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.opError("read", net.ErrClosed)
		case len(p) == 0:
			return 0, nil
		case c.read.expired:
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case c.reset:
			return 0, c.opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case len(c.in) > 0:
			return c.take(p), nil
		case c.fin:
			return 0, io.EOF
		}
		c.link.changed.Wait()
	}
}

// take copies from the oldest segment only. The lock is held.
func (c *Conn) take(p []byte) int {
	n := copy(p, c.in[0])
	c.unread -= n
	if c.in[0] = c.in[0][n:]; len(c.in[0]) == 0 {
		c.in[0] = nil
		c.in = c.in[1:]
	}
	c.link.changed.Broadcast()
	return n
}

// Write appends p as one segment; it is cut only where the buffer is full.
// An empty p makes no segment.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return n, c.opError("write", net.ErrClosed)
		case c.write.expired:
			return n, c.opError("write", os.ErrDeadlineExceeded)
		case c.wroteFin || c.reset:
			return n, c.opError("write", os.NewSyscallError("write", syscall.EPIPE))
		case len(p) == n:
			return n, nil
		case c.peer.closed:
			// The segment leaves, nobody is there to take it, and the answer
			// is a reset. Only the next call sees it, as over TCP.
			c.takeReset()
			return len(p), nil
		}
		if room := c.link.capacity - c.peer.unread; room > 0 {
			n += c.peer.put(p[n:min(len(p), n+room)])
			continue
		}
		c.link.changed.Wait()
	}
}

// put adds a segment to what c can read. The lock is held.
func (c *Conn) put(p []byte) int {
	c.in = append(c.in, append([]byte(nil), p...))
	c.unread += len(p)
	c.link.changed.Broadcast()
	return len(p)
}

// takeReset is the arrival of a reset at c. The lock is held.
func (c *Conn) takeReset() {
	c.reset = true
	c.in, c.unread = nil, 0
	c.link.changed.Broadcast()
}

// CloseWrite sends a FIN: the peer sees io.EOF after what was written.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.wroteFin = true
	c.peer.fin = true
	c.link.changed.Broadcast()
	return nil
}

// Close ends both directions. Octets left unread here reset the peer, none
// left send it a FIN.
func (c *Conn) Close() error { return c.end(false) }

// Reset ends both directions at once with a reset, as Close does after
// SetLinger(0) over TCP.
func (c *Conn) Reset() error { return c.end(true) }

func (c *Conn) end(hard bool) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.read.stop()
	c.write.stop()
	if !c.peer.closed && (hard || c.unread > 0) {
		c.peer.takeReset()
	}
	c.in, c.unread = nil, 0
	c.peer.fin = true
	c.link.changed.Broadcast()
	return nil
}

// Pending returns how many octets the peer wrote that were not read yet.
func (c *Conn) Pending() int {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.unread
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.peer.addr }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read. One in the past wakes a Read that
// waits; a later one, or none, makes Read usable again.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.read, t) }

// SetWriteDeadline does for Write what SetReadDeadline does for Read.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.write, t) }

func (c *Conn) setDeadline(which **deadline, t time.Time) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	(*which).stop()
	d := &deadline{}
	*which = d
	if t.IsZero() {
		return nil
	}
	left := time.Until(t)
	if left <= 0 {
		d.expired = true
		c.link.changed.Broadcast()
		return nil
	}
	d.timer = time.AfterFunc(left, func() {
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		d.expired = true
		c.link.changed.Broadcast()
	})
	return nil
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.addr.Network(), Source: c.addr, Addr: c.peer.addr, Err: err}
}

// Addr is the address of an in-memory connection or listener. Its text has
// the form host:port, since callers split it so.
type Addr int64

var lastAddr atomic.Int64

func nextAddr() Addr { return Addr(lastAddr.Add(1)) }

// Network returns "mem".
func (Addr) Network() string { return "mem" }

func (a Addr) String() string { return "mem:" + strconv.FormatInt(int64(a), 10) }
