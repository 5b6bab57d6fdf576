package h1

// This file is the client's side of a connection: requests are sent, and take
// their place in the line of those whose answers are due. How a request's head is
// written is in ask.go, how answers are received in receive.go.

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
)

// clientSide is what a connection has in the client role only.
//
// The machine models the exchange whose answer is next. A pipelined request is
// only noted in the queue; when its turn comes, what its sending has done so
// far is told to the machine at once, and the rest as it happens.
type clientSide struct {
	mu    sync.Mutex   // guards queue, live and the machine's turn-taking
	queue inflight     // requests whose answers are due, in order
	left  []unanswered // those that were still in line when the connection ended
	heard bool         // a head of the answer being read came, an informational one at least

	in     incoming             // the answer being read
	body   *responseBody        // of the answer being read; nil between answers
	sentAt atomic.Int64         // when the last request was whole, by clock.Mono; 0 while one is being sent
	enc    encoder              // of the request being sent
	owed   atomic.Bool          // the reader could not send what is queued: who has the output locked does it
	up     <-chan struct{}      // closed when the body was sent, or was not, by a goroutine of its own; nil: there is none
	tls    *tls.ConnectionState // what all responses share; nil until the first one, and over plain text
	wire   wire                 // the TCP connection underneath
	ended  bool                 // the server's stream ended, in good order, where an answer was due
	acked  int64                // how much of the wire the server's system had acknowledged by then
	share  *sharing             // several goroutines use it; nil: one does

	// release takes the connection back after so many exchanges; nil when it is
	// used alone. It tells whether others are on it, or may be, whose turn is next.
	release func(c *Conn, v verdict, exchanges int) (passOn bool)
}

// unanswered is a request whose answer will not come.
type unanswered struct {
	req   *http.Request
	again bool
}

// leftOver notes a request that was in line when the connection ended; mu is
// held.
func (k *clientSide) leftOver(t turn, again bool) {
	if w, ok := t.of.(*rider); ok {
		w.lose(again)
		return
	}
	req, _ := t.of.(*http.Request)
	k.left = append(k.left, unanswered{req, again})
}

// Unanswered gives the requests that were sent, or begun, and got no answer
// when a client-side connection ended, in their order. The second value tells
// whether the request may be sent again on another connection: it is idempotent,
// or says that it is by an Idempotency-Key field, its body can be had again
// (http.Request.GetBody), and not an octet of its answer came (RFC 9112 sections
// 9.3.1 and 9.3.2). For the others the server may or may not have acted. Ask when
// Send, Receive or the Read of a Body has failed; before that there are none.
func (c *Conn) Unanswered() iter.Seq2[*http.Request, bool] {
	return func(yield func(*http.Request, bool) bool) {
		if c.client == nil {
			return
		}
		c.client.mu.Lock()
		left := c.client.left
		c.client.mu.Unlock()
		for _, u := range left {
			if !yield(u.req, u.again) {
				return
			}
		}
	}
}

func newClientSide() *clientSide { return &clientSide{} }

// NewClientConn makes a Conn that asks the server at the other end of nc. It
// fails only when cfg names a transfer coding that is not registered.
func NewClientConn(nc net.Conn, cfg *ConnConfig) (*Conn, error) {
	set, err := cfg.resolve(ClientRole)
	if err != nil {
		return nil, err
	}
	return newConn(nc, ClientRole, set), nil
}

// RoundTrip sends the request and receives its answer; it makes a client-side
// Conn an http.RoundTripper for one request after the other. The answer's Body
// has to be read to its end, or closed, before the next call.
func (c *Conn) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.Send(req); err != nil {
		return nil, err
	}
	return c.Receive()
}

