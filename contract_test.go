package h1

// What a http.Handler may rely on: the same handlers and raw requests on
// net/http's server and on ours, and what the client gets is compared. Every
// difference is listed with its reason.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
	config  func(*http.Server) // sets what both servers are to have
	differs string             // why h1's answer is another one; the other is in want
	want    string             // h1's answer, when it differs
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
	// http.ResponseWriter: a field whose value is nil is not added. It used to be
	// heeded for the Date and the type only, and not when the list was empty.
	{name: "a length unwanted", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = nil
		_, _ = io.WriteString(w, "abc")
	}},
	{name: "a length unwanted, of nothing", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = []string{}
	}},
	{name: "a length unwanted, where there is none", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = nil
		w.WriteHeader(204)
	}},
	{name: "a length unwanted, of an informational response", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = nil
		w.WriteHeader(103)
		w.Header().Del("Content-Length")
		_, _ = io.WriteString(w, "abc")
	}},
	{name: "a length unwanted, to HEAD", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = nil
		_, _ = io.WriteString(w, "abc")
	}},
	{name: "type and date unwanted, by empty lists", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"], w.Header()["Date"], w.Header()["X-A"] = []string{}, []string{}, nil
		_, _ = io.WriteString(w, "<html>")
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
	{name: "Transfer-Encoding set by the handler", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
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
	}, differs: "a server states the highest version it speaks (RFC 9110 section 6.2), as nginx and Apache do", want: "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Length: 2\nContent-Type: text/plain; charset=utf-8\n\nok\nopen"},
	{name: "HTTP/1.0 with a body of unknown length", request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large)
	}, differs: "a server states the highest version it speaks (RFC 9110 section 6.2), as nginx and Apache do", want: "HTTP/1.1 200 OK\nConnection: close\nContent-Type: text/plain; charset=utf-8\n\n" + large + "\nclosed"},
	{name: "the client says close", request: get("/", "Connection: close"), handler: func(w http.ResponseWriter, r *http.Request) {
		if !r.Close {
			panic("Close")
		}
	}},
	{name: "OPTIONS *", request: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		panic("not for the handler")
	}},
	{name: "the request's parts", request: get("/a%20b/c?d=e", "X-A: 1", "x-a: 2", "Pragma: no-cache"), handler: describe},
	// Go's net/url leaves a query as it was given, and curl a path, so both come
	// as they were typed. They used to be refused, and not to be sent.
	{name: "a target in other letters", request: get("/caf\xc3\xa9?q=caf\xc3\xa9&r=\xe9"), handler: describe},
	{name: "absolute-form", request: "GET http://other:81/a?b HTTP/1.1\r\nHost: h\r\n\r\n", handler: describe},
	{name: "authority-form", request: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", handler: describeTo(403)},
	{name: "chunks and trailers in the request", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x-t, X-U\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n", handler: describe},
	// They used to be where net/http has nothing, and the other way round.
	{name: "a length said twice", request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", handler: describe},
	{name: "trailers announced where there can be none", request: get("/", "Trailer: X-T"), handler: describe},
	{name: "no trailers announced", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: ,\r\n\r\n0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Trailer == nil, r.Header)
	}},
	{name: "trailers announced that would be refused", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, X-T\r\n\r\n0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Trailer)
	}, differs: "the field is a hint (RFC 9110 section 6.6.2): names that it should not have are not heeded, and the fields refused when they come", want: "HTTP/1.1 200 OK\nContent-Length: 11\nContent-Type: text/plain; charset=utf-8\n\nmap[X-T:[]]\nopen"},
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
	}},
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

func allContracts() []contract {
	return slices.Concat(contracts, controlContracts, handlerContracts, dropInContracts)
}

func TestHandlersFindTheContractOfNetHTTP(t *testing.T) {
	for _, c := range allContracts() {
		inBubble(t, c.name, func(t *testing.T) {
			theirs := c.answer(t, c.byNetHTTP)
			ours := c.answer(t, c.byH1)
			if c.differs == "" {
				require.Empty(t, cmp.Diff(theirs, ours), "net/http against h1")
				return
			}
			require.NotEqual(t, theirs, ours, "no longer a difference")
			require.Empty(t, cmp.Diff(c.want, ours), c.differs)
		})
	}
}

// server is the configuration that both servers get.
func (c *contract) server() *http.Server {
	s := &http.Server{Handler: c.handler, ErrorLog: log.New(io.Discard, "", 0)}
	if c.config != nil {
		c.config(s)
	}
	return s
}

func (c *contract) byNetHTTP(l net.Listener) (stop func()) {
	s := c.server()
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Close() }
}

func (c *contract) byH1(l net.Listener) (stop func()) {
	s := likeNetHTTPs(c.server())
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Close() }
}

// likeNetHTTPs is our Server with the fields of net/http's that are set.
func likeNetHTTPs(theirs *http.Server) *Server {
	ours := new(Server)
	from, to := reflect.ValueOf(theirs).Elem(), reflect.ValueOf(ours).Elem()
	for _, f := range reflect.VisibleFields(from.Type()) {
		if v := from.FieldByIndex(f.Index); f.IsExported() && !v.IsZero() {
			to.FieldByName(f.Name).Set(v)
		}
	}
	return ours
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
