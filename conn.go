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

// This file holds the life of a connection and its input and output: the
// only blocking read (rawRead), the only write (flushLocked), the only
// read deadlines (armRead). It knows no
// grammar and no framing; the rule files know no I/O.
//
// Invariants:
//   - One goroutine at a time reads: whoever holds the exchange.
//   - Output and the answer's state are guarded by wmu.
//   - Other goroutines may raise the close intent and then poke the read
//     deadline into the past. The reader arms its deadline first and looks at
//     the intent afterwards, so no wake-up is lost.

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
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
	}
	c.awake()
	c.m.open(c.now)
	c.m.ageCut = set.policy.ageCut(c.id)
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
		Opened:   c.m.born,
		Age:      now.Sub(c.m.born),
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
	c.now = clock.Now()
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
	if c.pk.tls == nil { // under TLS the records' source does, when it reads
		c.pk.Clear()
	}
	n, err := c.nc.Read(p)
	c.now = clock.Now()
	// A read that was called off says nothing: octets may have come before it began.
	c.pk.drained = n > 0 && n < len(p) && (c.pk.tls == nil || c.pk.tls.empty())
	if n > 0 {
		c.bytesIn.Add(int64(n))
	}
	return n, err
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
	c.note(err)
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
		return c.writeOn(c.nc, p)
	}
	s.writer.Store(c) // which writes on, below TLS
	defer s.writer.Store(nil)
	return c.nc.Write(p)
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
	c.note(err)
	c.peerGone()
	return err
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
