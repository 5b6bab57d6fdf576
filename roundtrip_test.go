package h1_test

// The Transport on real sockets, against net/http's server and h1's, over plain
// text and TLS.

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/poll"
	"github.com/h1go/h1/internal/wiretest"
)

// world is a server with a Transport that trusts it.
type world struct {
	*lives
	url string
	tr  *h1.Transport
}

// eachServer runs a test against each kind of server. tr gives the Transport;
// nil for a plain one.
func eachServer(t *testing.T, handler http.HandlerFunc, tr func() *h1.Transport, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, kind := range []string{"net/http", "h1"} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(kind+"/"+scheme, func(t *testing.T) {
				wiretest.NoLeaks(t, "internal/poll", "lateFlusher", "dispatcher") // h1.Server keeps these for good
				w := &world{lives: &lives{}, tr: &h1.Transport{}}
				if tr != nil {
					w.tr = tr()
				}
				w.tr.OnConn = w.tell
				s := httptest.NewUnstartedServer(handler)
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				if kind == "h1" {
					serveByH1(t, s, scheme == "https")
				} else if scheme == "https" {
					s.StartTLS()
				} else {
					s.Start()
				}
				t.Cleanup(s.Close)
				t.Cleanup(w.tr.CloseIdleConnections)
				w.url = s.URL
				if scheme == "https" {
					w.tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
				}
				test(t, w)
			})
		}
	}
}

// serveByH1 starts an h1.Server in the place of s's, with a certificate made by
// httptest.
func serveByH1(t *testing.T, s *httptest.Server, secure bool) {
	srv := &h1.Server{Handler: s.Config.Handler, ErrorLog: s.Config.ErrorLog}
	l := s.Listener
	done := make(chan error, 1)
	s.Listener = nil
	idle, err := net.Listen("tcp", "127.0.0.1:0") // what s has to have
	require.NoError(t, err)
	s.Listener = idle
	if secure {
		s.StartTLS()
		go func() { done <- srv.Serve(tls.NewListener(l, &tls.Config{Certificates: s.TLS.Certificates})) }()
		s.URL = "https://" + l.Addr().String()
	} else {
		s.Start()
		go func() { done <- srv.Serve(l) }()
		s.URL = "http://" + l.Addr().String()
	}
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}

// mirror answers with what it got, in the way the path says.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch r.URL.Path {
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	case "/unchanged":
		w.WriteHeader(http.StatusNotModified)
	case "/gzip":
		w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding"))
		z := gzip.NewWriter(w)
		_, _ = z.Write(body)
		_ = z.Close()
	case "/trailer":
		w.Header().Set("Trailer", "Sum")
		_, _ = w.Write(body)
		w.Header().Set("Sum", r.Trailer.Get("Sum"))
	case "/pieces":
		for len(body) > 0 {
			n := min(len(body), 1000)
			_, _ = w.Write(body[:n])
			w.(http.Flusher).Flush()
			body = body[n:]
		}
	default:
		_, _ = w.Write(body)
	}
}

func TestEveryKindOfExchangeKeepsTheConnection(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20_000)
	tests := []struct {
		method, path, body string
		known              bool
		status             int
		want               string
	}{
		{method: "GET", path: "/", status: 200},
		{method: "HEAD", path: "/", status: 200},
		{method: "POST", path: "/", body: "small", known: true, status: 200, want: "small"},
		{method: "POST", path: "/", body: big, known: true, status: 200, want: big},
		{method: "POST", path: "/", body: big, status: 200, want: big},
		{method: "POST", path: "/pieces", body: big, status: 200, want: big},
		{method: "POST", path: "/gzip", body: big, status: 200, want: big},
		{method: "POST", path: "/trailer", body: "trailed", status: 200, want: "trailed"},
		{method: "GET", path: "/nothing", status: 204},
		{method: "GET", path: "/unchanged", status: 304},
	}
	eachServer(t, mirror, nil, func(t *testing.T, w *world) {
		for range 3 {
			for _, tt := range tests {
				var body io.Reader
				if tt.body != "" {
					body = strings.NewReader(tt.body)
					if !tt.known {
						body = io.MultiReader(body)
					}
				}
				req, err := http.NewRequest(tt.method, w.url+tt.path, body)
				require.NoError(t, err)
				if tt.path == "/trailer" {
					req.Trailer = http.Header{"Sum": {"7"}}
				}
				res, err := w.tr.RoundTrip(req)
				require.NoError(t, err)
				got, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.True(t, tt.want == string(got), "%s %s: the body differs", tt.method, tt.path)
				require.Equal(t, tt.status, res.StatusCode)
				require.Same(t, req, res.Request)
				require.Equal(t, req.URL.Scheme == "https", res.TLS != nil)
				require.Equal(t, tt.path == "/gzip", res.Uncompressed)
				if tt.path == "/trailer" {
					require.Equal(t, "7", res.Trailer.Get("Sum"))
				}
			}
		}
		require.Equal(t, 1, w.count())
		require.Empty(t, w.ends())
	})
}

