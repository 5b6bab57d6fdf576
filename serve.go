package h1

// This file serves one connection: request after request, by the native
// handler or by net/http's, until the verdict says otherwise.

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// session is what serving one connection needs beside the connection.
type session struct {
	s       *Server
	c       *Conn
	handler http.Handler // nil when the native handler answers
	ctx     context.Context
	tls     *tls.ConnectionState
	remote  string
}

// serve runs one connection from its first octet to its end.
func (s *Server) serve(set *settings, base context.Context, nc net.Conn) {
	c := newConn(nc, ServerRole, set)
	if !s.join(c) {
		_ = c.abort(CloseServerClosed, nil)
		return
	}
	defer s.leave(c)
	s.state(c, http.StateNew)
	ss := &session{s: s, c: c}
	defer ss.rescue()
	if !ss.handshake() {
		return
	}
	ss.ctx = context.WithValue(base, http.LocalAddrContextKey, nc.LocalAddr())
	ss.remote = nc.RemoteAddr().String()
	if s.Native == nil {
		ss.handler = s.handler()
	}
	if s.ConnContext != nil {
		if ss.ctx = s.ConnContext(ss.ctx, nc); ss.ctx == nil {
			panic("h1: ConnContext returned a nil context")
		}
	}
	ss.run()
	if c.Reason() == CloseHijacked {
		s.state(c, http.StateHijacked)
	} else {
		s.state(c, http.StateClosed)
	}
}

// run answers requests until the connection is over.
func (ss *session) run() {
	c := ss.c
	for {
		if ss.s.noKeep.Load() || ss.s.stopping.Load() {
			c.m.raise(levelLast, ss.s.whyLast())
		}
		if c.win.Len() == 0 && c.m.requests.Load() > 0 {
			ss.s.state(c, http.StateIdle)
		}
		x, err := c.next()
		if err != nil {
			ss.report(err)
			c.closeStaged(c.m.verdict())
			return
		}
		ss.s.state(c, http.StateActive)
		if ss.handler == nil {
			ss.s.Native.ServeH1(x)
		} else {
			ss.answer(x)
		}
		if v := c.finish(); v != verdictReuse {
			c.closeStaged(v)
			return
		}
	}
}

// whyLast is the reason for which a server that serves no further exchange
// gives.
func (s *Server) whyLast() CloseReason {
	if s.stopping.Load() {
		return CloseShutdown
	}
	return CloseDisabled
}

// handshake completes TLS, so that the requests' state is known. A peer who
// speaks plain HTTP to a TLS port is told so.
func (ss *session) handshake() bool {
	t, ok := ss.c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	if limit := ss.c.set.headTime; limit > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), limit)
	}
	defer cancel()
	err := t.HandshakeContext(ctx)
	if err == nil {
		state := t.ConnectionState()
		ss.tls = &state
		return true
	}
	if plain, ok := plainHTTP(err); ok {
		_, _ = plain.Write([]byte("HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nh1: client sent an HTTP request to an HTTPS server\n"))
	}
	ss.s.logf("h1: TLS handshake with %s failed: %v", ss.c.RemoteAddr(), err)
	_ = ss.c.abort(CloseReadFailed, fault.Wrap(fault.ReadFailed, fault.Client, "negotiating TLS", err))
	return false
}

// plainHTTP finds the connection of a handshake that met a plain request.
func plainHTTP(err error) (net.Conn, bool) {
	var header tls.RecordHeaderError
	if e, ok := err.(tls.RecordHeaderError); ok {
		header = e
	}
	if header.Conn == nil {
		return nil, false
	}
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"} {
		if bytes.Equal(header.RecordHeader[:], []byte(method)) {
			return header.Conn, true
		}
	}
	return nil, false
}

// answer runs the net/http handler on one exchange.
func (ss *session) answer(x *Exchange) {
	x.duplex = false
	x.answer.sniff = true
	w := ss.prepare(x)
	if w == nil {
		return
	}
	defer w.retire()
	if x.in.head.form == formAsterisk && !ss.s.DisableGeneralOptionsHandler && x.in.head.methodID == field.OPTIONS {
		return // 200 and no content
	}
	ss.handler.ServeHTTP(w, w.req)
	w.complete()
}

// report logs what ended a connection, when the operator would want to know.
func (ss *session) report(err error) {
	f, ok := err.(*fault.Error)
	if ok && f.Code == fault.TLSOnPlain {
		ss.s.logf("%v from %s", err, ss.remote)
	}
}

// rescue ends the connection of a handler that panicked. What it wrote may be
// half an answer, so the client must not take it for a whole one.
func (ss *session) rescue() {
	p := recover()
	if p == nil {
		return
	}
	err := fault.New(fault.BadResponse, fault.Local, "running the handler")
	if p != http.ErrAbortHandler {
		stack := make([]byte, 64<<10)
		stack = stack[:runtime.Stack(stack, false)]
		ss.s.logf("h1: panic serving %s: %v\n%s", ss.c.RemoteAddr(), p, stack)
	}
	if ss.c.ended.Load() {
		return
	}
	ss.c.m.raise(levelNow, CloseHandlerPanic)
	_ = ss.c.flush() // the answers before this one, and what of it was sent
	_ = ss.c.abort(CloseHandlerPanic, err)
	ss.s.state(ss.c, http.StateClosed)
}

// state tells ConnState, when there is one.
func (s *Server) state(c *Conn, state http.ConnState) {
	if s.ConnState != nil {
		s.ConnState(c.nc, state)
	}
}
