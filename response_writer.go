package h1

// This file is net/http's ResponseWriter over an Exchange: the Header map
// taken as it is at WriteHeader, and the contract of http.Handler.

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"

	"golang.org/x/net/http/httpguts"
)

// responseWriter is the http.ResponseWriter of one request. It is made anew
// for each, together with all else that the handler gets to hold, and it is
// cut from the exchange when the handler returns: a goroutine that still uses
// it gets an error.
//
// It takes 568 octets, which with the runtime's own 8 fill a size class: one
// field more, and each request takes 64 octets more (TestAWriterFillsItsSizeClass).
type responseWriter struct {
	mu       sync.Mutex
	ss       *session
	x        *Exchange // nil once the handler has returned
	early    *early    // its handler began before its turn; nil: it did not
	header   http.Header
	hijacked bool
	fixed    bool // WriteHeader was called: the head's fields are taken

	// The request's body, guarded by bodyMu.
	bodyLent   bool // the handler has it; only the handler's own goroutine asks
	bodyEnded  bool
	bodyClosed bool
	bodyMu     sync.Mutex

	request http.Request
	url     url.URL
	ctx     requestContext
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ http.Hijacker   = (*responseWriter)(nil)
	_ io.ReaderFrom   = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)
)

// prepare makes the request and the writer of one exchange. The request is nil
// when its target is no URL; the exchange is then answered.
func (ss *session) prepare(x *Exchange) *responseWriter {
	w := &responseWriter{ss: ss, x: x}
	w.ctx.parent, w.ctx.conn = ss.ctx, x.c
	if err := w.newRequest(&x.in.head, x.c.headText()); err != nil {
		x.badTarget()
		return nil
	}
	if !x.in.whole {
		w.bodyLent = true
		x.reading = &w.bodyMu
		w.request.Body = (*requestBody)(w)
	}
	put(&x.c.bodyOver, x.in.whole)
	x.c.watchedBy(&w.ctx)
	return w
}

// Header implements http.ResponseWriter.
func (w *responseWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// usable tells why the writer cannot be used; mu is held.
func (w *responseWriter) usable() error {
	switch {
	case w.hijacked:
		return http.ErrHijacked
	case w.early.waits():
		return w.early.lost
	case w.x == nil:
		return fault.New(fault.WrongState, fault.Local, "writing the response after its handler returned")
	}
	return nil
}

// WriteHeader implements http.ResponseWriter. A 1xx code other than 101 is an
// informational response of its own.
func (w *responseWriter) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		if w.early.waits() {
			return // its connection has ended; that is nobody's mistake
		}
		w.ss.s.logf("h1: response.WriteHeader on a hijacked or finished response%s: %v", caller(), err)
		return
	}
	if code < 100 || code > 999 {
		panic("h1: invalid WriteHeader code " + string(octet.AppendDecimal(nil, int64(code))))
	}
	if w.fixed {
		w.ss.s.logf("h1: superfluous response.WriteHeader call%s", caller())
		return
	}
	if code < 200 && code != http.StatusSwitchingProtocols {
		w.inform(code)
		return
	}
	w.fix(code)
}

// inform sends an informational response with the fields as they are now.
func (w *responseWriter) inform(code int) {
	if w.early.waits() {
		header := w.header.Clone()
		w.early.later(func() { w.informWith(code, header) })
		return
	}
	w.informWith(code, w.header)
}

func (w *responseWriter) informWith(code int, header http.Header) {
	a := &w.x.answer
	if code == http.StatusContinue {
		w.x.expect.Store(false)
	} else {
		w.fields(header, false)
	}
	_ = w.x.inform(code)
	a.fields, a.typed, a.encoded, a.dated, a.unsized = a.fields[:0], false, false, false, false
}

// fix takes the status and the fields as they are now; mu is held.
func (w *responseWriter) fix(code int) {
	w.fixed = true
	if w.early.waits() {
		header := w.header.Clone()
		w.early.later(func() { w.fixWith(code, header) })
		return
	}
	w.fixWith(code, w.header)
}

func (w *responseWriter) fixWith(code int, header http.Header) {
	w.x.answer.status = code
	w.fields(header, true)
}

// begin is what every write does first: the status is 200 when WriteHeader was
// not called; mu is held.
func (w *responseWriter) begin() error {
	err := w.usable()
	if err == nil && !w.fixed {
		w.fix(http.StatusOK)
	}
	return err
}

// fields queues the header's fields in the order of their names. Those of an
// informational response do not speak for the final one's framing.
func (w *responseWriter) fields(header http.Header, final bool) {
	if list, usual := usualFields(header); usual {
		for i, f := range list {
			if f.name != "" {
				w.fieldValues(usualNames[i], f, final)
			}
		}
		return
	}
	w.anyFields(header, final)
}

