// Package h1 speaks HTTP/1.0 and HTTP/1.1 over persistent connections.
//
// Server is a drop-in for net/http's Server on HTTP/1, Transport is an
// http.RoundTripper, and Conn is one connection of either side, usable alone
// over any net.Conn. All three share one machine that counts requests, keeps
// the idle deadline and remembers why a connection has to end.
//
// The TCP keep-alive probes that a system sends on a silent connection are
// another thing with a similar name: they tell whether the peer's machine is
// still there, and say nothing about how long HTTP keeps a connection. Set
// them with net.ListenConfig.KeepAliveConfig and net.Dialer.KeepAliveConfig.
package h1

// This file holds the life of a connection: what it is made of, what is told of
// it, and how it ends. How it waits to read is in read.go, how it writes in
// write.go. None of them knows grammar or framing; the rule files know no I/O.
//
// Invariants:
//   - One goroutine at a time reads: whoever holds the exchange.
//   - Output and the answer's state are guarded by wmu.
//   - Other goroutines may raise the close intent and then poke the read
//     deadline into the past. The reader arms its deadline first and looks at
//     the intent afterwards, so no wake-up is lost.

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/buf"
	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
)

// Conn is one HTTP/1 connection, of either side. Make one with NewServerConn
// or NewClientConn, or let a Listener, a Server or a Transport make it.
//
// A server-side Conn is used by Next, which gives one Exchange after the
// other; a client-side Conn by Send and Receive, or RoundTrip. Neither may be
// called by two goroutines at once, but Send and Receive may run side by
// side. Close, Info, Reason and CloseAfter may be called at any time by anyone.
type Conn struct {
	nc       net.Conn
	set      *settings
	m        machine
	id       uint64
	role     Role
	resting  bool        // server role: idle, and told so
	lineEnds uint8       // server role: how many were passed over since the last request
	lingers  atomic.Bool // server role: its close is under way (linger.go)

	*busy // nil while the connection waits at the poller between two messages

	wmu        sync.Mutex   // guards the output
	werr       error        // the first write error; no write follows it
	writeArmed atomic.Int64 // the write deadline that is set, by clock.Mono; 0: none

	client  *clientSide                    // client role only
	pk      parking                        // server role: how it waits
	late    *lateness                      // server role: made at the first pipelined request
	watcher atomic.Pointer[requestContext] // told when the peer hangs up; nil: nobody

	bytesIn, bytesOut atomic.Int64
	err               atomic.Pointer[error] // what ended the connection; nil: good order
	ended             tenure                // closed or hijacked, and told so
	abandoned         atomic.Bool           // nobody wants what is being read any more
}

// busy is what a connection needs only while it does not wait at the poller
// between two messages. It is lent by a pool.
type busy struct {
	// Reading: owned by the goroutine that reads.
	win       buf.Window
	in        *incoming    // the message being read; nil while idle
	x         *Exchange    // server side: the exchange under way; nil while idle
	spare     *Exchange    // server side: that of the request before, when the next one has come
	batched   bool         // server side: the request was there before its predecessor's answer was sent
	began     time.Time    // the present request's first octet (server), or its sending (client)
	now       time.Time    // when the last read began or ended
	readArmed time.Time    // the read deadline that is set; zero: none
	readBy    atomic.Int64 // when the present request has to be read, by clock.Mono; 0: no such limit. Any goroutine sets it
	readOwn   atomic.Bool  // the handler set a read deadline of its own
	reads     pace         // how the body comes
	drainBy   time.Time    // the end of a drain under way
	lingering lingering    // the close under way

	// Writing: guarded by wmu.
	out      buf.Output
	vec      [2][]byte // what a writev is made of
	vecs     net.Buffers
	writes   pace      // how the present message is taken
	wrote    time.Time // when the last write began, or was last looked at
	accepted int64     // octets that the system accepted since then

	// Set by any goroutine.
	writeBy  atomic.Int64 // when the present answer has to be sent, by clock.Mono; 0: no such limit
	writeOwn atomic.Bool  // that is the handler's own limit

	watch    peerWatch   // the background read of a connection that is not at the poller
	bodyOver atomic.Bool // the request under way is read whole
	behind   atomic.Bool // server side: octets of the next request have come
}

