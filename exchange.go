package h1

// This file is the server's side of one exchange: what a native handler asks
// of the request. The answer is in answer.go.

import (
	"errors"
	"io"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/buf"
	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// Exchange is one request and its answer on a server-side Conn.
//
// An Exchange and every []byte it gives are lent: they are good until the
// handler returns, or until the next call of Conn.Next, and are used again
// for another exchange after that. Copy what has to live longer. Built with
// the tag h1poison, lent octets are overwritten when their time is over, so
// that tests find a handler that kept some.
//
// An Exchange is for one goroutine, except that Read may run beside Write.
type Exchange struct {
	c      *Conn
	at     time.Time // when it began; from ending on, when it ended
	ending bool      // the handler has returned
	in     incoming
	expect atomic.Bool // the client waits for a 100 (Continue) before it sends the body
	duplex bool        // the body may be read after the answer began
	answer answer

	// Of an exchange before, perhaps on another connection.
	made     madeHead
	lastType string // what Reply set

	// reading is held while the body is read, when a goroutine may do that beside
	// one that writes and drains; nil: none does.
	reading sync.Locker
}

// NativeHandler answers exchanges without net/http's types, and without
// allocating.
type NativeHandler interface {
	// ServeH1 answers one exchange. When it returns, the answer is completed
	// and sent: with what was written, or with status 200 and no content.
	ServeH1(*Exchange)
}

// NativeHandlerFunc is a function as a NativeHandler.
type NativeHandlerFunc func(*Exchange)

// ServeH1 calls f.
func (f NativeHandlerFunc) ServeH1(x *Exchange) { f(x) }

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// Next completes the exchange under way, if any, and waits for the next
// request. The error is io.EOF when the connection ended in good order
// between two messages (the peer closed, the idle timeout passed, this end or
// the peer wanted no further exchange), and an *Error otherwise; a request
// that cannot be accepted was then answered with the error's status. After an
// error the connection is closed.
//
// The Exchange is lent until the next call.
func (c *Conn) Next() (*Exchange, error) {
	if c.role != ServerRole {
		return nil, fault.New(fault.WrongState, fault.Local, "waiting for a request")
	}
	v := verdictReuse
	if c.x != nil {
		v = c.finish()
	}
	for v == verdictReuse {
		x, err := c.next()
		switch err {
		case nil:
			return x, nil
		case errNoRequest:
			continue
		}
		c.closeStaged(c.m.verdict())
		return nil, err
	}
	c.closeStaged(v)
	return nil, io.EOF
}

// next waits for a request and reads its head. It is called with no exchange
// under way, or to go on with a head of which only a part had come. The error
// is io.EOF when no request will come, errParked when the connection was left to
// the poller, and errNoRequest when it has to be called again.
func (c *Conn) next() (*Exchange, error) {
	if c.x == nil {
		if level, _ := c.m.closing(); level >= levelNoMore && !c.resting { // more looks once more at one that rests
			return nil, io.EOF
		}
		if err := c.awaitRequest(); err != nil {
			return nil, err
		}
		c.began = c.now
		c.anExchange().begin(c)
	}
	switch err := c.acceptRequest(c.x); err {
	case nil:
		return c.x, nil
	case errNoRequest:
		c.withdraw()
		return nil, err
	default:
		return nil, err
	}
}

// errNoRequest is what reading a head fails with when nothing but line ends
// came.
var errNoRequest = errors.New("h1: no request")

// onlyLineEnds tells whether all that came of a request is line ends, as some
// clients send them behind a body (RFC 9112 section 2.2). They begin no request,
// so that the client may go on being idle; only so many are passed over.
func (c *Conn) onlyLineEnds() bool {
	pos := int(c.in.head.pos)
	return pos > 0 && c.in.head.stage == stageStart && pos == c.win.Len() && int(c.lineEnds)+pos/crlf <= emptyLines
}

// withdraw takes a request back that did not begin: the connection is idle, and
// has been as long as before.
func (c *Conn) withdraw() {
	pos := int(c.in.head.pos)
	c.lineEnds += uint8(pos / crlf)
	c.releaseExchange()
	c.win.Advance(pos)
	if !c.batched {
		c.resting = true
		c.m.rest(c.m.idleSince())
	}
}

// awaitRequest returns once the window holds an octet of the next request.
func (c *Conn) awaitRequest() error {
	if c.batched = c.win.Len() > 0 && !c.resting; c.batched {
		return nil
	}
	if !c.resting {
		c.burstEnds()
		c.burstOver()
		if err := c.flushNow(); err != nil {
			return io.EOF // the answer could not be sent: c.err says so
		}
		c.resting = true
		c.m.rest(c.now)
		if c.m.requests.Load() > 0 {
			c.tell(EventIdle)
		}
	}
	err := c.more(waitIdle)
	if err == nil {
		c.resting = false
		c.m.stir()
		return nil
	}
	if err == io.EOF {
		c.m.raise(levelNow, ClosePeerEOF)
		return io.EOF
	}
	if f, ok := err.(*fault.Error); ok && (f.Code == fault.IdleTimeout || f.Code == fault.Closed) {
		return io.EOF
	}
	return err
}

// acceptRequest reads a request's head and decides what follows from it: its
// framing, whether the connection persists, what is owed.
func (c *Conn) acceptRequest(x *Exchange) error {
	err := c.readHead(waitHead)
	if err == errParked || err == errNoRequest {
		return err
	}
	if err == nil {
		err = c.frameRequest(x)
	}
	if err != nil {
		c.refuse(err)
		return err
	}
	if limit := c.set.readTime; limit > 0 {
		c.readBy.Store(clock.Mono(c.began.Add(limit)))
	}
	if limit := c.set.writeTime; limit > 0 {
		c.limitWrite(c.now.Add(limit))
	}
	c.tell(EventRequest)
	return nil
}

func (c *Conn) frameRequest(x *Exchange) error {
	h := &x.in.head
	c.lineEnds = 0
	c.m.begin(c.now, &c.set.policy)
	c.m.on(clientHalf, eventHead)
	if reason := persists(h.minor, h.options); reason != CloseNone {
		c.m.raise(levelLast, reason)
	}
	f, code := frameRequest(h, c.headText(), c.set.coding.has)
	if code == fault.None && h.expect == expectOther {
		code = fault.ExpectationUnknown
	}
	if code != fault.None {
		return c.condemn(c.faultOf(code, waitHead, nil))
	}
	if disable := c.set.policy.disable; disable != nil && disable(x) {
		c.m.raise(levelLast, CloseDisabled)
	}
	if h.methodID == field.CONNECT || h.upgrade && h.options&optUpgrade != 0 {
		c.m.offer()
	}
	if err := c.startBody(f); err != nil {
		return err
	}
	put(&x.expect, h.expect == expectContinue && h.minor > 0 && !x.in.whole)
	return nil
}

// anExchange is one to begin with: that of the request before in the same burst,
// or one of the pool.
func (c *Conn) anExchange() *Exchange {
	x := c.spare
	if x == nil {
		return exchanges.Get().(*Exchange)
	}
	c.spare = nil
	return x
}

// burstEnds gives back what is kept from one request of a burst to the next.
func (c *Conn) burstEnds() {
	if c.spare != nil {
		exchanges.Put(c.spare)
		c.spare = nil
	}
}

// begin makes a used Exchange ready for the next request on c.
func (x *Exchange) begin(c *Conn) {
	x.c, x.at = c, c.now
	x.in.reset()
	put(&x.expect, false)
	x.duplex, x.ending, x.reading = true, false, nil
	x.answer.reset()
	c.x, c.in = x, &x.in
	put(&c.bodyOver, false)
}

// put gives b a value that it often has already: then there is no store, which
// takes the time of twenty loads.
func put(b *atomic.Bool, to bool) {
	if b.Load() != to {
		b.Store(to)
	}
}

// releaseExchange ends the exchange's life.
func (c *Conn) releaseExchange() {
	c.win.Unpin()
	x := c.x
	if x == nil {
		return
	}
	c.x, c.in = nil, nil
	if c.readBy.Load() != 0 {
		c.readBy.Store(0)
	}
	if c.writeBy.Load() != 0 {
		c.writeBy.Store(0)
	}
	put(&c.readOwn, false)
	put(&c.writeOwn, false)
	x.c = nil
	buf.Poison(x.in.trailerText)
	x.answer.release()
	c.spare = x
	if c.win.Len() == 0 {
		c.burstEnds()
	}
}

// finish completes the answer, brings the request's body to its end, and
// asks for the verdict.
func (c *Conn) finish() verdict {
	x := c.x
	if !c.inBurst() { // the handler may have worked for long
		c.now = clock.Now()
	}
	x.at = c.now
	x.ending = true
	x.end()
	c.sendInTime()
	if !x.in.whole && !c.ended.Load() {
		if level, _ := c.m.closing(); level < levelNoMore && !c.drain() {
			c.m.raise(levelLast, CloseUndrained)
		}
	}
	v := c.m.verdict()
	if v == verdictReuse {
		c.releaseExchange()
	}
	return v
}

// sendInTime sends an answer that has a time limit while the limit is known,
// unless others are to join it and there is time for that.
func (c *Conn) sendInTime() {
	if by := c.writeBy.Load(); by != 0 && (c.win.Len() == 0 || !c.now.Before(clock.At(by))) {
		_ = c.flush()
	}
}

// refuse answers a request that cannot be accepted with the status of its
// error. Nothing after it is read as a request.
func (c *Conn) refuse(err error) {
	f, ok := err.(*fault.Error)
	if !ok || f.Status() == 0 || c.ended.Load() {
		return
	}
	if level, _ := c.m.closing(); level == levelNow {
		return
	}
	x := c.x
	x.expect.Store(false)
	x.answer.reset()
	x.Reply(f.Status(), "text/plain; charset=utf-8", []byte(f.Code.Error()+"\n"))
	x.end()
}

// Conn is the connection the exchange runs on.
func (x *Exchange) Conn() *Conn { return x.c }

// Method is the request's method as it was sent.
func (x *Exchange) Method() []byte { return x.in.head.method.of(x.c.headText()) }

// Target is the request target as it was sent (RFC 9112 section 3.2).
func (x *Exchange) Target() []byte { return x.in.head.target.of(x.c.headText()) }

// Path is the target's path, still percent-encoded: without the query, and
// without scheme and authority when the target has them.
func (x *Exchange) Path() []byte {
	path, _ := x.in.head.pathAndQuery(x.c.headText())
	return path
}

// Query is the target's query, still encoded, without the question mark.
func (x *Exchange) Query() []byte {
	_, query := x.in.head.pathAndQuery(x.c.headText())
	return query
}

// Host is the authority the request is for: the target's when it has one,
// otherwise the Host field's value (RFC 9112 section 3.3).
func (x *Exchange) Host() []byte { return x.in.head.host.of(x.c.headText()) }

// Proto is the request's version: 1 and 0, or 1 and 1.
func (x *Exchange) Proto() (major, minor int) {
	return int(x.in.head.major), int(x.in.head.minor)
}

// Field is the value of the first field of that name in the request's head,
// nil when there is none. The name's case does not matter.
func (x *Exchange) Field(name string) []byte { return x.in.head.named(x.c.headText(), name) }

// Fields gives the request's fields as they were sent, in their order.
func (x *Exchange) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		text := x.c.headText()
		for i := range x.in.head.fields {
			f := &x.in.head.fields[i]
			if !yield(f.name.of(text), f.value.of(text)) {
				return
			}
		}
	}
}

