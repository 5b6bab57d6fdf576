package h1

// This file hands TLS connections that agreed on another protocol than HTTP/1
// (RFC 7301, ALPN) to the function that TLSNextProto has for it.

import (
	"context"
	"net/http"
	"slices"
)

// nextProtos is what the handshake offers: the configured protocols and
// http/1.1, and h2 if, and only if, there is somebody to speak it.
func (s *Server) nextProtos(configured []string) []string {
	_, h2 := s.TLSNextProto["h2"]
	protos := slices.DeleteFunc(slices.Clone(configured), func(p string) bool { return p == "h2" && !h2 })
	if h2 && !slices.Contains(protos, "h2") {
		protos = append(protos, "h2")
	}
	if !slices.Contains(protos, "http/1.1") {
		protos = append(protos, "http/1.1")
	}
	return protos
}

// otherProtocol is what the handshake agreed on; empty for HTTP/1, and where
// the client had no wish.
func (ss *session) otherProtocol() string {
	if ss.tls == nil {
		return ""
	}
	switch p := ss.tls.NegotiatedProtocol; p {
	case "http/1.1", "http/1.0":
		return ""
	default:
		return p
	}
}

// handOn gives the connection to the function for its protocol, and closes it
// when that returns. It stays among the live ones until then, so that Shutdown
// waits for it. Where there is no such function it is closed at once, as by
// net/http: a client may have come for the handshake alone (RFC 8737).
func (ss *session) handOn(proto string) {
	c := ss.c
	speak := ss.s.TLSNextProto[proto]
	t := ss.tlsConn()
	if speak == nil || t == nil {
		_ = c.abort(CloseOtherProtocol, nil)
		return
	}
	if _, _, err := c.takeOver(CloseOtherProtocol); err != nil {
		return // closed meanwhile
	}
	defer func() { _ = t.Close() }()
	c.recycle()
	ss.s.state(c, http.StateActive)
	speak(ss.s, t, &nextHandler{ss})
}

// cutHandedOn closes a connection that speaks another protocol: it is no longer
// abort's to close. Whatever else was taken over is not the Server's any more.
func (c *Conn) cutHandedOn() {
	if c.ended.taken() {
		_ = c.nc.Close()
	}
}

// nextHandler answers the requests of a connection that speaks another
// protocol, with the server's Handler.
type nextHandler struct{ ss *session }

// BaseContext is the connection's context. golang.org/x/net/http2 asks for it.
func (h *nextHandler) BaseContext() context.Context { return h.ss.ctx }

// ServeHTTP implements http.Handler. What the protocol's server does not know
// of the connection is filled in.
func (h *nextHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		r.TLS = h.ss.tls
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if r.RemoteAddr == "" {
		r.RemoteAddr = h.ss.remote
	}
	if r.RequestURI == "*" && r.Method == http.MethodOptions && !h.ss.s.DisableGeneralOptionsHandler {
		w.Header().Set("Content-Length", "0")
		return
	}
	h.ss.s.handler().ServeHTTP(w, r)
}