func TestEarlyRefusalOfAnUploadArrives(t *testing.T) {
	refuse := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}
	eachServer(t, refuse, nil, func(t *testing.T, w *world) {
		for range 3 {
			body := &watched{Reader: io.LimitReader(zeros{}, 8<<20)}
			req, err := http.NewRequest("POST", w.url, body)
			require.NoError(t, err)
			res, err := w.tr.RoundTrip(req)
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "too much\n", string(text))
			require.NoError(t, res.Body.Close())
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestExpectationIsMet(t *testing.T) {
	eachServer(t, mirror, func() *h1.Transport { return &h1.Transport{ExpectContinueTimeout: time.Hour} }, func(t *testing.T, w *world) {
		for range 2 {
			req, err := http.NewRequest("POST", w.url, strings.NewReader("hello"))
			require.NoError(t, err)
			req.Header.Set("Expect", "100-continue")
			res, err := w.tr.RoundTrip(req)
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
		}
		require.Equal(t, 1, w.count())
	})
}

func TestTransportServesAnHTTPClient(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/from":
			http.Redirect(w, r, "/to", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, r.URL.Path)
		}
	}
	eachServer(t, handler, nil, func(t *testing.T, w *world) {
		client := &http.Client{Transport: w.tr}
		res, err := client.Get(w.url + "/from")
		require.NoError(t, err)
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "/to", string(got))
		require.Equal(t, 1, w.count())

		client.Timeout = 50 * time.Millisecond
		_, err = client.Get(w.url + "/slow")
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
	})
}

// TestRequestsUnderPressure has many goroutines share few connections, some
// of them impatient: everyone gets the answer to the own question, or its own
// cancellation, and the limit holds.
func TestRequestsUnderPressure(t *testing.T) {
	tr := func() *h1.Transport { return &h1.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 3} }
	eachServer(t, mirror, tr, func(t *testing.T, w *world) {
		var open atomic.Int64
		var all sync.WaitGroup
		w.tr.OnConn = func(e h1.ConnEvent, info h1.ConnInfo) {
			switch e {
			case h1.EventOpened:
				all.Add(1)
				if n := open.Add(1); n > 4 {
					t.Errorf("%d connections are open", n)
				}
			case h1.EventClosed:
				open.Add(-1)
				all.Done()
			}
		}
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(g)))
				for i := range 25 {
					if err := ask(t.Context(), w, rnd, fmt.Sprintf("%d/%d", g, i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		w.tr.CloseIdleConnections()
		all.Wait() // none is left open
	})
}