var busies = sync.Pool{New: func() any { return new(busy) }}

// NewServerConn makes a Conn that answers the requests arriving on nc. It
// fails only when cfg names a transfer coding that is not registered.
func NewServerConn(nc net.Conn, cfg *ConnConfig) (*Conn, error) {
	set, err := cfg.resolve(ServerRole)
	if err != nil {
		return nil, err
	}
	return newConn(nc, ServerRole, set), nil
}

var lastID atomic.Uint64

func newConn(nc net.Conn, role Role, set *settings) *Conn {
	c := &Conn{nc: nc, role: role, set: set, id: lastID.Add(1)}
	if role == ClientRole {
		c.client = newClientSide()
		c.pk.rc = pollable(nc)
	}
	c.awake()
	c.m.open(c.now)
	c.m.ageCut = ageCut(c.id)
	c.tell(EventOpened)
	return c
}

// Info is the connection as it is now.
func (c *Conn) Info() ConnInfo {
	level, reason := c.m.closing()
	now := clock.Now()
	info := ConnInfo{
		ID:       c.id,
		Role:     c.role,
		State:    c.state(),
		Local:    c.nc.LocalAddr(),
		Remote:   c.nc.RemoteAddr(),
		TLS:      c.overTLS(),
		Opened:   now.Add(-c.age(now)),
		Age:      c.age(now),
		Requests: c.m.requests.Load(),
		BytesIn:  c.bytesIn.Load(),
		BytesOut: c.bytesOut.Load(),
		Closing:  level > levelKeep,
		Reason:   reason,
		Waiting:  "goroutine",
	}
	if c.m.idle() {
		info.Idle = now.Sub(c.m.idleSince())
	}
	if c.pk.on.Load() {
		info.Waiting = "poll"
	}
	if err := c.err.Load(); err != nil {
		info.Err = *err
	}
	return info
}

// age is how old the connection is by now.
func (c *Conn) age(now time.Time) time.Duration { return now.Sub(clock.At(c.m.born)) }

// state is where the connection is in its life, in net/http's words.
func (c *Conn) state() http.ConnState {
	switch {
	case c.ended.Load() && c.Reason() == CloseHijacked:
		return http.StateHijacked
	case c.ended.Load():
		return http.StateClosed
	case !c.m.idle():
		return http.StateActive
	case c.m.requests.Load() > 0:
		return http.StateIdle
	}
	return http.StateNew
}

// idleAt tells since when the connection is idle; false for one that is not, or
// that is to be closed anyway. It may be busy by the time that the caller looks.
func (c *Conn) idleAt() (since time.Time, ok bool) {
	if level, _ := c.m.closing(); level > levelKeep || c.ended.Load() || !c.m.idle() {
		return time.Time{}, false
	}
	return c.m.idleSince(), true
}

// Reason tells why the connection is closed or about to be; CloseNone while
// it persists. The first reason stays.
func (c *Conn) Reason() CloseReason {
	_, reason := c.m.closing()
	return reason
}

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// NetConn is the connection underneath. Reading from it or writing to it
// breaks the exchange of messages; use Hijack for that.
func (c *Conn) NetConn() net.Conn { return c.nc }

// CloseAfter lets the exchange under way finish and makes it the last. A Conn
// that waits idle for a request stops waiting.
func (c *Conn) CloseAfter() { c.last(CloseLocalAsked) }

// last makes the exchange under way the last, and ends an idle wait.
func (c *Conn) last(reason CloseReason) {
	if c.m.raise(levelNoMore, reason) {
		c.wake()
	}
}

// drainSoon makes the next answer the last. A Conn that waits idle for a
// request, or lingers, goes on for as long as the drain's plan says; it is woken
// although it may be draining already, as the plan may be another one.
func (c *Conn) drainSoon(reason CloseReason) {
	c.m.raise(levelDrain, reason)
	if c.m.idle() || c.lingers.Load() { // else it looks before it waits; a handshake must not be disturbed
		c.wake()
	}
}

