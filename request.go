package h1

// This file makes net/http's request of an Exchange: everything in it is made
// anew for each request, and nothing of it is ever used again.

import (
	"io"
	"net/http"
	"net/url"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/reqctx"
)

// newRequest makes the request that w's handler gets, as yet without its body.
// The head is copied once; every string of the request is a part of that copy.
// The error is that of a target which is no URL, and is the client's.
func (w *responseWriter) newRequest(h *head, octets []byte) error {
	ss := w.ss
	text := string(octets)
	target := h.target.in(text)
	if err := parseTarget(&w.url, h, target); err != nil {
		return err
	}
	r := &w.request // filled in where it is: a literal would be made elsewhere and moved, at the collector's price
	r.Method, r.URL, r.RequestURI = methodName(h, text), &w.url, target
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", int(h.major), int(h.minor)
	if h.minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	r.Header, r.Host, r.RemoteAddr = h.header(text), h.host.in(text), ss.remote
	if ss.tls != nil { // a nil that is stored costs the collector's barrier too
		r.TLS = ss.tls
	}
	if h.codings > 0 {
		r.TransferEncoding, r.Trailer = h.transferCodings(octets), h.announced(text)
	}
	r.Close = persists(h.minor, h.options) != CloseNone
	r.ContentLength = h.contentLength()
	quietCache(r.Header)
	r.Body = http.NoBody
	reqctx.Set(r, &w.ctx)
	return nil
}

func methodName(h *head, text string) string {
	if h.methodID != field.OtherMethod {
		return h.methodID.String()
	}
	return h.method.in(text)
}

// parseTarget parses the request target as net/http does: an authority, for
// CONNECT, becomes the URL's host.
func parseTarget(u *url.URL, h *head, target string) error {
	if h.form == formAuthority {
		u.Host = target
		return nil
	}
	if h.form == formOrigin {
		if path, query, ok := plainTarget(target); ok {
			u.Path, u.RawQuery = path, query
			return nil
		}
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	*u = *parsed
	return nil
}

// plainTarget cuts a target in origin-form whose path net/url would leave as it
// is: nothing in it is encoded, and nothing would have to be. Most are so.
func plainTarget(target string) (path, query string, ok bool) {
	for i := range len(target) {
		switch c := target[i]; {
		case plainPath[c]:
		case c == '?' && i+1 < len(target): // a lone "?" at the end is ForceQuery
			return target[:i], target[i+1:], true
		default:
			return "", "", false
		}
	}
	return target, "", true
}

// plainPath are the octets that net/url neither encodes nor decodes in a path:
// unreserved ones, and those reserved ones that mean themselves there.
var plainPath = func() (plain [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/$&+,:;=@") {
		plain[c] = true
	}
	return plain
}()

// quietCache reads `Pragma: no-cache` as the cache directive that it stands for
// (RFC 9111 section 5.4), as net/http does.
func quietCache(header http.Header) {
	if p, ok := header["Pragma"]; ok && p[0] == "no-cache" {
		if _, ok := header["Cache-Control"]; !ok {
			header["Cache-Control"] = []string{"no-cache"}
		}
	}
}

// requestBody is a responseWriter as Request.Body. It may be read by a goroutine
// that outlives the handler, which then gets http.ErrBodyReadAfterClose.
type requestBody responseWriter

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.bodyMu.Lock()
	defer b.bodyMu.Unlock()
	switch {
	case b.bodyClosed:
		return 0, http.ErrBodyReadAfterClose
	case b.bodyEnded:
		return 0, io.EOF
	}
	n, err := b.x.c.readBody(p)
	if err == io.EOF {
		b.bodyEnded = true
		b.x.in.trailerInto(&b.request.Trailer)
	}
	return n, err
}

// Close implements io.Closer. What is left of the body is drained when the
// exchange ends, if that is cheap.
func (b *requestBody) Close() error {
	b.bodyMu.Lock()
	defer b.bodyMu.Unlock()
	b.bodyClosed = true
	return nil
}

// retireBody cuts the body from the exchange. A read under way in another
// goroutine is woken and fails; what it left unread cannot be known to be
// whole, so the connection ends.
func (w *responseWriter) retireBody() {
	if !w.bodyLent {
		return
	}
	if !w.bodyMu.TryLock() {
		c := w.x.c
		c.m.raise(levelLast, CloseUndrained)
		c.abandoned.Store(true)
		c.poke()
		w.bodyMu.Lock()
	}
	w.bodyClosed, w.bodyLent = true, false
	w.bodyMu.Unlock()
}

// badTarget answers a request whose target net/http cannot represent.
func (x *Exchange) badTarget() {
	err := x.c.faultOf(fault.BadTarget, waitHead, nil)
	err.Detail = fault.Quote(x.Target(), shownOctets)
	x.c.refuse(x.c.condemn(err))
}