// ask sends one question of a random kind and checks the answer.
func ask(ctx context.Context, w *world, rnd *rand.Rand, question string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	impatient := rnd.IntN(4) == 0
	if impatient {
		timer := time.AfterFunc(time.Duration(rnd.IntN(2000))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	question = strings.Repeat(question+" ", 1+rnd.IntN(2000))
	var body io.Reader = strings.NewReader(question)
	if rnd.IntN(2) == 0 {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", w.url+[]string{"/", "/pieces", "/gzip"}[rnd.IntN(3)], body)
	if err != nil {
		return err
	}
	var got []byte
	res, err := w.tr.RoundTrip(req)
	if err == nil {
		got, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	switch {
	case err != nil && impatient && errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(got, []byte(question)):
		return fmt.Errorf("the answer to %q is another's", question)
	}
	return nil
}

// station is a listener whose connections the test serves, with a Transport
// whose connections it can look at.
type station struct {
	*lives
	t      *testing.T
	l      net.Listener
	tr     *h1.Transport
	dialed chan net.Conn
}

func newStation(t *testing.T) *station {
	wiretest.NoLeaks(t, processWide...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))) // for a connection that does not come
	s := &station{lives: &lives{}, t: t, l: l, dialed: make(chan net.Conn, 10)}
	s.tr = &h1.Transport{OnConn: s.tell, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		if err == nil {
			s.dialed <- nc
		}
		return nc, err
	}}
	t.Cleanup(func() {
		s.tr.CloseIdleConnections()
		require.NoError(t, l.Close())
	})
	return s
}

// visit has one request answered, on a new connection, and returns both ends.
func (s *station) visit(wrap func(net.Conn) net.Conn, req *http.Request) (client, server net.Conn) {
	s.t.Helper()
	failed := make(chan error, 1)
	go func() {
		res, err := s.tr.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		failed <- err
	}()
	server, err := s.l.Accept()
	require.NoError(s.t, err)
	server = wrap(server)
	k := wiretest.NewTalk(s.t, server)
	k.ExpectHead(req.Method + " / HTTP/1.1")
	k.Send(hello)
	require.NoError(s.t, <-failed)
	return <-s.dialed, server
}

// untilNews waits until there is something to be read.
func untilNews(nc net.Conn) {
	for peeker := poll.NewPeeker(nc); ; runtime.Gosched() {
		if sight, _ := peeker.Peek(); sight != poll.Silence {
			return
		}
	}
}

func TestIdleConnectionIsLookedAtBeforeItIsUsedAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	schemes := map[string]func(net.Conn) net.Conn{
		"http": func(nc net.Conn) net.Conn { return nc },
		"https": func(nc net.Conn) net.Conn {
			return tls.Server(nc, &tls.Config{Certificates: certificate.TLS.Certificates})
		},
	}
	ends := map[string]struct {
		end    func(nc net.Conn) error
		reason string
	}{
		"the server closed it": {func(nc net.Conn) error {
			if secure, ok := nc.(*tls.Conn); ok {
				nc = secure.NetConn() // without a farewell, which would be octets
			}
			return nc.Close()
		}, "peer_eof"},
		"the server said more than it was asked": {func(nc net.Conn) error {
			_, err := io.WriteString(nc, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
			return err
		}, "unasked"},
	}
	for scheme, wrap := range schemes {
		for name, tt := range ends {
			t.Run(scheme+"/"+name, func(t *testing.T) {
				s := newStation(t)
				s.tr.TLSClientConfig = certificate.Client().Transport.(*http.Transport).TLSClientConfig
				post := func() *http.Request {
					req, err := http.NewRequest("POST", scheme+"://example.com/", nil)
					require.NoError(t, err)
					return req
				}
				client, server := s.visit(wrap, post())
				require.NoError(t, tt.end(server))
				untilNews(client)
				_, second := s.visit(wrap, post())
				require.Equal(t, []string{tt.reason}, s.ends())
				require.Equal(t, 2, s.count())
				_ = server.Close()
				require.NoError(t, second.Close())
			})
		}
	}
}

// heldUp is a connection whose user is held up by the scheduler: as often as left
// says, a deadline has passed by the time it is set.
type heldUp struct {
	*net.TCPConn
	left atomic.Int32
}

func (h *heldUp) SetReadDeadline(by time.Time) error {
	if !by.IsZero() && h.left.Add(-1) >= 0 {
		time.Sleep(time.Until(by))
	}
	return h.TCPConn.SetReadDeadline(by)
}

// Under TLS what came on an idle connection has to be read to know what it is, and
// there is a millisecond for that. Who was held up for longer read nothing, took
// that for silence, and what lay there for the answer to the next request. So did
// who read a part of a record only.
func TestALateLookAtAnIdleConnectionSeesNoSilence(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	const late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
	for name, tt := range map[string]struct {
		held int32  // how many looks come too late
		wire string // what comes in place of a 408
	}{
		"none is late":           {},
		"the first is late":      {held: 1},
		"several are late":       {held: 4},
		"all are late":           {held: 1 << 30},
		"a part of a record":     {wire: "\x17\x03\x03\x00\x40HTTP"},
		"a part of its header":   {wire: "\x17\x03"},
		"its header and no more": {wire: "\x17\x03\x03\x00\x40"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStation(t)
			s.tr.TLSClientConfig = certificate.Client().Transport.(*http.Transport).TLSClientConfig
			s.tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, s.l.Addr().String())
				if err != nil {
					return nil, err
				}
				held := &heldUp{TCPConn: nc.(*net.TCPConn)}
				s.dialed <- held
				return held, nil
			}
			wrap := func(nc net.Conn) net.Conn {
				return tls.Server(nc, &tls.Config{Certificates: certificate.TLS.Certificates})
			}
			post := func() *http.Request {
				req, err := http.NewRequest("POST", "https://example.com/", nil)
				require.NoError(t, err)
				return req
			}
			client, server := s.visit(wrap, post())
			client.(*heldUp).left.Store(tt.held)
			var err error
			if tt.wire != "" {
				_, err = io.WriteString(server.(*tls.Conn).NetConn(), tt.wire)
			} else {
				_, err = io.WriteString(server, late)
			}
			require.NoError(t, err)
			untilNews(client)
			_, second := s.visit(wrap, post())
			require.Equal(t, []string{"unasked"}, s.ends())
			_ = server.Close()
			require.NoError(t, second.Close())
		})
	}
}

