package h1

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// loop is a net.Conn in one goroutine's hands: Read gives the same octets again
// and again for as long as turns are granted, Write counts octets.
type loop struct {
	net.Conn
	wire  string
	turns chan struct{}
	done  chan struct{}
	size  int // octets of the answers to one turn
	out   int
}

func (l *loop) Read(p []byte) (int, error) {
	if _, ok := <-l.turns; !ok {
		return 0, io.EOF
	}
	return copy(p, l.wire), nil
}

func (l *loop) Write(p []byte) (int, error) {
	if l.out += len(p); l.out >= l.size {
		l.out -= l.size
		l.done <- struct{}{}
	}
	return len(p), nil
}

// measure counts what the server allocates for one read of wire, whose answers
// take size octets.
func measure(t *testing.T, s *Server, wire string, budget int) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would empty the pools
	_, far := wiretest.Pair()
	l := &loop{Conn: far, wire: wire, turns: make(chan struct{}), done: make(chan struct{})}
	l.size = sizeOfAnswers(t, s, wire)
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(l) }()
	turn := func() {
		l.turns <- struct{}{}
		<-l.done
	}
	for range 100 { // buffers and maps grow to what they need
		turn()
	}
	wiretest.Allocs(t, budget, turn)
	close(l.turns)
	require.NoError(t, <-served)
}

// sizeOfAnswers is how many octets s answers wire with.
func sizeOfAnswers(t *testing.T, s *Server, wire string) int {
	near, far := wiretest.Pair()
	_, err := io.WriteString(near, wire)
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	require.NoError(t, s.ServeConn(far))
	answers, err := io.ReadAll(near)
	require.NoError(t, err)
	return len(answers)
}

// browsers is a request as a browser sends it.
const browsers = "GET /index.html?x=y HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Cookie: a=b; c=d\r\nConnection: keep-alive\r\nX-Other: yes\r\n\r\n"

func TestANativeHandlerAllocatesNothing(t *testing.T) {
	body := []byte("hello, world")
	scratch := make([]byte, 4096)
	reply := NativeHandlerFunc(func(x *Exchange) {
		for {
			if _, err := x.Read(scratch); err != nil {
				break
			}
		}
		if len(x.Path()) == 0 || x.Field("host") == nil || len(x.Method()) == 0 || x.Field("x-none") != nil {
			panic("no request")
		}
		for name := range x.Fields() {
			_ = name
		}
		if err := x.SetField("Cache-Control", "no-store"); err != nil {
			panic(err)
		}
		_ = x.Reply(200, "text/plain", body)
	})
	stream := NativeHandlerFunc(func(x *Exchange) {
		for range 4 {
			_, _ = x.Write(scratch[:1000])
		}
		_ = x.SetTrailer("X-T", "t")
	})
	tests := []struct {
		name    string
		handler NativeHandler
		wire    string
		more    KeepAlive
		limit   time.Duration
	}{
		{name: "GET", handler: reply, wire: browsers},
		{name: "sixteen pipelined", handler: reply, wire: strings.Repeat(get("/"), 16)},
		{name: "POST with a length", handler: reply, wire: post("/", "hello")},
		{name: "POST in chunks, with a trailer", handler: reply, wire: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n"},
		{name: "POST unread", handler: NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(200, "", body) }), wire: post("/", "hello")},
		{name: "HEAD", handler: reply, wire: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{name: "HTTP/1.0 with keep-alive", handler: reply, wire: "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"},
		{name: "Keep-Alive advertised", handler: reply, wire: browsers, more: KeepAlive{Advertise: true}},
		{name: "with each timeout", handler: reply, wire: browsers, limit: time.Hour},
		{name: "chunked answer with a trailer", handler: stream, wire: browsers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			measure(t, &Server{Native: tt.handler, KeepAlive: tt.more, ReadTimeout: tt.limit, WriteTimeout: tt.limit}, tt.wire, 0)
		})
	}
}

// A http.Handler gets memory of its own for each request, none of which is ever
// used again: the copy of the head, the values' array, the Header, the writer
// that holds Request, URL, context and body, and the answer's Header.
func TestAnHTTPHandlerAllocates(t *testing.T) {
	typ := []string{"text/plain"}
	body := []byte("hello, world")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = typ
		_, _ = w.Write(body)
	})
	tests := []struct {
		name, wire string
		budget     int
	}{
		{"GET of few fields", get("/"), 5},
		{"GET of a browser", browsers, 7},
		{"GET of Host and eight fields", string(benchRequest), 7},
		{"POST", post("/", "hello"), 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { measure(t, &Server{Handler: handler}, tt.wire, tt.budget) })
	}
}

// The writer holds the request and all that belongs to it, and is made for each
// request: it is as large as a size class of the runtime's, less the 8 octets of
// the runtime's own that objects past 512 have.
func TestAWriterFillsItsSizeClass(t *testing.T) {
	const class, own = 576, 8
	if strconv.IntSize < 64 {
		t.Skip("the figure is that of 64-bit systems")
	}
	require.LessOrEqual(t, int(reflect.TypeFor[responseWriter]().Size()), class-own)
}

