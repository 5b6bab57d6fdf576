package h1

// What the server costs without a network: the making of an answer's head, and
// the loop that serves request after request.

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// treadmill is a net.Conn that gives the same requests again for as long as the
// benchmark goes on, and drops the answers. One turn of the benchmark is one
// request.
type treadmill struct {
	net.Conn // for what costs nothing here: the addresses
	b        *testing.B
	wire     string // all the requests of one burst
	depth    int    // how many those are
	pos      int
	out      int // octets of the answers
}

func newTreadmill(b *testing.B, request string, depth int) *treadmill {
	_, far := wiretest.Pair()
	return &treadmill{Conn: far, b: b, wire: strings.Repeat(request, depth), depth: depth}
}

func (t *treadmill) Read(p []byte) (int, error) {
	if t.pos == len(t.wire) {
		t.pos = 0
	}
	for i := 0; t.pos == 0 && i < t.depth; i++ {
		if !t.b.Loop() {
			return 0, io.EOF
		}
	}
	n := copy(p, t.wire[t.pos:])
	t.pos += n
	return n, nil
}

func (t *treadmill) Write(p []byte) (int, error)      { t.out += len(p); return len(p), nil }
func (t *treadmill) SetReadDeadline(time.Time) error  { return nil }
func (t *treadmill) SetWriteDeadline(time.Time) error { return nil }

var benchAnswer = []byte("Hello, World!")

var benchScratch [1024]byte // benchmarks run one after the other

var benchNative = NativeHandlerFunc(func(x *Exchange) {
	for {
		if _, err := x.Read(benchScratch[:]); err != nil {
			break
		}
	}
	_ = x.Reply(200, "text/plain", benchAnswer)
})

var benchHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(benchAnswer)
})

func BenchmarkServe(b *testing.B) {
	forever := KeepAlive{MaxRequests: -1, MaxAge: -1}
	servers := map[string]*Server{
		"native":  {Native: benchNative, KeepAlive: forever},
		"handler": {Handler: benchHandler, KeepAlive: forever},
	}
	for _, bb := range []struct {
		name, request string
		depth         int
	}{
		{"GET", get("/"), 1},
		{"GET 16 deep", get("/"), 16},
		{"GET of a browser", browsers, 1},
		{"POST 1 KiB", post("/", strings.Repeat("x", 1024)), 1},
		{"POST 1 KiB 16 deep", post("/", strings.Repeat("x", 1024)), 16},
	} {
		for _, kind := range []string{"native", "handler"} {
			b.Run(bb.name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				nc := newTreadmill(b, bb.request, bb.depth)
				require.NoError(b, servers[kind].ServeConn(nc))
				require.Greater(b, nc.out, 13*b.N-13*bb.depth, "the requests were answered")
			})
		}
	}
}

// oneExchange is an exchange whose request was read.
func oneExchange(b *testing.B) *Exchange {
	near, far := wiretest.Pair()
	_, err := io.WriteString(near, browsers)
	require.NoError(b, err)
	nc := newTreadmill(b, browsers, 1)
	c, err := NewServerConn(far, nil)
	require.NoError(b, err)
	x, err := c.Next()
	require.NoError(b, err)
	c.nc = nc // the answers go nowhere
	return x
}

func BenchmarkAnswerHead(b *testing.B) {
	b.Run("native", func(b *testing.B) {
		x := oneExchange(b)
		b.ReportAllocs()
		for b.Loop() {
			x.answer.reset()
			_ = x.SetField("Cache-Control", "no-store")
			_ = x.Reply(200, "text/plain", benchAnswer)
			_ = x.c.flush()
		}
	})
	b.Run("handler", func(b *testing.B) {
		x := oneExchange(b)
		x.duplex, x.answer.sniff = false, true
		ss := &session{s: &Server{}, c: x.c}
		b.ReportAllocs()
		for b.Loop() {
			x.answer.reset()
			w := &responseWriter{ss: ss, x: x}
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(benchAnswer)
			w.complete()
			x.end()
			_ = x.c.flush()
		}
	})
}
