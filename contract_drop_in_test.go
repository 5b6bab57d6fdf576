package h1

// What handlers written for net/http do now and then, and what few clients
// send: most of it is answered in another way on purpose.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// readAfter answers with what the body was once the answer has begun.
func readAfter(begin func(http.ResponseWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v", body, errors.Is(err, http.ErrBodyReadAfterClose))
	}
}

// refuseWith answers with that status when more than two octets came.
func refuseWith(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2)); err != nil {
			w.WriteHeader(status)
		}
	}
}

func hello(fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header()[fields[i]] = append(w.Header()[fields[i]], fields[i+1])
		}
		_, _ = io.WriteString(w, "hello")
	}
}

var dropInContracts = []contract{
	{name: "HTTP/1.2", request: "GET / HTTP/1.2\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, r.ProtoMinor)
	}, differs: "a later version of HTTP/1 is read as the highest that is known (RFC 9110 section 2.5), and called so", want: "HTTP/1.1 200 OK\nContent-Length: 9\nContent-Type: text/plain; charset=utf-8\n\nHTTP/1.11\nopen"},

	// The connection.
	{name: "101 without Hijack", request: get("/1") + get("/2"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
	}, differs: "after a 101 another protocol is spoken (RFC 9110 section 7.8): nothing more is read as a request", want: "HTTP/1.1 101 Switching Protocols\n(length 0)\n\n\nopen"},
	// It used to say close, which the protocol that follows knows nothing of.
	{name: "101 to a client that says close", request: get("/", "Connection: close, Upgrade", "Upgrade: x"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}},
	{name: "Connection: keep-alive set by the handler", request: get("/"), handler: hello("Connection", "keep-alive"),
		differs: "HTTP/1.1 persists without saying so (RFC 9112 section 9.3)", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nopen"},
	{name: "Connection: Close", request: get("/1") + get("/2"), handler: hello("Connection", "Close"),
		differs: "close is an option in any letters, and in any place of the list (RFC 9110 section 7.6.1)", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nclosed"},
	{name: "Connection: close in a list", request: get("/1") + get("/2"), handler: hello("Connection", "x-hop, close"),
		differs: "close is an option in any letters, and in any place of the list (RFC 9110 section 7.6.1)", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nclosed"},

	// Framing and fields.
	{name: "two lengths of the handler's", request: get("/"), handler: hello("Content-Length", "5", "Content-Length", "6"),
		differs: "there is one length (RFC 9110 section 8.6), the first, which Header.Get gives; net/http heeds that and sends both", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nopen"},
	{name: "Transfer-Encoding: identity set by the handler", request: get("/"), handler: hello("Transfer-Encoding", "identity"),
		differs: "framing is h1's to choose, and a small body needs no chunks", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nopen"},
	{name: "Transfer-Encoding: gzip set by the handler", request: get("/"), handler: hello("Transfer-Encoding", "gzip"),
		differs: "codings are negotiated by Server.TransferCodings; the handler's own is dropped, and the log says so", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nopen"},
	{name: "NUL in a value of the handler's", request: get("/"), handler: hello("X-A", "a\x00b"),
		differs: "it would be no field value (RFC 9110 section 5.5)", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\nX-A: a b\n\nhello\nopen"},
	{name: "names in small letters", request: get("/"), handler: hello("content-type", "a/b", "content-length", "5"),
		differs: "a field's name is the same in any letters (RFC 9110 section 5.1); net/http sends both its own and the handler's", want: "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: a/b\n\nhello\nopen"},
	{name: "trailers of a small body, undeclared", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		hello()(w, r)
		w.Header().Set(http.TrailerPrefix+"X-T", "t")
	}, differs: "net/http loses trailers where it has the length; h1 sends the body in chunks then", want: "HTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\nContent-Type: text/plain; charset=utf-8\n\nhello\nmap[X-T:[t]]\nopen"},
	{name: "trailers beside a length", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		hello("Content-Length", "5")(w, r)
		w.Header().Set("X-T", "t")
	}, differs: "net/http loses trailers where it has the length; h1 sends the body in chunks then", want: "HTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\nContent-Type: text/plain; charset=utf-8\n\nhello\nmap[X-T:[t]]\nopen"},
	{name: "103 to HTTP/1.0", request: "GET / HTTP/1.0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "hello")
	}, differs: "HTTP/1.0 has no informational responses (RFC 9110 section 15.2)", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\n\nhello\nclosed"},
	{name: "100 with fields", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "a")
		w.WriteHeader(http.StatusContinue)
		_, _ = io.WriteString(w, "hello")
	}, differs: "a 100 says that the body may come, and nothing else (RFC 9110 section 15.2.1)", want: "HTTP/1.1 100 Continue\n(length 0)\n\n\nHTTP/1.1 200 OK\nContent-Length: 5\nContent-Type: text/plain; charset=utf-8\nX-A: a\n\nhello\nopen"},

	// Bodies that are left.
	{name: "MaxBytesReader, and another status than 413", request: post("/1", "hello") + get("/2"), handler: refuseWith(400),
		differs: "http.MaxBytesReader tells nobody but net/http's Server; with 413 the connection ends here too, else the rest is drained where that is cheap", want: "HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n\nopen"},
	{name: "MaxBytesReader, and 413", request: post("/1", "hello") + get("/2"), handler: refuseWith(413)},
	{name: "a body left in full duplex", request: post("/1", "hello") + get("/2"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(http.NewResponseController(w).EnableFullDuplex(), nil)
		w.(http.Flusher).Flush()
	}, differs: "what is left of a body is drained where that is cheap, and the connection persists", want: "HTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\n\n\nHTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\n\n\nopen"},
	{name: "Expect: 100-continue, closed unread", request: post("/1", "hello", "Expect: 100-continue") + get("/2"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(r.Body.Close(), nil)
	}, differs: "what is left of a body is drained where that is cheap, and the connection persists", want: "HTTP/1.1 200 OK\nContent-Length: 0\n\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n\nopen"},
	{name: "Expect: 100-continue, read after Flush", request: post("/", "hello", "Expect: 100-continue"), handler: readAfter(func(w http.ResponseWriter) {
		w.(http.Flusher).Flush()
	}), differs: "what is left of a body is drained where that is cheap, and the connection persists", want: "HTTP/1.1 200 OK\nTransfer-Encoding: [chunked]\n\n\"\" true\nopen"},
	{name: "Expect: 100-continue, read after WriteHeader", request: "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: readAfter(func(w http.ResponseWriter) {
		w.WriteHeader(200)
	}), differs: "while the head is not sent, the client can be asked for the body (RFC 9110 section 10.1.1)", want: "HTTP/1.1 100 Continue\n(length 0)\n\n\nopen"},
	{name: "read after Flush", request: post("/1", "hello") + get("/2"), handler: readAfter(func(w http.ResponseWriter) { w.(http.Flusher).Flush() })},
	{name: "read after WriteHeader", request: post("/1", "hello") + get("/2"), handler: readAfter(func(w http.ResponseWriter) { w.WriteHeader(200) })},

	// Heads that do not come whole.
	{name: "a head that breaks off", request: "GET / HTTP/1.1\r\nHo", handler: hello(),
		differs: "nobody is answered who did not finish asking", want: "open"},
	{name: "ReadHeaderTimeout in a head", request: "GET / HTTP/1.1\r\nConnection: close\r\nHo", handler: hello(),
		config:  func(s *http.Server) { s.ReadHeaderTimeout = time.Second },
		differs: "408 says what was wrong (RFC 9110 section 15.5.9)", want: "HTTP/1.1 408 Request Timeout\nConnection: close\nContent-Length: 33\nContent-Type: text/plain; charset=utf-8\n\nh1: took too long to send a head\n\nclosed"},
	{name: "a head of less than 4096 octets over MaxHeaderBytes", request: get("/", "X: "+strings.Repeat("x", 4000)), handler: hello(),
		config:  func(s *http.Server) { s.MaxHeaderBytes = 1 << 10 },
		differs: "the limit is the limit; net/http allows 4096 octets more", want: "HTTP/1.1 431 Request Header Fields Too Large\nConnection: close\nContent-Length: 31\nContent-Type: text/plain; charset=utf-8\n\nh1: sent a head over the limit\n\nclosed"},
}