// A response and its Body are one object; beside it there are the copy of the
// head, the Header with its table and its values' array, and the trip, which is
// the request on its way. The memory of the request's head is lent.
func TestARoundTripAllocates(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	tests := []struct {
		name, url string
		body      io.Reader
		header    http.Header
	}{
		{name: "an address", url: "http://127.0.0.1:80/"},
		{name: "a host without a port, and a query", url: "http://h.example/a?b=c"},
		{name: "http.NoBody", url: "http://h.example/", body: http.NoBody},
		{name: "fields", url: "http://h.example/", header: http.Header{"Accept": {"*/*"}, "Cookie": {"a=b"}, "X-Other": {" a field whose value is longer than most "}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := &Transport{DialContext: dialCanned}
			defer tr.CloseIdleConnections()
			req, err := http.NewRequest("GET", tt.url, tt.body)
			require.NoError(t, err)
			if tt.header != nil {
				req.Header = tt.header
			}
			p := make([]byte, 64)
			turn := func() {
				res, err := tr.RoundTrip(req)
				require.NoError(t, err)
				for err == nil {
					_, err = res.Body.Read(p)
				}
				require.Equal(t, io.EOF, err)
			}
			for range 100 {
				turn()
			}
			wiretest.Allocs(t, 6, turn)
		})
	}
}

// behind is the client's end of a connection whose server answers a request once
// another waits behind it, so that somebody is in line at all times.
type behind struct {
	canned
	mu   sync.Mutex
	told sync.Cond
	due  int
	last bool // there will be none behind the next one
}

func (b *behind) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due += bytes.Count(p, []byte("\r\n\r\n"))
	b.told.Signal()
	return len(p), nil
}

func (b *behind) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.due < 2 && !b.last {
		b.told.Wait()
	}
	if b.due == 0 {
		return 0, io.EOF
	}
	b.due--
	return copy(p, cannedAnswer), nil
}

// A request that shares a connection costs no more than one that does not: its place
// in the line is a part of the trip, and what it waits in is handed on.
func TestAPipelinedRoundTripAllocates(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	b := &behind{canned: canned{closed: make(chan struct{})}}
	b.told.L = &b.mu
	tr := &Transport{Pipelining: Pipelining{Depth: 16}, DialContext: func(context.Context, string, string) (net.Conn, error) { return b, nil }}
	defer tr.CloseIdleConnections()
	p := [2][]byte{make([]byte, 64), make([]byte, 64)}
	turn := func(who int, req *http.Request) {
		res, err := tr.RoundTrip(req)
		for err == nil {
			_, err = res.Body.Read(p[who])
		}
		require.Equal(t, io.EOF, err)
	}
	request := func() *http.Request { return must(http.NewRequest("GET", "http://127.0.0.1:80/", nil)) }
	var enough atomic.Bool
	other := make(chan struct{})
	go func() { // one for one of the other's, but for the last
		defer close(other)
		for req := request(); !enough.Load(); {
			turn(0, req)
		}
	}()
	req := request()
	for range 100 {
		turn(1, req)
	}
	wiretest.Allocs(t, 2*6, func() { turn(1, req) })
	b.mu.Lock()
	b.last = true
	b.told.Signal()
	b.mu.Unlock()
	enough.Store(true)
	<-other
	require.EqualValues(t, 1, tr.Stats().Total.Dials)
}

// What lies on the wire of the next request must not be what an earlier one was
// made of.
func TestLentHeadsAreNotMixedUp(t *testing.T) {
	tr := transportTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Id"))
	}))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				id := strings.Repeat(strconv.Itoa(i)+"-", j*20)
				req, err := http.NewRequest("GET", "http://h1.example:80/", nil)
				require.NoError(t, err)
				req.Header.Set("X-Id", id)
				res, err := tr.RoundTrip(req)
				require.NoError(t, err)
				got, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, id, string(got))
			}
		})
	}
	wg.Wait()
}

// transportTo is a Transport whose connections lead to a Server over memory.
func transportTo(t *testing.T, handler http.Handler) *Transport {
	t.Helper()
	l := wiretest.Listen()
	s := &Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tr := &Transport{DialContext: l.DialContext}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		require.NoError(t, s.Close())
		require.Equal(t, http.ErrServerClosed, <-served)
	})
	return tr
}

// An idle connection is what a server has most of, so what it holds is kept small:
// a Conn of one octet more would take 32 more from the allocator.
func TestAConnFillsItsSizeClass(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("SKIPPED: the size is meant for 64 bits")
	}
	require.LessOrEqual(t, reflect.TypeFor[Conn]().Size(), uintptr(256))
	require.LessOrEqual(t, reflect.TypeFor[session]().Size(), uintptr(64))
}
