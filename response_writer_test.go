package h1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// contract is one case of what a http.Handler may rely on: it is run on
// net/http's server and on ours, and what the client gets is compared.
type contract struct {
	name    string
	request string // sent in one write, followed by a FIN when it does not close
	handler http.HandlerFunc
	differs string // why h1's answer is another one; the other is in want
	want    string // h1's answer, when it differs
}

// large is a body that is too large for its length to be learned.
var large = strings.Repeat("0123456789abcdef", 256)

// contracts is the table. Where h1 differs on purpose, it says why.
var contracts = []contract{
	{name: "nothing is written", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {}},
	{name: "a small body: its length is learned, its type sniffed", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		_, _ = w.Write([]byte("hello"))
	}},
	{name: "the sniffed type takes all writes into account", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<ht")
		_, _ = io.WriteString(w, "ml>")
	}},
	{name: "2048 octets are a small body", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large[:2048])
	}},
	{name: "2049 octets are chunked", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large[:2049])
	}},
	{name: "a large body in one write with a length", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(large)))
		_, _ = io.WriteString(w, large)
	}},
	{name: "status and fields", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-B", "2")
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "one")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}},
	{name: "a status without a name", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(799)
	}, differs: "the reason phrase may be empty, and clients ignore it (RFC 9112 section 4)", want: "HTTP/1.1 799 \nContent-Length: 0\n\n\nopen"},
	{name: "fields are taken at WriteHeader", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "before")
		w.WriteHeader(200)
		w.Header().Set("X-A", "after")
		w.Header().Set("X-B", "after")
		_, _ = io.WriteString(w, "x")
	}},
	{name: "fields are taken at the first Write", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		w.Header().Set("X-A", "after")
	}},
	{name: "a second WriteHeader has no effect", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
	}},
	{name: "204 has no body", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		_, err := io.WriteString(w, "x")
		requireIs(err, http.ErrBodyNotAllowed)
	}},
	{name: "304 keeps its fields", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(304)
		_, err := io.WriteString(w, "x")
		requireIs(err, http.ErrBodyNotAllowed)
	}, differs: "net/http drops the length, which RFC 9110 section 8.6 allows to be sent", want: "HTTP/1.1 304 Not Modified\nContent-Length: 10\nEtag: \"x\"\n\n\nopen"},
	{name: "HEAD has the fields of GET", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		n, err := io.WriteString(w, "<html>hello")
		requireIs(err, nil)
		if n != 11 {
			panic(n)
		}
	}},
	{name: "HEAD with a declared length", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
	}},
	{name: "HEAD of a large body", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large[:1500])
		_, _ = io.WriteString(w, large[:1500])
	}, differs: "the octets are counted anyway, so the length is known", want: "HTTP/1.1 200 OK\nContent-Length: 3000\nContent-Type: text/plain; charset=utf-8\n\n\nopen"},
	{name: "HEAD with nothing written", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {}},
	{name: "Content-Type given", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		_, _ = io.WriteString(w, "<html>")
	}},
	{name: "Content-Type unwanted", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	}},
	{name: "Content-Type is not sniffed from coded content", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "\x1f\x8b")
	}},
	{name: "Date given", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "yesterday")
	}},
	{name: "Date unwanted", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
	}},
	{name: "a length that is too short", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, err := io.WriteString(w, "abc")
		requireIs(err, nil)
		_, err = io.WriteString(w, "d")
		requireIs(err, http.ErrContentLength)
	}},
	{name: "a length that is too long", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4")
		_, _ = io.WriteString(w, "abc")
	}},
	{name: "a length that is no number", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "three")
		_, _ = io.WriteString(w, "abc")
	}, differs: "both drop the field; h1 then learns the length", want: "HTTP/1.1 200 OK\nContent-Length: 3\nContent-Type: text/plain; charset=utf-8\n\nabc\nopen"},
	{name: "a length with a sign", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "+3")
		_, _ = io.WriteString(w, "abc")
	}, differs: "net/http sends the sign, which no client takes (RFC 9110 section 8.6)", want: "HTTP/1.1 200 OK\nContent-Length: 3\nContent-Type: text/plain; charset=utf-8\n\nabc\nopen"},
	{name: "Connection: close", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
	}},
	{name: "line ends in a value", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", " a\r\nX-Smuggled: b ")
	}},
	{name: "a name that cannot be one", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X A"] = []string{"a"}
		w.Header()["X-A:\r\nX-B"] = []string{"a"}
	}},
	{name: "Transfer-Encoding: identity", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		_, _ = io.WriteString(w, "abc")
	}, differs: "framing is h1's to choose, and a small body needs no chunks", want: "HTTP/1.1 200 OK\nContent-Length: 3\nContent-Type: text/plain; charset=utf-8\n\nabc\nopen"},
	{name: "Flush begins the answer", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
	}},
	{name: "declared trailers", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T, X-U, Content-Length")
		_, _ = io.WriteString(w, "abc")
		w.Header().Set("X-T", "t")
		w.Header().Set("X-V", "undeclared")
	}},
	{name: "trailers by prefix", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "abc")
		w.Header().Set(http.TrailerPrefix+"X-T", "t")
	}},
	{name: "an informational response", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.Header().Set("Content-Type", "not/final")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.Header().Del("Content-Type")
		w.Header().Set("X-A", "a")
		_, _ = io.WriteString(w, "final")
	}},
	{name: "a body is read", request: post("/", "hello"), handler: echoBody},
	{name: "a chunked body is read", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", handler: echoBody},
	{name: "a body is left unread", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}},
	{name: "a body is closed unread", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(r.Body.Close(), nil)
		_, err := r.Body.Read(make([]byte, 1))
		requireIs(err, http.ErrBodyReadAfterClose)
	}},
	// What the server drained before it answered used to look like a body that
	// is over, so that a handler took it for an empty one.
	{name: "a body that was drained for a large answer cannot be read", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large)
		_, err := r.Body.Read(make([]byte, 1))
		requireIs(err, http.ErrBodyReadAfterClose)
	}},
	{name: "in full duplex it can", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(http.NewResponseController(w).EnableFullDuplex(), nil)
		_, _ = io.WriteString(w, large)
		body, err := io.ReadAll(r.Body)
		requireIs(err, nil)
		_, _ = w.Write(body)
	}},
	{name: "HTTP/1.0", request: "GET / HTTP/1.0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}, differs: "a server states the highest version it speaks (RFC 9110 section 6.2), as nginx and Apache do", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\nContent-Type: text/plain; charset=utf-8\n\nok\nclosed"},
	{name: "HTTP/1.0 with keep-alive", request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}, differs: "as above", want: "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Length: 2\nContent-Type: text/plain; charset=utf-8\n\nok\nopen"},
	{name: "HTTP/1.0 with a body of unknown length", request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large)
	}, differs: "as above", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Type: text/plain; charset=utf-8\n\n" + large + "\nclosed"},
	{name: "the client says close", request: get("/", "Connection: close"), handler: func(w http.ResponseWriter, r *http.Request) {
		if !r.Close {
			panic("Close")
		}
	}},
	{name: "OPTIONS *", request: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		panic("not for the handler")
	}},
	{name: "the request's parts", request: get("/a%20b/c?d=e", "X-A: 1", "x-a: 2", "Pragma: no-cache"), handler: describe},
	{name: "absolute-form", request: "GET http://other:81/a?b HTTP/1.1\r\nHost: h\r\n\r\n", handler: describe},
	{name: "authority-form", request: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", handler: describeTo(403)},
	{name: "chunks and trailers in the request", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x-t, X-U\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n", handler: describe},
	{name: "Expect: 100-continue, read", request: "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", handler: echoBody},
	{name: "Expect: 100-continue, answered unread", request: "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
	}},
	{name: "another expectation", request: post("/", "", "Expect: more"), handler: func(w http.ResponseWriter, r *http.Request) {
		panic("not for the handler")
	}, differs: "h1 says what was wrong in the body", want: "HTTP/1.1 417 Expectation Failed\nConnection: close\nContent-Length: 43\nContent-Type: text/plain; charset=utf-8\n\nh1: sent an expectation that cannot be met\n\nclosed"},
	{name: "MaxBytesReader", request: post("/", "hello"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2))
		if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
			panic(err)
		}
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}, differs: "net/http closes by a private agreement with MaxBytesReader; h1 judges by what is left", want: "HTTP/1.1 413 Request Entity Too Large\nContent-Length: 9\nContent-Type: text/plain; charset=utf-8\nX-Content-Type-Options: nosniff\n\ntoo much\n\nopen"},
	{name: "TimeoutHandler in time", request: get("/", "Connection: close"), handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "a")
		_, _ = io.WriteString(w, "in time")
	}), time.Hour, "late").ServeHTTP},
	{name: "a panic", request: get("/1") + get("/2"), handler: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "ok")
	}},
	{name: "a panic after a part of the answer", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "ReadFrom", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(large))
		requireIs(err, nil)
		if n != int64(len(large)) {
			panic(n)
		}
	}},
	{name: "redirects, errors and files", request: get("/x/../y"), handler: http.RedirectHandler("/z", http.StatusTemporaryRedirect).ServeHTTP},
	{name: "ServeContent with a range", request: get("/", "Range: bytes=2-4"), handler: func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	}},
	{name: "a ServeMux", request: get("/a/b"), handler: http.NewServeMux().ServeHTTP},
}