// Send sends a request with its body, which it closes. Several requests may be
// sent before the first answer is received: they are pipelined (RFC 9112
// section 9.3.2), and leave together when they are small. A pipelined request
// should be idempotent, as the connection may end before it is answered. A CONNECT
// has no body (RFC 9110 section 9.3.6).
//
// The error is an *Error: with the code BadRequest nothing was sent and the
// connection is as it was; with any other it is over.
func (c *Conn) Send(req *http.Request) error {
	defer closeBody(req)
	a, err := c.set.ask(req, nil)
	if err != nil {
		return err
	}
	defer a.sent()
	if err := c.sendHead(a, clock.Now(), false); err != nil {
		return err
	}
	return c.sendBody(a)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// sendHead queues the request's head for sending and puts the request in line
// for its answer. Without a body that is all of it, and it may go at once: then
// it needs no place in the output.
func (c *Conn) sendHead(a *ask, now time.Time, atOnce bool) error {
	if c.role != ClientRole {
		return fault.New(fault.WrongState, fault.Local, "sending a request")
	}
	// Writing may wait for the server, and the server for its answers to be read:
	// so mu, which the reader takes, is never held over a write or a wait for one.
	k, sent := c.client, sentPart
	if a.body == nil {
		sent = sentWhole
	}
	c.wmu.Lock()
	defer c.unlockOut()
	k.mu.Lock()
	err := c.joinLine(a, a.of, sent, now)
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.enc.start(a.framing)
	if atOnce {
		return c.flushAt(a.head, now)
	}
	return c.sendLocked(a.head)
}

// joinLine puts a request in line now, known as of, of which so much is sent or
// about to be; mu is held. The error is that the connection takes no more.
func (c *Conn) joinLine(a *ask, of any, sent sendState, now time.Time) error {
	k := c.client
	if level, _ := c.m.closing(); level > levelKeep {
		return fault.New(fault.Closed, fault.Server, "sending a request")
	}
	c.m.begin(now, &c.set.policy)
	if a.last {
		c.m.raise(levelNoMore, CloseLocalAsked)
	}
	c.tell(EventRequest)
	at := int64(0)
	if sent == sentWhole {
		at = clock.Mono(now)
	}
	k.sentAt.Store(at)
	from := c.bytesOut.Load() + int64(len(c.out.B))
	k.queue.push(turn{method: a.method, offer: a.offer, replayable: a.replayable, sent: sent, from: from, of: of})
	if k.queue.len() == 1 {
		c.takeTurn()
	}
	return nil
}

// takeTurn tells the machine of the exchange whose answer is next; mu is held.
func (c *Conn) takeTurn() {
	t, ok := c.client.queue.next()
	if !ok {
		return
	}
	c.m.on(clientHalf, eventHead)
	if t.offer {
		c.m.offer()
	}
	if t.sent == sentWhole {
		c.m.on(clientHalf, eventEnd)
	}
}

// owes tells a client's goroutine that has the output locked that the reader goes
// to wait for an answer, perhaps to what is queued. It is true when it locked the
// output after all.
func (c *Conn) owes() bool {
	if c.client == nil {
		return false
	}
	c.client.owed.Store(true) // first: who has the lock looks at it afterwards
	return c.wmu.TryLock()
}

// unlockOut unlocks the output after something was queued, and sends it when the
// reader could not.
func (c *Conn) unlockOut() {
	c.wmu.Unlock()
	for c.client.owed.Load() && c.wmu.TryLock() {
		c.client.owed.Store(false)
		_ = c.flushLocked(nil)
		c.wmu.Unlock()
	}
}

// sendBody sends the body of the request whose head was sent last, if it has one,
// and its trailer fields. A body that fails or that differs from its declared length
// leaves half a message on the wire, which ends the connection.
func (c *Conn) sendBody(a *ask) error {
	if a.body == nil {
		return nil
	}
	err := c.copyBody(a)
	// After a failed write there may still be an answer to read.
	if err != nil && !errors.Is(err, fault.WriteFailed) {
		c.m.raise(levelNow, CloseIncomplete)
		c.note(err)
	}
	return err
}

// copyBody sends the body. Of one of known length the last piece is held back
// until it is certain that nothing follows it; of one of unknown length nothing
// is, as it may be a conversation.
func (c *Conn) copyBody(a *ask) error {
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	known, left := a.framing.kind == bodyLength, a.framing.length
	for {
		n, err := a.body.Read(b[:])
		if left -= int64(n); known && left == 0 && err == nil {
			if err = noMore(a.body); err == nil {
				left = -1
			}
		}
		switch {
		case known && (left < 0 || left > 0 && err == io.EOF):
			return fault.New(fault.BodyLength, fault.Local, "sending the request body")
		case err == io.EOF:
			return c.endRequest(a, b[:n])
		case err != nil:
			return fault.Wrap(fault.BadRequest, fault.Local, "reading the body to send", err)
		}
		if err := c.sendPiece(b[:n], !known); err != nil {
			return err
		}
	}
}

// noMore is io.EOF when a body has nothing more, and nil when it has.
func noMore(body io.Reader) error {
	var b [1]byte
	for {
		if n, err := body.Read(b[:]); n > 0 {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// sendPiece sends body octets through the framing.
func (c *Conn) sendPiece(p []byte, flush bool) error {
	c.wmu.Lock()
	defer c.unlockOut()
	if err := c.encodeLocked(p); err != nil {
		return err
	}
	if flush {
		return c.flushLocked(nil)
	}
	return nil
}

func (c *Conn) encodeLocked(p []byte) error {
	out, code := c.client.enc.before(c.out.Ready(), len(p))
	if code != fault.None {
		return fault.New(code, fault.Local, "sending the request body")
	}
	c.out.B = out
	if err := c.sendLocked(p); err != nil {
		return err
	}
	c.out.B = c.client.enc.after(c.out.Ready())
	return nil
}

// endRequest sends the body's last piece and the framing's end. The request
// counts as whole before its last octets leave, so that no answer to it, however
// quick, looks like one that came early.
func (c *Conn) endRequest(a *ask, last []byte) error {
	var trailer []byte
	if a.trailer != nil {
		var err error
		if trailer, err = a.trailer(); err != nil {
			return err
		}
	}
	k := c.client
	c.wmu.Lock()
	defer c.unlockOut()
	k.mu.Lock()
	k.queue.sentLast()
	if k.queue.len() == 1 {
		c.m.on(clientHalf, eventEnd)
	}
	k.sentAt.Store(clock.Mono(clock.Now()))
	k.mu.Unlock()
	if err := c.encodeLocked(last); err != nil {
		return err
	}
	out, code := k.enc.end(c.out.Ready(), trailer)
	if code != fault.None {
		return fault.New(code, fault.Local, "ending the request body")
	}
	c.out.B = out
	return c.werr
}

// endExchange ends the exchange whose answer was read: the next one in line
// takes its turn, or the connection rests. On any verdict but reuse nothing
// still in line will be answered here.
func (c *Conn) endExchange(v verdict) {
	k := c.client
	k.body = nil
	if up := k.up; up != nil {
		k.up = nil
		if v == verdictReuse && !ends(up, soonSent) {
			go c.endWhenSent(up)
			return
		}
	}
	v, next, left := c.leaveLine(v)
	var d dealt
	if k.share != nil {
		v, left = c.deal(&d, v, next, left)
	}
	switch {
	case v != verdictReuse:
		c.cutOff()
	case left == 0:
		c.tell(EventIdle)
		c.idleMemory()
	}
	if k.release != nil && k.release(c, v, 1+d.n) {
		c.passOn(&d)
	}
	d.tell()
}

// soonSent is how long a goroutine may take to come back from a write that is over:
// a server answers before that now and then, and the connection is as good as free.
const soonSent = 10 * time.Millisecond

// ends waits so long for the end of an upload, and tells whether it came.
func ends(up <-chan struct{}, limit time.Duration) bool {
	select {
	case <-up:
		return true
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-up:
		return true
	case <-timer.C:
		return false
	}
}

// endWhenSent ends an exchange whose answer is whole while the last octets of its
// request are still being written: a server may answer before it has read them.
// Nobody waits for that. It has the time that the rest of an answer has.
func (c *Conn) endWhenSent(up <-chan struct{}) {
	if limit := c.set.limits.drainTime; limit != never && !ends(up, limit) {
		c.fail(CloseIncomplete, nil)
	}
	<-up
	v := verdictReuse // which was told already
	if level, _ := c.m.closing(); level >= levelLast {
		v = verdictClose
	}
	c.endExchange(v)
}

// leaveLine takes the exchange that is over out of the line. It gives the verdict
// on the connection, the turn that comes next, and how many are left.
func (c *Conn) leaveLine(v verdict) (_ verdict, next turn, left int) {
	k := c.client
	k.mu.Lock()
	k.queue.pop()
	if v == verdictReuse && c.unasked() {
		c.m.raise(levelNow, CloseUnasked)
		v = verdictClose
	}
	if v != verdictReuse {
		k.queue.lost(false, k.leftOver)
	}
	next, _ = k.queue.next()
	left = k.queue.len()
	switch {
	case left > 0:
		c.takeTurn()
	case v == verdictReuse:
		c.m.rest(clock.Now()) // before the next request can begin
	}
	k.mu.Unlock()
	c.win.Unpin()
	c.in = nil
	return v, next, left
}

// unasked tells whether octets have come that nobody asked for: there is nobody
// in line, or nothing of the next request has left so far. They must not be taken
// for its answer. mu is held.
func (c *Conn) unasked() bool {
	next, ok := c.client.queue.next()
	return c.win.Len() > 0 && (!ok || c.bytesOut.Load() <= next.from)
}

// cutOff closes a client's connection. After the last answer there is nothing
// that the server waits for, so nothing more is sent; an upload still under way
// in another goroutine is cut off, which is what closing first is for.
func (c *Conn) cutOff() {
	if level, _ := c.m.closing(); level == levelKeep {
		c.m.raise(levelNow, CloseIncomplete) // answered before the request was whole
	}
	_ = c.abort(CloseLocalAsked, nil)
	c.recycle()
}

// fail ends the connection from another goroutine than the one that reads, which
// then finds err to be what went wrong.
func (c *Conn) fail(reason CloseReason, err error) {
	c.note(err)
	_ = c.abort(reason, nil)
}

// stirTime is how long the rest of a TLS record may take that an idle connection
// has begun to receive. What nobody could read in stirLimit, the time doubled again
// and again, is taken for the server's words.
const (
	stirTime  = time.Millisecond
	stirLimit = 64 * time.Millisecond
)

// stirred finds out what it is that came on an idle connection over TLS. Session
// tickets and key updates (RFC 8446 section 4.6) are no words of the server's:
// reading takes them off, and then there is nothing, for which the reason is
// CloseNone. So it is when the time was over before the read began.
func (c *Conn) stirred(patience time.Duration) (CloseReason, error) {
	c.drainBy = clock.Now().Add(patience)
	n, err := c.rawRead(make([]byte, 1), waitDrain)
	f, _ := errors.AsType[*fault.Error](err)
	switch {
	case n > 0:
		return CloseUnasked, nil
	case err == io.EOF:
		return ClosePeerEOF, nil
	case f != nil && f.Code == fault.BodyTimeout:
		return CloseNone, nil
	}
	return CloseReadFailed, err
}

// heldBack finds out whether TLS holds octets of an idle connection on which
// nothing waits to be read: a record that came together with an earlier one, or a
// part of one, which may be the server's words.
func (c *Conn) heldBack() (CloseReason, error) {
	m := c.client.wire.meter
	if m == nil { // of a TLS that the caller made, nobody knows what it holds: it is asked each time
		if _, secure := c.nc.(*tls.Conn); !secure {
			return CloseNone, nil
		}
		return c.stirred(0)
	}
	if !m.more {
		return CloseNone, nil
	}
	reason, err := c.stirred(0) // what is held is given whatever the time
	if m.more = m.inRecord(); m.more && reason == CloseNone {
		reason = CloseUnasked
	}
	return reason, err
}