// anyFields is fields for a header that may hold anything.
func (w *responseWriter) anyFields(header http.Header, final bool) {
	var few [12]named
	list, trailers := few[:0], false
	for name, values := range header {
		list = append(list, named{name, values})
		trailers = trailers || strings.HasPrefix(name, "Trailer") // the field, or http.TrailerPrefix
	}
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.name, b.name) })
	if final && trailers {
		w.announce(header["Trailer"], list)
	}
	for _, f := range list {
		if trailers && strings.HasPrefix(f.name, http.TrailerPrefix) || slices.Contains(w.x.answer.announced, f.name) {
			continue
		}
		id := field.Lookup([]byte(f.name))
		if id == field.Unknown && !httpguts.ValidHeaderFieldName(f.name) {
			w.ss.s.logf("h1: handler set an invalid field name %s", fault.Quote([]byte(f.name), shownOctets))
			continue
		}
		w.fieldValues(id, f, final)
	}
}

// named is an entry of a Header.
type named struct {
	name   string
	values []string
}

// usualNames are what many answers have and nothing beside, sorted; mostUsual is
// in which order they are asked for. Most answers have the first of those alone.
var (
	usualNames = [...]field.ID{field.CacheControl, field.ContentLength, field.ContentType, field.XContentTypeOptions}
	mostUsual  = [len(usualNames)]uint8{2, 1, 0, 3}
)

// usualFields are a header's fields, as usualNames has them and without a name
// where there is none; false when there are others than those. To ask for four
// names takes a fifth of the time in which a map is gone through.
func usualFields(header http.Header) (fields [len(usualNames)]named, usual bool) {
	left := len(header)
	for _, i := range mostUsual {
		if left == 0 {
			break
		}
		name := usualNames[i].String()
		if values, ok := header[name]; ok {
			fields[i] = named{name, values}
			left--
		}
	}
	return fields, left == 0
}

// announce notes which names are to be trailers (http.ResponseWriter).
func (w *responseWriter) announce(lists []string, fields []named) {
	a := &w.x.answer
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t"))
			if httpguts.ValidTrailerHeader(name) && !slices.Contains(a.announced, name) {
				a.announced = append(a.announced, name)
			}
		}
	}
	a.trailed = len(a.announced) > 0 || slices.ContainsFunc(fields, func(f named) bool {
		return strings.HasPrefix(f.name, http.TrailerPrefix)
	})
}

func (w *responseWriter) fieldValues(id field.ID, f named, final bool) {
	switch {
	case len(f.values) == 0:
		w.unwanted(id)
		return
	case !final && (id == field.ContentLength || id == field.TransferEncoding || id == field.Connection):
		return
	case id == field.TransferEncoding && !slices.ContainsFunc(f.values, ownCoding):
		return
	case id == field.ContentLength:
		f.values = f.values[:1] // the one that Header.Get gives (RFC 9110 section 8.6)
	}
	for _, value := range f.values {
		if err := w.x.addField(id, f.name, cleanValue(value)); err != nil {
			w.ss.s.logf("h1: handler set %s to %s: %v", f.name, fault.Quote([]byte(value), shownOctets), err)
		}
	}
}

// unwanted notes which of the fields that an answer would have anyway it is not
// to have: those that the handler set to nil (http.ResponseWriter).
func (w *responseWriter) unwanted(id field.ID) {
	a := &w.x.answer
	switch id {
	case field.Date:
		a.dated = true
	case field.ContentType:
		a.typed = true
	case field.ContentLength:
		a.unsized = true
	}
}

// ownCoding tells whether a handler's Transfer-Encoding is more than the framing
// that h1 gives the body anyway: the client would not know of such a coding.
func ownCoding(value string) bool {
	return !strings.EqualFold(value, "chunked") && !strings.EqualFold(value, "identity")
}

// cleanValue makes any value one that may go on the wire, as net/http does:
// white space around it goes, a line end in it becomes a space, and so does
// every other control character.
func cleanValue(value string) string {
	if n := len(value); n > 0 && (isLWS(value[0]) || isLWS(value[n-1])) {
		value = strings.Trim(value, " \t\r\n")
	}
	if octet.IsFieldValue([]byte(value)) {
		return value
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, value)
}

// isLWS tells whether c is white space as a field value that continues over
// several lines has it.
func isLWS(c byte) bool { return octet.IsOWS(c) || c == '\r' || c == '\n' }

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return 0, err
	}
	if w.early.waits() {
		switch kept, err := w.keep(p); {
		case err != nil:
			return 0, err
		case kept:
			return len(p), nil
		}
	}
	return w.x.Write(p)
}