// requireIs panics, so that the difference shows in the answer.
func requireIs(err, want error) {
	if !errors.Is(err, want) {
		panic(fmt.Sprintf("got %v, want %v", err, want))
	}
}

func echoBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	requireIs(err, nil)
	n, err := r.Body.Read(make([]byte, 1))
	if n != 0 || err != io.EOF {
		panic("the end of a body is no end")
	}
	_, _ = w.Write(body)
}

func describe(w http.ResponseWriter, r *http.Request) { describeTo(200)(w, r) }

// describeTo answers with all that a handler sees of the request.
func describeTo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		announced := slices.Sorted(func(yield func(string) bool) {
			for name := range r.Trailer {
				if !yield(name) {
					return
				}
			}
		})
		body, err := io.ReadAll(r.Body)
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s %s %d.%d\n", r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor)
		fmt.Fprintf(w, "%+v %q %q %q\n", *r.URL, r.RequestURI, r.Host, r.Pattern)
		fmt.Fprintf(w, "%v %d %v %t\n", r.Header, r.ContentLength, r.TransferEncoding, r.Close)
		fmt.Fprintf(w, "%q %v %v %v\n", body, err, announced, r.Trailer)
		fmt.Fprintf(w, "%t %t\n", r.TLS == nil, r.RemoteAddr != "")
	}
}

