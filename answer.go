package h1

// This file writes answers: the head with what persistence and framing add to
// it, the body, the trailer section.

import (
	"net/http"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// answer is the answer being made. Its state is guarded by the connection's wmu.
type answer struct {
	status int
	length int64 // declared Content-Length; -1: not known

	fields  []byte // the handler's field lines, as they will be sent
	options []byte // what the handler lists in Connection besides close and keep-alive
	typed   bool   // the handler set Content-Type
	encoded bool   // the handler set Content-Encoding
	dated   bool   // the handler set Date, or wants none
	unsized bool   // the handler wants no Content-Length
	sniff   bool   // learn Content-Type from the body

	staged  []byte // the body's first octets, while the length may still be learned
	written int64  // body octets given by the handler
	begun   bool   // the head is made
	over    bool   // the last octet is made
	none    bool   // the message has no body (HEAD, 204, 304)
	failed  bool   // what was sent cannot be completed

	trailer   []byte   // the handler's trailer field lines
	trailed   bool     // trailers are announced, so the answer is chunked
	announced []string // their names, canonical, as far as net/http's handler told them
	enc       encoder
	coded     TransferWriter // applies a further transfer coding; nil almost always
	coding    string         // its name
}

// stageSize is how much of a body of unknown length is held back to learn its
// Content-Length; the same as net/http's.
const stageSize = 2048

// keptScratch is the largest buffer an exchange keeps for the next one.
const keptScratch = 8 << 10

func (a *answer) reset() {
	fields, options, staged, trailer := a.fields[:0], a.options[:0], a.staged[:0], a.trailer[:0]
	*a = answer{} // cleared where it is: a literal would be made elsewhere and moved
	a.length, a.fields, a.options, a.staged, a.trailer = -1, fields, options, staged, trailer
}

// trails tells whether trailer fields follow the body.
func (a *answer) trails() bool { return a.trailed || len(a.trailer) > 0 }

// release drops what a rare large answer has grown.
func (a *answer) release() {
	if cap(a.fields) > keptScratch {
		a.fields = nil
	}
	if cap(a.trailer) > keptScratch {
		a.trailer = nil
	}
	a.coded = nil
}

// SetStatus sets the answer's status code, 200 when it is not called. It has
// no effect once the head is made.
func (x *Exchange) SetStatus(code int) { x.answer.status = code }

// SetField adds a field line to the answer's head, in the order of the calls.
// Content-Length is taken as SetContentLength, `Connection: close` as
// CloseAfter; Transfer-Encoding is h1's own to set. The error is an *Error when
// name or value cannot be a field's (RFC 9110 section 5), when the field is
// h1's own, or when the head is already made.
func (x *Exchange) SetField(name, value string) error {
	if x.answer.begun {
		return fault.New(fault.WrongState, fault.Local, "setting a field of the response")
	}
	if !validField(name, value) {
		return fault.New(fault.BadResponse, fault.Local, "setting a field of the response")
	}
	return x.addField(field.Lookup([]byte(name)), name, value)
}

// addField takes one valid field of the answer's head: what h1 decides itself
// is noted, all else is queued as it is.
func (x *Exchange) addField(id field.ID, name, value string) error {
	a := &x.answer
	switch id {
	case field.ContentLength:
		n, ok := octet.ParseDecimal([]byte(value))
		if !ok {
			return fault.New(fault.BadResponse, fault.Local, "setting Content-Length")
		}
		a.length = n
		return nil
	case field.Connection:
		x.addOptions(value)
		return nil
	case field.TransferEncoding:
		return fault.New(fault.BadResponse, fault.Local, "setting Transfer-Encoding")
	case field.ContentType:
		a.typed = true
	case field.ContentEncoding:
		a.encoded = true
	case field.Date:
		a.dated = true
	}
	a.fields = appendField(a.fields, name, value)
	return nil
}

// addOptions takes the handler's Connection field: close and keep-alive are
// h1's to say, others are passed on.
func (x *Exchange) addOptions(list string) {
	for elem, rest, ok := octet.NextElement([]byte(list)); ok; elem, rest, ok = octet.NextElement(rest) {
		switch {
		case octet.EqualFold(elem, "close"):
			x.CloseAfter()
		case octet.EqualFold(elem, "keep-alive"):
		default:
			if len(x.answer.options) > 0 {
				x.answer.options = append(x.answer.options, ", "...)
			}
			x.answer.options = append(x.answer.options, elem...)
		}
	}
}

// validField tells whether name and value may go on the wire (RFC 9110
// sections 5.1 and 5.5).
func validField(name, value string) bool {
	return octet.IsToken([]byte(name)) && octet.IsFieldValue([]byte(value))
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// SetContentLength declares the length of the answer's body. Without it a
// small body's length is learned, and a larger one is sent in chunks.
func (x *Exchange) SetContentLength(n int64) { x.answer.length = n }

// SetTrailer adds a trailer field, sent after the body when the answer is
// chunked (RFC 9112 section 7.1.2). Call it before the last Write returns at
// the latest; an answer with trailers is always chunked, unless the client
// speaks HTTP/1.0, which has none.
func (x *Exchange) SetTrailer(name, value string) error {
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	if !validField(name, value) || x.answer.over {
		return fault.New(fault.BadResponse, fault.Local, "setting a trailer field")
	}
	x.answer.trailer = appendField(x.answer.trailer, name, value)
	return nil
}

// SetWriteDeadline limits the writing of this answer, in place of
// Server.WriteTimeout and Limits.MinWriteRate. A zero time means no limit but
// StallTimeout. A write that another goroutine has under way heeds it too.
func (x *Exchange) SetWriteDeadline(t time.Time) {
	x.c.writeOwn.Store(true)
	x.c.limitWrite(t)
}

// Reply is a whole answer in one call: status, Content-Type (none when
// empty) and body. Fields set before are part of it.
func (x *Exchange) Reply(status int, contentType string, body []byte) error {
	x.answer.status, x.answer.length = status, int64(len(body))
	if contentType != "" {
		if err := x.setType(contentType); err != nil {
			return err
		}
	}
	if !x.answer.begun {
		x.settleBody() // nobody reads it any more, and the head has to say what became of it
	}
	_, err := x.Write(body)
	return err
}

// setType sets Content-Type. The one that was set last is known to be valid.
func (x *Exchange) setType(value string) error {
	if x.answer.begun || value != x.lastType {
		err := x.SetField("Content-Type", value)
		if err == nil {
			x.lastType = value
		}
		return err
	}
	x.answer.typed = true
	x.answer.fields = appendField(x.answer.fields, "Content-Type", value)
	return nil
}

// Write adds p to the answer's body. The octets are sent when there are many
// of them, on Flush, and when the connection is about to wait. The error is
// http.ErrBodyNotAllowed where an answer has no body, http.ErrContentLength
// past the declared length, and an *Error when the connection has failed. For
// a HEAD request the octets are counted and dropped.
func (x *Exchange) Write(p []byte) (int, error) {
	x.settle(len(p))
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	return x.writeLocked(p)
}

// WriteString is Write for a string.
func (x *Exchange) WriteString(s string) (int, error) {
	if x.stage(s) {
		return len(s), nil
	}
	return x.Write([]byte(s))
}

// stage holds a small string back without a copy of its own.
func (x *Exchange) stage(s string) bool {
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	a := &x.answer
	if a.begun || a.over || a.length >= 0 || len(a.staged)+len(s) > stageSize || !bodyAllowed(x.in.head.methodID, x.status()) {
		return false
	}
	a.staged = append(a.staged, s...)
	a.written += int64(len(s))
	return true
}

// settle brings the request's body to its end before the answer begins, when
// it has to be: some clients read nothing until they have sent all.
func (x *Exchange) settle(more int) {
	a := &x.answer
	if !x.duplex && !a.begun && (a.length >= 0 || len(a.staged)+more > stageSize) {
		x.settleBody()
	}
}

// settleBody drains the request's body, or makes the exchange the last when
// that costs too much or the client was never asked for it. What was drained
// cannot be read any more, and does not pass for a body's end.
func (x *Exchange) settleBody() {
	c := x.c
	if x.reading != nil {
		x.reading.Lock()
		defer x.reading.Unlock()
	}
	if x.in.whole || c.ended.Load() {
		return
	}
	if level, _ := c.m.closing(); level >= levelNoMore {
		return
	}
	if x.status() == http.StatusRequestEntityTooLarge { // there is no use in reading on (RFC 9110 section 15.5.14)
		c.m.raise(levelLast, CloseUndrained)
		return
	}
	if x.expect.Load() && c.win.Len() == 0 || x.in.dec.remaining() > c.set.limits.drainBytes {
		c.m.raise(levelLast, CloseUndrained)
		return
	}
	if !c.drain() {
		c.m.raise(levelLast, CloseUndrained)
	}
	if x.in.err == nil {
		x.in.err = http.ErrBodyReadAfterClose
	}
}

func (x *Exchange) writeLocked(p []byte) (int, error) {
	a := &x.answer
	if a.over || x.c.ended.Load() {
		return 0, fault.New(fault.WrongState, fault.Local, "writing the response body")
	}
	if !bodyAllowed(x.in.head.methodID, x.status()) {
		if x.in.head.methodID != field.HEAD || x.status() == http.StatusNotModified || x.status() == http.StatusNoContent {
			return 0, http.ErrBodyNotAllowed
		}
		if room := sniffed - len(a.staged); a.sniff && !a.begun && room > 0 {
			a.staged = append(a.staged, p[:min(room, len(p))]...) // for the Content-Type that GET would have
		}
		a.written += int64(len(p))
		return len(p), x.c.werr
	}
	if a.length >= 0 && a.written+int64(len(p)) > a.length {
		return 0, http.ErrContentLength
	}
	a.written += int64(len(p))
	if !a.begun {
		if a.length < 0 && len(a.staged)+len(p) <= stageSize {
			a.staged = append(a.staged, p...)
			return len(p), nil
		}
		if err := x.start(p); err != nil {
			return 0, err
		}
	}
	if err := x.body(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (x *Exchange) status() int {
	if x.answer.status == 0 {
		return http.StatusOK
	}
	return x.answer.status
}

// start makes the head and sends what was staged; sample is the body's next
// octets, for a Content-Type to be learned from.
func (x *Exchange) start(sample []byte) error {
	if err := x.makeHead(sample); err != nil {
		return err
	}
	staged := x.answer.staged
	x.answer.staged = staged[:0]
	if x.answer.none || len(staged) == 0 {
		return nil
	}
	return x.body(staged)
}

// makeHead queues the answer's head. From here on the exchange's outcome is
// on the wire, so everything that decides on persistence has been asked.
func (x *Exchange) makeHead(sample []byte) error {
	c, a := x.c, &x.answer
	h := &x.in.head
	status := x.status()
	f := frameAnswer(h.methodID, status, h.minor, a.length)
	if a.trails() && f.kind == bodyLength && h.minor > 0 {
		f = framing{kind: bodyChunked}
	}
	if f.kind == bodyUntilClose {
		c.m.raise(levelLast, CloseUntilClose)
	}
	if x.expect.Load() && status >= 200 {
		// A body that was not asked for may never come: what follows could be
		// the body or the next request.
		c.m.raise(levelLast, CloseUndrained)
	}
	c.writes = pace{}
	if status >= 200 {
		c.m.answers(c.behind.Load())
	}
	a.begun, a.none = true, f.kind == bodyNone
	c.m.on(serverHalf, headEvent(h.methodID, status))
	if f.kind == bodyChunked && h.te && h.options&optTE != 0 && !c.set.coding.empty() { // RFC 9110 section 10.1.4
		a.coding = c.set.coding.choose(h.values(c.headText(), field.TE)...)
	}

	out := c.out.Ready()
	if len(out)+len(a.fields)+fixedHead > cap(out) {
		if err := c.flushLocked(nil); err != nil {
			return err
		}
		out = c.out.B
	}
	c.out.B = x.appendHead(out, f, status, sample)

	a.enc.start(f)
	return x.startCoding()
}

// fixedHead is room for all that h1 adds to the handler's fields.
const fixedHead = 512

func headEvent(method field.Method, status int) event {
	if status == http.StatusSwitchingProtocols || method == field.CONNECT && status/100 == 2 {
		return eventSwitch
	}
	return eventHead
}

// sniffed is how many octets http.DetectContentType looks at.
const sniffed = 512

// contentType learns the type from the body's first octets, as net/http does.
func (x *Exchange) contentType(sample []byte) string {
	if staged := x.answer.staged; len(staged) > 0 {
		if room := sniffed - len(staged); room > 0 {
			staged = append(staged, sample[:min(room, len(sample))]...)
			x.answer.staged = staged[:len(x.answer.staged)]
		}
		sample = staged
	}
	return http.DetectContentType(sample)
}

// startCoding puts the negotiated transfer coding under the chunks.
func (x *Exchange) startCoding() error {
	if x.answer.coding == "" {
		return nil
	}
	coded, err := encodeStack([]string{x.answer.coding}, (*chunkedBody)(x))
	if err != nil {
		x.answer.failed = true
		return fault.Wrap(fault.BadResponse, fault.Local, "starting the transfer coding", err)
	}
	x.answer.coded = coded
	return nil
}

// chunkedBody is an Exchange seen as the writer of its body's octets as they
// go on the wire, after further transfer codings.
type chunkedBody Exchange

// Write implements io.Writer; wmu is held by whoever writes the body.
func (b *chunkedBody) Write(p []byte) (int, error) {
	if err := (*Exchange)(b).framed(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// body sends body octets through the coding, if any, and the framing.
func (x *Exchange) body(p []byte) error {
	if len(p) == 0 {
		return x.c.werr
	}
	if x.answer.coded != nil {
		_, err := x.answer.coded.Write(p)
		return err
	}
	return x.framed(p)
}

// framed sends body octets through the framing.
func (x *Exchange) framed(p []byte) error {
	c, a := x.c, &x.answer
	if len(p) == 0 {
		return c.werr
	}
	out, code := a.enc.before(c.out.Ready(), len(p))
	if code != fault.None {
		return fault.New(code, fault.Local, "writing the response body")
	}
	c.out.B = out
	if err := c.sendLocked(p); err != nil {
		return err
	}
	c.out.B = a.enc.after(c.out.Ready())
	return nil
}

// Flush sends all that was written so far, beginning the answer when nothing
// was. The error is an *Error when the connection has failed.
func (x *Exchange) Flush() error {
	if !x.duplex && !x.answer.begun {
		x.settleBody()
	}
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	return x.flushLocked()
}

func (x *Exchange) flushLocked() error {
	if !x.answer.begun {
		if err := x.start(nil); err != nil {
			return err
		}
	}
	if x.answer.coded != nil && !x.answer.over {
		if err := x.answer.coded.Flush(); err != nil {
			return err
		}
	}
	return x.c.flushLocked(nil)
}

// inform sends an informational (1xx) response at once, with the fields set so
// far when it is not a 100. HTTP/1.0 has none (RFC 9110 section 15.2).
func (x *Exchange) inform(status int) error {
	c := x.c
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if x.in.head.minor == 0 || x.answer.begun || !c.m.on(serverHalf, eventInfo) {
		return nil
	}
	out := appendStatusLine(c.out.Ready(), status)
	if status != http.StatusContinue {
		out = append(out, x.answer.fields...)
	}
	c.out.B = append(out, "\r\n"...)
	return c.flushLocked(nil)
}

// end completes the answer: a head when none was made, with the length that
// is known by now, and the framing's end. An answer that is shorter than it
// declared cannot be completed, so the connection is closed.
func (x *Exchange) end() {
	if x.c.ended.Load() {
		return
	}
	if !x.answer.begun {
		x.settleBody()
	}
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	x.endLocked()
}

func (x *Exchange) endLocked() {
	c, a := x.c, &x.answer
	if a.over {
		return
	}
	if !a.begun {
		x.learnLength()
		_ = x.start(nil)
	}
	if a.coded != nil {
		if a.coded.Close() != nil {
			a.failed = true
		}
	}
	a.over = true
	out, code := a.enc.end(c.out.Ready(), a.trailer)
	if code != fault.None || a.failed {
		c.note(fault.New(fault.BodyLength, fault.Local, "ending the response body"))
		c.m.raise(levelNow, CloseIncomplete)
		return
	}
	c.out.B = out
	c.m.on(serverHalf, eventEnd)
}

// learnLength takes the length from what was written, when that is all.
func (x *Exchange) learnLength() {
	a := &x.answer
	if a.length >= 0 || a.unsized || a.trails() && x.in.head.minor > 0 {
		return
	}
	if (x.in.head.methodID == field.HEAD || x.status() == http.StatusNotModified) && a.written == 0 {
		return // what GET, or a 200, would have had is not known
	}
	a.length = a.written
}
