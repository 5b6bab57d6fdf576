package h1

// This file serves one connection: request after request, by the native
// handler or by net/http's, until the verdict says otherwise.

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// session is what serving one connection needs beside the connection.
type session struct {
	s        *Server
	c        *Conn
	ctx      context.Context // that of all its requests; the listener's until ready
	tls      *tls.ConnectionState
	remote   string
	ready    bool // prepareConn was called
	hijacked bool
	parting  parting // how it ends, as a drain sees it
}

// serve begins the life of one connection. A connection that can wait at the
// poller is left to it at once; wait tells whether to return only when the
// connection is over, as ServeConn does.
func (s *Server) serve(set *settings, base context.Context, nc net.Conn, wait bool) {
	src, admission := s.admit(nc)
	c := newConn(nc, ServerRole, set)
	if admission == cutOff {
		s.turnDown(c, CloseRefused)
		return
	}
	s.room.settle(c, src)
	ss := &session{s: s, c: c, ctx: base}
	c.pk.owner = ss
	parks := !wait && admission == admitted && c.mayPark()
	if !parks {
		c.m.stir() // until it waits for its first request
	}
	if !s.join(c, !wait) {
		s.room.leave(c)
		s.turnDown(c, CloseServerClosed)
		return
	}
	s.state(c, http.StateNew)
	switch {
	case wait:
		ss.begin(admission)
	case !parks || !c.park():
		go ss.begin(admission)
	}
}

// begin serves a connection for which there is a place, or turns it away.
func (ss *session) begin(a admission) {
	if a == turnedAway {
		ss.turnAway()
		return
	}
	ss.resume()
}

// turnDown closes a connection that never was the server's to serve.
func (s *Server) turnDown(c *Conn, reason CloseReason) {
	_ = c.abort(reason, nil)
	s.mu.Lock()
	s.counts.accepted++
	s.counts.ended(c)
	s.mu.Unlock()
	s.logEnd(c)
}

// turnAway answers a connection that is one too many. No request of it is read,
// let alone executed. Over TLS, an answer would cost the handshake that the
// limit is to save.
func (ss *session) turnAway() {
	c := ss.c
	c.m.raise(levelLast, CloseRefused)
	v := verdictClose
	if !c.overTLS() {
		v = verdictLinger
		c.wmu.Lock()
		_ = c.sendLocked([]byte(tooManyConns))
		c.wmu.Unlock()
	}
	c.closeStaged(v)
	ss.end()
}

// tooManyConns answers whoever has too many connections (RFC 9110 section
// 15.6.4).
const tooManyConns = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 46\r\n" +
	"Connection: close\r\n\r\nh1: there are too many connections from there\n"

// resume serves the connection until it is left to the poller or is over. It
// implements resumer.
func (ss *session) resume() {
	returned := false
	defer func() {
		if !returned {
			ss.rescue(recover())
		}
	}()
	ss.c.awake()
	var err error
	if !ss.ready {
		err = ss.prepareConn()
	}
	if err == nil {
		err = ss.run()
	}
	if err != errParked {
		ss.end()
	}
	returned = true
}

// prepareConn makes what all requests of the connection share. The error is
// io.EOF when the connection is over, and errParked when it lingers.
func (ss *session) prepareConn() error {
	s, c := ss.s, ss.c
	ss.ready = true
	if err := ss.handshake(); err != nil {
		return err
	}
	proto := ss.otherProtocol()
	if s.Native != nil && proto == "" {
		return nil
	}
	ss.remote = addrText(c.RemoteAddr())
	if s.ConnContext != nil {
		local := context.WithValue(ss.ctx, http.LocalAddrContextKey, c.LocalAddr())
		if ss.ctx = s.ConnContext(local, c.nc); ss.ctx == nil {
			panic("h1: ConnContext returned a nil context")
		}
	}
	if proto != "" {
		ss.handOn(proto)
		return io.EOF
	}
	return nil
}

// end is after the connection's last octet.
func (ss *session) end() {
	if !ss.hijacked {
		ss.s.state(ss.c, http.StateClosed)
		ss.s.leave(ss.c, ss.parting)
	}
}

// handedOver implements resumer. It is the end of a hijacked connection as far as the server goes: it
// is not waited for, however long its handler goes on.
func (ss *session) handedOver() {
	ss.hijacked = true
	ss.s.state(ss.c, http.StateHijacked)
	ss.s.leave(ss.c, partedTaken)
}

// lingering implements resumer.
func (ss *session) lingering() { ss.s.room.lingering(ss.c) }