func TestHandlersFindTheContractOfNetHTTP(t *testing.T) {
	for _, c := range contracts {
		inBubble(t, c.name, func(t *testing.T) {
			quiet := log.New(io.Discard, "", 0)
			theirs := c.answer(t, func(l net.Listener) func() {
				s := &http.Server{Handler: c.handler, ErrorLog: quiet}
				go func() { _ = s.Serve(l) }()
				return func() { _ = s.Close() }
			})
			ours := c.answer(t, func(l net.Listener) func() {
				s := &Server{Handler: c.handler, ErrorLog: quiet}
				go func() { _ = s.Serve(l) }()
				return func() { _ = s.Close() }
			})
			if c.differs == "" {
				require.Empty(t, cmp.Diff(theirs, ours), "net/http against h1")
				return
			}
			require.NotEqual(t, theirs, ours, "no longer a difference")
			require.Empty(t, cmp.Diff(c.want, ours), c.differs)
		})
	}
}

// answer plays the request against a server and gives what came back in a form
// that can be compared: fields sorted and dates masked, chunks taken off, and
// whether the connection persists.
func (c *contract) answer(t *testing.T, serve func(net.Listener) (stop func())) string {
	l := wiretest.Listen()
	defer serve(l)()
	nc, err := l.Dial(context.Background())
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	_, err = io.WriteString(nc, c.request)
	require.NoError(t, err)
	if !strings.Contains(c.request, "Content-Length: 5\r\n\r\n") && !strings.Contains(c.request, "Connection: close") || strings.HasSuffix(c.request, "hello") {
		_ = nc.(*wiretest.Conn).CloseWrite()
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	raw, _ := io.ReadAll(nc)
	return digest(c.request, string(raw))
}

// digest is the comparable form of the answers in raw.
func digest(request, raw string) string {
	var out strings.Builder
	method, _, _ := strings.Cut(request, " ")
	r := bufio.NewReaderSize(strings.NewReader(raw), 1<<20)
	fate := "open"
	for {
		if _, err := r.Peek(1); err != nil {
			break
		}
		start := raw[len(raw)-r.Buffered():]
		start, _, _ = strings.Cut(start, "\r\n")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return out.String() + err.Error()
		}
		body, err := io.ReadAll(res.Body)
		out.WriteString(start + "\n")
		fate = "open"
		if res.Close {
			fate = "closed"
			out.WriteString("Connection: close\n")
		}
		if res.TransferEncoding != nil {
			fmt.Fprintf(&out, "Transfer-Encoding: %v\n", res.TransferEncoding)
		} else if res.ContentLength >= 0 && res.Header["Content-Length"] == nil {
			fmt.Fprintf(&out, "(length %d)\n", res.ContentLength)
		}
		if d := res.Header.Get("Date"); d != "" {
			if _, err := http.ParseTime(d); err == nil {
				res.Header.Del("Date")
			}
		} else if res.StatusCode >= 200 {
			out.WriteString("(no date)\n")
		}
		if fate == "closed" && res.Header.Get("Connection") != "" {
			res.Header.Del("Connection")
		}
		var fields []string
		for name, values := range res.Header {
			for _, v := range values {
				fields = append(fields, name+": "+v+"\n")
			}
		}
		slices.Sort(fields)
		out.WriteString(strings.Join(fields, "") + "\n" + string(body) + "\n")
		if err != nil {
			out.WriteString(err.Error() + "\n")
			fate = "closed"
		}
		if len(res.Trailer) > 0 {
			fmt.Fprintf(&out, "%v\n", res.Trailer)
		}
	}
	return out.String() + fate
}

