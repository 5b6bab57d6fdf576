package h1

// This file calls the hooks of net/http/httptrace as a request goes its way. A
// request whose context holds no trace pays for one look into its context.
// DNSStart, DNSDone, ConnectStart and ConnectDone are net.Dialer's to call: it
// finds them in the context that it is given.

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"

	"github.com/h1go/h1/internal/clock"
)

// tracer calls a trace's hooks; the zero tracer calls none.
type tracer struct{ hooks *httptrace.ClientTrace }

func tracerOf(ctx context.Context) tracer { return tracer{httptrace.ContextClientTrace(ctx)} }

func (t tracer) on() bool { return t.hooks != nil }

// getConn is called before a connection is looked for, with the address of the
// first hop.
func (t tracer) getConn(key *originKey) {
	if t.on() && t.hooks.GetConn != nil {
		t.hooks.GetConn(key.hop())
	}
}

// gotConn tells which connection the request has. One that another request
// handed over without a rest was not idle.
func (t tracer) gotConn(pc *pooled) {
	if !t.on() || t.hooks.GotConn == nil {
		return
	}
	info := httptrace.GotConnInfo{Conn: pc.c.nc, Reused: pc.c.m.requests.Load() > 0, WasIdle: pc.rested}
	if pc.rested {
		info.IdleTime = clock.Now().Sub(pc.c.m.idleSince())
	}
	t.hooks.GotConn(info)
}

// errNotKept is what PutIdleConn is told of a connection that could have been
// kept.
var errNotKept = errors.New("h1: idle connections are being closed")

// putIdleConn tells that the connection was offered to the pool.
func (t tracer) putIdleConn(kept bool) {
	switch {
	case !t.on() || t.hooks.PutIdleConn == nil:
	case kept:
		t.hooks.PutIdleConn(nil)
	default:
		t.hooks.PutIdleConn(errNotKept)
	}
}

// wroteHead tells of the field lines as they stand in the head, and that they
// are written.
func (t tracer) wroteHead(head []byte) {
	if !t.on() {
		return
	}
	if t.hooks.WroteHeaderField != nil {
		eachField(head, t.hooks.WroteHeaderField)
	}
	if t.hooks.WroteHeaders != nil {
		t.hooks.WroteHeaders()
	}
}

// eachField gives the fields of a head that h1 wrote; lines of one name that
// follow each other are one field.
func eachField(head []byte, each func(name string, values []string)) {
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	var last string
	var values []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if values != nil && name != last {
			each(last, values)
			values = nil
		}
		last, values = name, append(values, value)
	}
	each(last, values) // there is a Host at least
}

// wait100Continue tells that the body waits for the server's word.
func (t tracer) wait100Continue() {
	if t.on() && t.hooks.Wait100Continue != nil {
		t.hooks.Wait100Continue()
	}
}

// wroteRequest tells that the request was written, or why it was not. In order
// that this is known, flush has been called before.
func (t tracer) wroteRequest(err error) {
	if t.on() && t.hooks.WroteRequest != nil {
		t.hooks.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// flush sends what is pending, if the trace asks what becomes of it; otherwise
// it goes out later, before the answer is waited for.
func (t tracer) flush(c *Conn) error {
	if t.on() && t.hooks.WroteRequest != nil {
		return c.flush()
	}
	return nil
}

// gotFirstOctet tells that something of an answer came.
func (t tracer) gotFirstOctet() {
	if t.on() && t.hooks.GotFirstResponseByte != nil {
		t.hooks.GotFirstResponseByte()
	}
}

// got100Continue tells that the body is wanted.
func (t tracer) got100Continue() {
	if t.on() && t.hooks.Got100Continue != nil {
		t.hooks.Got100Continue()
	}
}

// got1xx tells of an informational response. theirs is true when somebody
// heard of it; an error ends the request.
func (t tracer) got1xx(status int, header http.Header) (theirs bool, err error) {
	if !t.on() || t.hooks.Got1xxResponse == nil {
		return false, nil
	}
	return true, t.hooks.Got1xxResponse(status, textproto.MIMEHeader(header))
}

// tlsStart and tlsDone are called around each handshake: with an HTTPS proxy
// there are two.
func (t tracer) tlsStart() {
	if t.on() && t.hooks.TLSHandshakeStart != nil {
		t.hooks.TLSHandshakeStart()
	}
}

func (t tracer) tlsDone(nc *tls.Conn, err error) {
	if !t.on() || t.hooks.TLSHandshakeDone == nil {
		return
	}
	var state tls.ConnectionState
	if err == nil {
		state = nc.ConnectionState()
	}
	t.hooks.TLSHandshakeDone(state, err)
}