// Close closes the connection at once, whatever is under way. The error is
// the one of the net.Conn's Close; a second call returns nil.
func (c *Conn) Close() error { return c.abort(CloseLocalAsked, nil) }

// abort closes without ceremony. It may be called by any goroutine.
func (c *Conn) abort(reason CloseReason, err error) error {
	c.m.raise(levelNow, reason)
	c.note(err)
	if !c.ended.close() {
		return nil
	}
	c.unpoll(false)
	closed := c.nc.Close()
	c.wake() // at the poller no read fails that would tell
	c.peerGone()
	c.tell(EventClosed)
	return closed
}

// note keeps the first error that ended the connection.
func (c *Conn) note(err error) {
	if err != nil && err != io.EOF {
		c.err.CompareAndSwap(nil, &err)
	}
}

// noteBroken notes the error of a read or a write, unless the connection was closed
// under it: that has a reason already.
func (c *Conn) noteBroken(err error) {
	if !c.ended.Load() {
		c.note(err)
	}
}

func (c *Conn) tell(e ConnEvent) {
	if c.set.observe != nil {
		info := c.Info()
		if e == EventHijacked { // whatever else it was to end for
			info.State = http.StateHijacked
		}
		c.set.observe(e, info)
	}
}

// tlsTeller is a connection of crypto/tls, or one that wraps such a one.
type tlsTeller interface{ ConnectionState() tls.ConnectionState }

// overTLS tells whether it is TLS that is spoken. It does not wait for a
// handshake under way, as the state does.
func (c *Conn) overTLS() bool {
	_, ok := c.nc.(tlsTeller)
	return ok
}

// tls is the TLS state, nil for a plain connection.
func (c *Conn) tls() *tls.ConnectionState {
	if t, ok := c.nc.(tlsTeller); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}

// peer is the other side, as errors name it.
func (c *Conn) peer() fault.Side {
	if c.role == ServerRole {
		return fault.Client
	}
	return fault.Server
}

// theirs is the half that the peer sends.
func (c *Conn) theirs() half {
	if c.role == ServerRole {
		return clientHalf
	}
	return serverHalf
}

// recycle gives all memory back; the connection is over.
func (c *Conn) recycle() {
	c.releaseExchange()
	c.burstEnds()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.win.Drop(false)
	if c.out.B != nil {
		c.out.Release()
	}
	if c.werr == nil {
		c.werr = fault.New(fault.Closed, fault.Local, "sending")
	}
}

// awake makes the connection ready to be used; a connection that woke at the
// poller does not know which read deadline is set.
func (c *Conn) awake() {
	if c.busy == nil {
		b := busies.Get().(*busy)
		b.readArmed = longAgo
		b.win.Least, b.out.Least = c.set.readBuffer, c.set.writeBuffer
		c.wmu.Lock()
		c.busy = b
		c.wmu.Unlock()
	}
	c.now = clock.Now()
}

// asleep is the end of what awake began: buffers go back to their pools. The
// caller gives what it returns back to the pool, or to the connection when that
// cannot be put to sleep after all.
func (c *Conn) asleep() *busy {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.releaseBuffers()
	b := c.busy
	c.busy = nil
	return b
}

// idleMemory gives back what a connection needs only while it is busy.
func (c *Conn) idleMemory() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.releaseBuffers()
}

// releaseBuffers gives empty buffers back; wmu is held.
func (c *Conn) releaseBuffers() {
	c.win.Release()
	if c.out.B != nil && len(c.out.B) == 0 {
		c.out.Release()
	}
}

// takeOver hands the connection to the application: all that is pending is
// sent, deadlines are lifted, and the octets already read come with it.
func (c *Conn) takeOver(reason CloseReason) (net.Conn, []byte, error) {
	if !c.ended.take() {
		return nil, nil, fault.New(fault.WrongState, fault.Local, "taking the connection over")
	}
	c.m.raise(levelNow, reason)
	c.stopWatch()
	err := c.flush()
	c.unpoll(true)
	_ = c.nc.SetDeadline(time.Time{})
	rest := c.win.Take()
	c.tell(EventHijacked)
	return c.nc, rest, err
}