func TestMistakesOfHandlersAreLogged(t *testing.T) {
	tests := []struct {
		name, log string
		handler   http.HandlerFunc
	}{
		{"a superfluous WriteHeader", "superfluous", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.WriteHeader(500)
		}},
		{"WriteHeader after Write", "superfluous", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.WriteHeader(500)
		}},
		{"an invalid length", "Content-Length", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "x") }},
		{"an invalid name", "field name", func(w http.ResponseWriter, r *http.Request) { w.Header()["a b"] = []string{"x"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged syncBuffer
			v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Handler: tt.handler})
			v.Send(get("/"))
			v.ExpectHead("HTTP/1.1 200 OK")
			v.over()
			require.Contains(t, logged.String(), tt.log)
			if tt.log == "superfluous" {
				require.Contains(t, logged.String(), "response_writer_test.go", "who called")
			}
		})
	}
}

func TestAnInvalidStatusPanics(t *testing.T) {
	for _, code := range []int{0, 99, 1000, -1} {
		var logged syncBuffer
		v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
		})})
		v.Send(get("/"))
		v.ExpectEOF()
		require.Equal(t, CloseHandlerPanic, v.over().Reason)
		require.Contains(t, logged.String(), "invalid WriteHeader code "+strconv.Itoa(code))
	}
}

func TestHijackHandsOverWhatWasRead(t *testing.T) {
	for _, before := range []string{"", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"} {
		bubble(t, func(t *testing.T) {
			done := make(chan struct{})
			v := serveOne(t, &Server{IdleTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, rw, err := http.NewResponseController(w).Hijack()
				requireIs(err, nil)
				_, err = w.Write([]byte("x"))
				requireIs(err, http.ErrHijacked)
				_, _, err = w.(http.Hijacker).Hijack()
				requireIs(err, http.ErrHijacked)
				go func() {
					defer close(done)
					time.Sleep(time.Hour) // no deadline of h1 is left
					line, err := rw.ReadString('\n')
					requireIs(err, nil)
					_, _ = rw.WriteString(before + line)
					_ = rw.Flush()
					rest, err := io.ReadAll(rw)
					requireIs(err, nil)
					_, _ = nc.Write(rest)
					_ = nc.Close()
				}()
			})})
			v.Send(get("/", "Connection: upgrade", "Upgrade: x") + "early ")
			synctest.Wait()
			v.Send("line\nthe rest")
			v.SendFIN()
			v.Expect(before + "early line\nthe rest")
			v.ExpectEOF()
			<-done
			info := v.over()
			require.Equal(t, CloseHijacked, info.Reason)
		})
	}
}

