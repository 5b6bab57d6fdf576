package h1

// The contract's finer points: what goes through http.ResponseController,
// trailers, informational responses, switching protocols, and the end of the
// request's context.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// withUnwrap is a ResponseWriter as middleware has it.
type withUnwrap struct{ http.ResponseWriter }

func (w withUnwrap) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// half is a request whose body never comes to its end.
const halfBody = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab"

var controlContracts = []contract{
	{name: "ResponseController through middleware", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(withUnwrap{w})
		requireIs(rc.SetReadDeadline(time.Now().Add(time.Hour)), nil)
		requireIs(rc.SetWriteDeadline(time.Now().Add(time.Hour)), nil)
		requireIs(rc.EnableFullDuplex(), nil)
		_, _ = io.WriteString(w, "abc")
		requireIs(rc.Flush(), nil)
	}},
	{name: "a read deadline that passes", request: halfBody, handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)), nil)
		n, err := io.Copy(io.Discard, r.Body)
		timeout, ok := err.(interface{ Timeout() bool })
		fmt.Fprint(w, n, errors.Is(err, os.ErrDeadlineExceeded), ok && timeout.Timeout())
	}},
	{name: "ReadTimeout", request: halfBody, config: func(s *http.Server) { s.ReadTimeout = time.Second }, handler: func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, errors.Is(err, os.ErrDeadlineExceeded), time.Since(began))
	}},
	{name: "a write deadline that has passed", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second)), nil)
		_, _ = io.WriteString(w, large)
		if !errors.Is(http.NewResponseController(w).Flush(), os.ErrDeadlineExceeded) {
			panic("a flush after the deadline")
		}
	}},
	{name: "WriteTimeout", request: get("/"), config: func(s *http.Server) { s.WriteTimeout = time.Second }, handler: func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Second)
		_, _ = io.WriteString(w, "too late")
	}},
	{name: "MaxHeaderBytes", request: get("/", "X: "+strings.Repeat("x", 10<<10)), config: func(s *http.Server) { s.MaxHeaderBytes = 1 << 10 },
		handler: func(w http.ResponseWriter, r *http.Request) { panic("not for the handler") },
		differs: "h1 says what was wrong in the body, in words of its own",
		want:    "HTTP/1.1 431 Request Header Fields Too Large\nConnection: close\nContent-Length: 31\nContent-Type: text/plain; charset=utf-8\n\nh1: sent a head over the limit\n\nclosed"},
	{name: "io.Copy to the writer", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(w, io.LimitReader(strings.NewReader(large), 3000))
		fmt.Fprint(w, n, err)
	}},
	{name: "io.Copy of less than was declared", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.Copy(w, strings.NewReader("abc"))
	}},
	{name: "io.Copy of more than was declared", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, err := io.Copy(w, strings.NewReader("abc"))
		requireIs(err, nil)
		_, err = io.Copy(w, strings.NewReader("d"))
		requireIs(err, http.ErrContentLength)
	}},
	{name: "writes up to the declared length", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6")
		for range 3 {
			_, err := io.WriteString(w, "ab")
			requireIs(err, nil)
		}
	}},
	{name: "304 after a body was meant", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotModified)
		_, err := io.Copy(w, strings.NewReader("x"))
		requireIs(err, http.ErrBodyNotAllowed)
	}},
	{name: "204 to HEAD", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }},
	{name: "205", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(205) }},
	{name: "Connection: close among others", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "x-hop, close")
		w.Header().Set("X-Hop", "1")
	}},
	{name: "Connection: close before a second request", request: get("/1") + get("/2"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, r.URL.Path)
	}},
	{name: "HTTP/1.0 with close", request: "GET / HTTP/1.0\r\nConnection: close\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {},
		differs: "a server states the highest version it speaks (RFC 9110 section 6.2), as nginx and Apache do", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n\nclosed"},

	// Trailers.
	{name: "a trailer that was declared and not set", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		_, _ = io.WriteString(w, "abc")
	}},
	{name: "trailers without a body", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		w.WriteHeader(200)
		w.Header().Set("X-T", "t")
	}},
	{name: "several values of a trailer", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Trailer", "X-T")
		w.Header().Add("Trailer", "X-U")
		w.(http.Flusher).Flush()
		w.Header().Add("X-T", "1")
		w.Header().Add("X-T", "2")
		w.Header().Add("X-U", "u")
	}},
	{name: "a trailer that was set before the head", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		w.Header().Set("X-T", "early")
		_, _ = io.WriteString(w, "abc")
	}, differs: "net/http sends it in the head as well; once is enough", want: "HTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\nContent-Type: text/plain; charset=utf-8\n\nabc\nmap[X-T:[early]]\nopen"},
	{name: "a request's trailers, undeclared", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\nX-T: u\r\n\r\n", handler: describe},
	{name: "a request's trailers, unread", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Trailer)
	}},
	{name: "a trailer announced beside a length", request: "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-T\r\nContent-Length: 3\r\n\r\nabc", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header["Trailer"], r.Trailer)
	}},
	{name: "trailers to HTTP/1.0", request: "GET / HTTP/1.0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		_, _ = io.WriteString(w, "abc")
		w.Header().Set("X-T", "t")
	}, differs: "a server states the highest version it speaks (RFC 9110 section 6.2), as nginx and Apache do", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 3\nContent-Type: text/plain; charset=utf-8\nTrailer: X-T\n\nabc\nclosed"},

	// Informational responses and switching.
	{name: "several informational responses", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		for _, style := range []string{"a", "b"} {
			w.Header().Set("Link", style)
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.WriteHeader(http.StatusProcessing)
		_, _ = io.WriteString(w, "final")
	}},
	{name: "an informational response after the head", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.WriteHeader(http.StatusEarlyHints)
	}},
	{name: "100 sent by the handler", request: "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusContinue)
		echoBody(w, r)
	}},
	{name: "Hijack, and an answer of the handler's own", request: get("/", "Connection: Upgrade", "Upgrade: x"), handler: func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_, _ = rw.WriteString("HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n")
		_ = rw.Flush()
		_ = nc.Close()
	}},
	{name: "Hijack after a part was written", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6")
		_, _ = io.WriteString(w, "abc")
		nc, rw, err := http.NewResponseController(withUnwrap{w}).Hijack()
		requireIs(err, nil)
		_, _ = rw.WriteString("def")
		_ = rw.Flush()
		_ = nc.Close()
	}, differs: "net/http loses the part that was written; h1 sends it", want: "HTTP/1.1 200 OK\nContent-Length: 6\nContent-Type: text/plain; charset=utf-8\n\nabcdef\nopen"},
	{name: "101 by WriteHeader, and Hijack", request: get("/", "Connection: Upgrade", "Upgrade: x"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
		nc, _, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_ = nc.Close()
	}},
	{name: "CONNECT taken", request: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, r.URL.Host, r.RequestURI)
	}, differs: "an answer that takes CONNECT has no body and no length, what follows is the tunnel (RFC 9110 section 9.3.6)", want: "HTTP/1.1 200 OK\nConnection: close\n\n\nclosed"},

	// The context.
	{name: "the context ends when the client goes", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		fmt.Fprint(w, r.Context().Err())
	}},
	{name: "and with a body, once it was read", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		requireIs(err, nil)
		<-r.Context().Done()
		fmt.Fprint(w, r.Context().Err(), context.Cause(r.Context()))
	}},
	// A handler that goes by its context alone used to go on for nobody.
	{name: "the context ends when a write fails", request: get("/", "Connection: close"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second)), nil)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, large)
			time.Sleep(time.Second)
		}
	}},
	{name: "CloseNotify", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		//lint:ignore SA1019 there are callers still
		n := w.(http.CloseNotifier)
		if first := n.CloseNotify(); first != n.CloseNotify() {
			panic("two channels")
		}
		fmt.Fprint(w, <-n.CloseNotify())
	}},
}