// twice is a server's connection over TLS that sends something behind each piece
// that nobody asked for, in a record of its own and together with the piece.
type twice struct {
	net.Conn
	wire *corked // under TLS
	more string
}

func (c twice) Write(p []byte) (int, error) {
	c.wire.on = true
	n, err := c.Conn.Write(p)
	_, moreErr := io.WriteString(c.Conn, c.more)
	return n, errors.Join(err, moreErr, c.wire.uncork())
}

// corked is a connection that holds back what is written while it is on.
type corked struct {
	net.Conn
	on   bool
	held bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) {
	if c.on {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *corked) uncork() error {
	c.on = false
	_, err := c.held.WriteTo(c.Conn)
	return err
}

// crypto/tls reads what there is, and gives it record by record. What came behind
// an answer was in its hands when the connection seemed silent, and was taken for
// the answer to the next request.
func TestWhatComesWithAnAnswerIsNotTheNextOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	for name, more := range map[string]string{
		"another answer": hello,
		"a late 408":     "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
		"an octet":       "H",
	} {
		for _, whose := range []string{"the Transport's TLS", "the caller's TLS"} {
			t.Run(name+" over "+whose, func(t *testing.T) {
				s := newStation(t)
				config := certificate.Client().Transport.(*http.Transport).TLSClientConfig
				if s.tr.TLSClientConfig = config; whose == "the caller's TLS" {
					s.tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := s.tr.DialContext(ctx, network, addr)
						if err != nil {
							return nil, err
						}
						own := config.Clone()
						own.ServerName = "example.com"
						t := tls.Client(nc, own)
						return t, t.HandshakeContext(ctx)
					}
				}
				wrap := func(nc net.Conn) net.Conn {
					wire := &corked{Conn: nc}
					return twice{tls.Server(wire, &tls.Config{Certificates: certificate.TLS.Certificates}), wire, more}
				}
				for range 2 {
					req, err := http.NewRequest("POST", "https://example.com/", nil)
					require.NoError(t, err)
					_, server := s.visit(wrap, req)
					defer server.Close()
				}
				require.Equal(t, []string{"unasked"}, s.ends())
			})
		}
	}
}

func TestTLSHandshakeHasItsTime(t *testing.T) {
	tests := map[string]struct {
		limit time.Duration
		code  string
		is    error
	}{
		"its own":       {limit: 10 * time.Millisecond, code: "tls_failed", is: context.DeadlineExceeded},
		"the request's": {limit: time.Hour, code: "cancelled", is: context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStation(t)
			s.tr.TLSHandshakeTimeout = tt.limit
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "GET", "https://example.com/", nil)
			require.NoError(t, err)
			failed := make(chan error, 1)
			go func() {
				_, err := s.tr.RoundTrip(req)
				failed <- err
			}()
			server, err := s.l.Accept()
			require.NoError(t, err)
			if tt.code == "cancelled" {
				_, err = io.ReadFull(server, make([]byte, 1)) // the handshake has begun
				require.NoError(t, err)
				cancel()
			}
			err = <-failed
			require.Equal(t, tt.code, code(err))
			require.ErrorIs(t, err, tt.is)
			cancel()
			require.NoError(t, server.Close())
		})
	}
}

func TestPlainServerBehindHTTPSIsToldApart(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(mirror))
	defer s.Close()
	tr := &h1.Transport{}
	_, err := (&http.Client{Transport: tr}).Get(strings.Replace(s.URL, "http:", "https:", 1))
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	var header tls.RecordHeaderError
	_, err = tr.RoundTrip(httptest.NewRequest("GET", strings.Replace(s.URL, "http:", "https:", 1), nil))
	require.ErrorAs(t, err, &header)
	require.Equal(t, "tls_failed", code(err))
}

func TestOnlyHTTP1IsNegotiated(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	tr := &h1.Transport{TLSClientConfig: cfg}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(s.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "HTTP/1.1", res.Proto)
	require.NotEqual(t, "h2", res.TLS.NegotiatedProtocol)
	require.Equal(t, []string{"h2", "http/1.1"}, cfg.NextProtos, "the caller's own is left alone")
}