func TestHijackAfterAnswering(t *testing.T) {
	v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		nc, _, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_, _ = io.WriteString(nc, "tunnel")
		_ = nc.Close()
	})})
	v.Send("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
	head := v.ExpectHead("HTTP/1.1 200 OK")
	require.NotContains(t, head, "Transfer-Encoding", "RFC 9110 section 9.3.6")
	require.NotContains(t, head, "Content-Length")
	v.Expect("tunnel")
	v.ExpectEOF()
}

func TestHijackIsNotConfusedByAnEarlierReason(t *testing.T) {
	var states states
	v := serveOne(t, &Server{ConnState: states.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_ = nc.Close()
	})})
	v.Send("GET / HTTP/1.0\r\n\r\n")
	v.ExpectEOF()
	v.over()
	require.Equal(t, "new active hijacked", states.String())
}

// What outlives its handler gets errors, and touches nothing of the next
// exchange. Run it with -race.
func TestUseAfterTheHandlerReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type held struct {
			w http.ResponseWriter
			r *http.Request
		}
		var first held
		var during sync.WaitGroup
		v := serveOne(t, &Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if first.w == nil {
				first = held{w, r}
				during.Go(func() {
					<-r.Context().Done()
					require.Equal(t, context.Canceled, r.Context().Err())
					_, err := w.Write([]byte("late"))
					require.ErrorIs(t, err, fault.WrongState)
				})
				return
			}
			during.Wait()
			_, err := first.w.Write([]byte("late"))
			require.ErrorIs(t, err, fault.WrongState)
			_, err = first.w.(io.StringWriter).WriteString("late")
			require.ErrorIs(t, err, fault.WrongState)
			first.w.WriteHeader(500)
			first.w.(http.Flusher).Flush()
			rc := http.NewResponseController(first.w)
			require.ErrorIs(t, rc.Flush(), fault.WrongState)
			require.ErrorIs(t, rc.SetReadDeadline(time.Now()), fault.WrongState)
			require.ErrorIs(t, rc.SetWriteDeadline(time.Now()), fault.WrongState)
			require.ErrorIs(t, rc.EnableFullDuplex(), fault.WrongState)
			_, _, err = rc.Hijack()
			require.ErrorIs(t, err, fault.WrongState)
			_, err = first.r.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			require.NoError(t, first.r.Body.Close())
			require.Equal(t, "1", first.r.Header.Get("X-N"), "what a handler was given stays")
			require.Equal(t, "2", r.Header.Get("X-N"))
			_, _ = io.WriteString(w, "second")
		})})
		v.Send(post("/", "hello", "X-N: 1") + post("/", "hello", "X-N: 2"))
		v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 0")
		v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 6")
		v.Expect("second")
	})
}

// A goroutine that still reads the body when the handler returns is woken, and
// the connection is not used again: what it took cannot be known.
func TestAReadThatOutlivesTheHandlerIsWoken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		failed := make(chan error, 1)
		v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reading := make(chan struct{})
			go func() {
				close(reading)
				_, err := io.ReadAll(r.Body)
				failed <- err
			}()
			<-reading
			synctest.Wait()
			w.WriteHeader(202)
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
		v.ExpectHead("HTTP/1.1 202 Accepted", "Connection: close")
		require.Error(t, <-failed)
		v.ExpectEOF()
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
}

// net/http's server waits here for the read to end.
func TestATimeoutHandlerAnswersThoughItsHandlerReadsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan struct{})
		v := serveOne(t, &Server{Handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			_, err := io.ReadAll(r.Body)
			if err == nil {
				panic("a short body without an error")
			}
			<-r.Context().Done()
		}), time.Second, "late")})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
		v.ExpectHead("HTTP/1.1 503 Service Unavailable", "Connection: close")
		v.Expect("late")
		v.ExpectEOF()
		<-ended
	})
}