// ContentLength is the length of the request's body, -1 when it is not known
// beforehand.
func (x *Exchange) ContentLength() int64 { return x.in.head.contentLength() }

// contentLength is the length of a request's body, -1 when it is not known
// beforehand.
func (h *head) contentLength() int64 {
	switch {
	case h.codings > 0:
		return -1
	case h.lengths > 0:
		return h.length
	}
	return 0
}

// Read reads the request's body. It returns io.EOF at the body's end; a body
// that breaks off gives an *Error that holds io.ErrUnexpectedEOF. A client
// that waits for 100 (Continue) is sent it by the first Read.
func (x *Exchange) Read(p []byte) (int, error) { return x.c.readBody(p) }

// Trailer is the value of the first trailer field of that name, nil when
// there is none. Trailers are known once Read has returned io.EOF.
func (x *Exchange) Trailer(name string) []byte {
	return x.in.trailer.named(x.in.trailerText, name)
}

// SetReadDeadline limits the reading of this request's body, in place of
// Server.ReadTimeout and Limits.MinReadRate. A zero time means no limit but
// StallTimeout.
func (x *Exchange) SetReadDeadline(t time.Time) {
	var own int64
	if !t.IsZero() {
		own = clock.Mono(t)
	}
	x.c.readOwn.Store(true)
	x.c.readBy.Store(own)
	x.c.poke() // a read under way looks at it again
}

// CloseAfter makes this exchange the last on its connection: the answer says
// `Connection: close`, when its head is not yet sent.
func (x *Exchange) CloseAfter() { x.c.m.raise(levelLast, CloseLocalAsked) }

// Hijack takes the connection out of h1's hands: the caller owns it from then
// on, with the octets that were read beyond the request's head. What was
// written before is sent. The error is a *Error when that failed or when the
// connection is already over.
func (x *Exchange) Hijack() (nc net.Conn, rest []byte, err error) {
	nc, rest, err = x.c.takeOver(CloseHijacked)
	if owner := x.c.pk.owner; nc != nil && owner != nil {
		owner.handedOver()
	}
	return nc, rest, err
}