// run answers requests until the connection is over, or until it waits at the
// poller: the error is then errParked, and the connection is somebody else's.
func (ss *session) run() error {
	c := ss.c
	if c.lingering.on {
		return c.linger()
	}
	look := ss.lookAhead()
	defer look.end()
	for {
		if c.x == nil && !c.resting && c.win.Len() == 0 && c.m.requests.Load() > 0 {
			ss.s.state(c, http.StateIdle)
		}
		x, err := c.next()
		switch {
		case err == errParked:
			return err
		case err == errNoRequest:
			continue
		case err != nil:
			ss.report(err)
			return c.closeStaged(c.m.verdict())
		}
		if ss.s.noKeep.Load() {
			c.m.raise(levelDrain, CloseDisabled)
		}
		if ss.s.room.yields() {
			c.m.raise(levelLast, CloseReclaimed)
		}
		ss.s.state(c, http.StateActive)
		c.handlerNext()
		switch {
		case ss.s.Native != nil:
			ss.s.Native.ServeH1(x)
		case look != nil:
			look.answer(x)
		default:
			ss.answer(x)
		}
		if v := c.finish(); v != verdictReuse {
			ss.parting = partedTold
			look.end()
			return c.closeStaged(v)
		}
	}
}

// handshake completes TLS, so that the requests' state is known. A peer who
// speaks plain HTTP to a TLS port is told so. The error is as with prepareConn.
func (ss *session) handshake() error {
	t := ss.tlsConn()
	if t == nil {
		ss.tls = ss.c.tls() // of a connection that is wrapped, as with net/http
		return nil
	}
	ctx := context.Background()
	if limit := ss.c.set.headTime; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	err := t.HandshakeContext(ctx)
	if err == nil {
		state := t.ConnectionState()
		ss.tls = &state
		ss.c.now = clock.Now() // the wait for the first request begins here
		if ss.otherProtocol() == "" {
			ss.parkTLS()
		}
		return nil
	}
	if plain, ok := plainHTTP(err); ok {
		_, _ = plain.Write([]byte("HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nh1: client sent an HTTP request to an HTTPS server\n"))
	}
	ss.s.logf("h1: TLS handshake with %s failed: %v", ss.c.peerName(), err)
	ss.c.m.raise(levelLast, CloseTLSFailed)
	ss.c.note(fault.Wrap(fault.TLSFailed, fault.Client, "negotiating TLS", err))
	ss.parkTLS() // to linger, for the answer or the alert to arrive
	return ss.c.closeStaged(verdictLinger)
}

// tlsConn is the connection as one of crypto/tls; nil when it is none.
func (ss *session) tlsConn() *tls.Conn {
	t, _ := ss.c.nc.(*tls.Conn)
	return t
}

// parkTLS lets a TLS connection wait at the poller from here on, where it can.
func (ss *session) parkTLS() {
	if ss.c.parkTLS(); ss.c.pk.on.Load() {
		ss.s.mu.Lock()
		defer ss.s.mu.Unlock()
		ss.s.sweep()
	}
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
	ss.s.handler().ServeHTTP(w, &w.request)
	w.complete()
}

// report tells that no request will come: ConnState, when a part of one did, and
// the log, when the operator would want to know why.
func (ss *session) report(err error) {
	if ss.c.x != nil { // some of a request came
		ss.s.state(ss.c, http.StateActive)
	}
	f, ok := err.(*fault.Error)
	if ok && f.Code == fault.TLSOnPlain {
		ss.s.logf("%v from %s", err, ss.c.peerName())
	}
}

// rescue ends the connection of a handler that panicked. What it wrote may be
// half an answer, so the client must not take it for a whole one.
func (ss *session) rescue(p any) {
	defer ss.end()
	err := fault.New(fault.BadResponse, fault.Local, "running the handler")
	ss.logPanic(p)
	if ss.c.ended.Load() {
		return
	}
	ss.c.m.raise(levelNow, CloseHandlerPanic)
	_ = ss.c.flush() // the answers before this one, and what of it was sent
	_ = ss.c.abort(CloseHandlerPanic, err)
}

// logPanic logs what a handler panicked with, from the goroutine that did.
func (ss *session) logPanic(p any) {
	if p == nil || p == http.ErrAbortHandler { // nil: runtime.Goexit, as by a test's FailNow
		return
	}
	stack := make([]byte, 64<<10)
	stack = stack[:runtime.Stack(stack, false)]
	ss.s.logf("h1: panic serving %s: %v\n%s", ss.c.peerName(), p, stack)
}

// state tells ConnState, when there is one.
func (s *Server) state(c *Conn, state http.ConnState) {
	if s.ConnState != nil {
		s.ConnState(c.nc, state)
	}
}