// CVE-2020-15586: net/http raced when a handler read a body with Expect in one
// goroutine and wrote in another. Run it with -race.
func TestReadingBesideWriting(t *testing.T) {
	for name, duplex := range map[string]bool{"half duplex": false, "full duplex": true} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			inBubble(t, name+" "+strings.TrimSpace(expect), func(t *testing.T) {
				v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if duplex {
						requireIs(http.NewResponseController(w).EnableFullDuplex(), nil)
					}
					var reading sync.WaitGroup
					reading.Go(func() {
						n, err := io.Copy(io.Discard, r.Body)
						if err == nil && n != int64(len(large)) {
							panic("a short body without an error")
						}
					})
					for range 10 {
						_, _ = io.WriteString(w, large)
						_ = http.NewResponseController(w).Flush()
					}
					reading.Wait()
				})})
				v.Send("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + expect + "Content-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n")
				for i := 0; i < len(large); i += 512 {
					v.Send(large[i : i+512])
				}
				r := bufio.NewReader(v)
				res, err := http.ReadResponse(r, nil)
				require.NoError(t, err)
				if res.StatusCode == 100 {
					res, err = http.ReadResponse(r, nil)
					require.NoError(t, err)
				}
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, strings.Repeat(large, 10), string(body))
			})
		}
	}
}

func TestTheContextEndsWithTheExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ctxs []context.Context
		stopped := make(chan struct{})
		v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
			defer cancel()
			child := context.WithoutCancel(ctx)
			stop := context.AfterFunc(r.Context(), func() { close(stopped) })
			unwanted := context.AfterFunc(r.Context(), func() { panic("it was stopped") })
			if !unwanted() || unwanted() {
				panic("stop")
			}
			_ = stop
			ctxs = append(ctxs, r.Context(), ctx, child)
			for _, ctx := range ctxs {
				requireIs(ctx.Err(), nil)
			}
			if _, ok := r.Context().Deadline(); ok {
				panic("deadline")
			}
		})})
		v.Send(get("/"))
		v.ExpectHead("HTTP/1.1 200 OK")
		<-stopped
		synctest.Wait()
		require.Equal(t, context.Canceled, ctxs[0].Err())
		require.Error(t, ctxs[1].Err())
		require.NoError(t, ctxs[2].Err())
		<-ctxs[0].Done()
		late := make(chan struct{})
		context.AfterFunc(ctxs[0], func() { close(late) })
		<-late
	})
}

func TestTheContextFollowsTheConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(context.Background())
		v := serveOne(t, &Server{
			ConnContext: func(ctx context.Context, nc net.Conn) context.Context { return parent },
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requireIs(r.Context().Err(), nil)
				<-r.Context().Done()
				_, _ = io.WriteString(w, r.Context().Err().Error())
			}),
		})
		v.Send(get("/"))
		synctest.Wait()
		cancel()
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("context canceled")
	})
}

func TestTheServersTransferCodings(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, large)
			w.(http.Flusher).Flush()
		}
	})
	tests := []struct {
		name     string
		enabled  []string
		fields   []string
		encoding string
	}{
		{"gzip where TE lists it", []string{"gzip"}, []string{"TE: gzip", "Connection: TE"}, "gzip, chunked"},
		{"what is liked best", []string{"gzip", "deflate"}, []string{"TE: gzip;q=0.5, deflate", "Connection: TE"}, "deflate, chunked"},
		{"none where it does not", []string{"gzip"}, []string{"TE: trailers", "Connection: TE"}, "chunked"},
		{"none where it is refused", []string{"gzip"}, []string{"TE: gzip;q=0", "Connection: TE"}, "chunked"},
		{"none where none is enabled", nil, []string{"TE: gzip", "Connection: TE"}, "chunked"},
		// A TE that Connection does not list came from further away than the peer
		// (RFC 9110 section 10.1.4).
		{"none where TE is not for this connection", []string{"gzip"}, []string{"TE: gzip"}, "chunked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := serveOne(t, &Server{TransferCodings: tt.enabled, Handler: answer})
			v.Send(get("/", append(tt.fields, "Connection: close")...))
			v.ExpectHead("HTTP/1.1 200 OK", "Transfer-Encoding: "+tt.encoding)
			coded, err := io.ReadAll(newChunkedReader(v))
			require.NoError(t, err)
			if coding, _, ok := strings.Cut(tt.encoding, ","); ok {
				require.Less(t, len(coded), len(large))
				d, err := decodeStack([]string{coding}, bytes.NewReader(coded))
				require.NoError(t, err)
				coded, err = io.ReadAll(d)
				require.NoError(t, err)
			}
			require.Equal(t, strings.Repeat(large, 3), string(coded))
		})
	}
}

// newChunkedReader takes chunks off by net/http's reader.
func newChunkedReader(r io.Reader) io.Reader {
	head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head), r)), nil)
	if err != nil {
		panic(err)
	}
	return res.Body
}