// WriteString implements io.StringWriter.
func (w *responseWriter) WriteString(s string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return 0, err
	}
	if w.early.waits() {
		switch kept, err := w.keep([]byte(s)); {
		case err != nil:
			return 0, err
		case kept:
			return len(s), nil
		}
	}
	return w.x.WriteString(s)
}

// ReadFrom implements io.ReaderFrom. A file whose length the handler declared is
// sent by the kernel.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if n, err, moved := w.moveFrom(r); moved {
		return n, err
	}
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, b[:])
}

func (w *responseWriter) moveFrom(r io.Reader) (n int64, err error, moved bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begin() != nil || w.early.waits() {
		return 0, nil, false
	}
	if !w.x.movable(r) {
		return 0, nil, false
	}
	n, err = w.x.moveFrom(r)
	return n, err, true
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	if w.early.waits() {
		w.early.later(func() { _ = w.x.Flush() })
		return nil
	}
	return w.x.Flush()
}

// SetReadDeadline is for http.ResponseController.
func (w *responseWriter) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if w.early.waits() {
		w.early.later(func() { w.x.SetReadDeadline(t) })
		return nil
	}
	w.x.SetReadDeadline(t)
	return nil
}

// SetWriteDeadline is for http.ResponseController.
func (w *responseWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if w.early.waits() {
		w.early.later(func() { w.x.SetWriteDeadline(t) })
		return nil
	}
	w.x.SetWriteDeadline(t)
	return nil
}

// EnableFullDuplex is for http.ResponseController: the request's body may be
// read after the answer began.
func (w *responseWriter) EnableFullDuplex() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if w.early.waits() {
		return nil // such a request has no body
	}
	w.x.duplex = true
	return nil
}

// CloseNotify implements http.CloseNotifier, which gin's Context.Stream still
// asks for. Request.Context tells the same.
func (w *responseWriter) CloseNotify() <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ctx.closeNotify()
}

// Hijack implements http.Hijacker.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return nil, nil, err
	}
	if w.early != nil {
		if err := w.awaitTurn(); err != nil {
			return nil, nil, err
		}
		w.early.look.handOver()
	}
	if w.fixed {
		_ = w.x.Flush()
	}
	nc, rest, err := w.x.Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	return nc, hijackBuffers(nc, rest), nil
}

// hijackBuffers are the buffers a hijacker gets; its reader holds the octets
// that were read already.
func hijackBuffers(nc net.Conn, rest []byte) *bufio.ReadWriter {
	r := bufio.NewReaderSize(&prefixed{rest: rest, Reader: nc}, max(4096, len(rest)))
	if len(rest) > 0 {
		_, _ = r.Peek(len(rest))
	}
	return bufio.NewReadWriter(r, bufio.NewWriter(nc))
}

// complete ends the handler's part of the answer: the head, when nothing was
// written, and the trailers.
func (w *responseWriter) complete() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.usable() != nil {
		return
	}
	if !w.fixed {
		w.fix(http.StatusOK)
	}
	w.retireBody()
	a := &w.x.answer
	if a.begun && !a.enc.trails() {
		return // there is no place for any
	}
	for _, name := range a.announced {
		w.trailer(name, name)
	}
	if _, usual := usualFields(w.header); usual {
		return
	}
	for name := range w.header {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.trailer(name, after)
		}
	}
}

func (w *responseWriter) trailer(key, name string) {
	for _, value := range w.header[key] {
		if err := w.x.SetTrailer(name, cleanValue(value)); err != nil {
			w.ss.s.logf("h1: handler set an invalid trailer %s", fault.Quote([]byte(name), shownOctets))
		}
	}
}

// retire cuts everything the handler may still hold from the exchange, and
// removes the files of an upload, as net/http does.
func (w *responseWriter) retire() {
	w.retireBody()
	if form := w.request.MultipartForm; form != nil {
		_ = form.RemoveAll()
	}
	w.mu.Lock()
	c := w.x.c
	w.x = nil
	w.mu.Unlock()
	c.watcher.Store(nil)
	w.ctx.cancel(context.Canceled)
	c.stopWatch()
}

// caller names the place in the handler that called, for the log.
func caller() string {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "github.com/h1go/h1.(*responseWriter)") {
			return " from " + frame.Function + " (" + frame.File + ":" + string(octet.AppendDecimal(nil, int64(frame.Line))) + ")"
		}
		if !more {
			return ""
		}
	}
}
