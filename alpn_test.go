package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// speakHTTP2 plugs golang.org/x/net/http2 into s, as ExampleServer_http2 does.
func speakHTTP2(t *testing.T, s *Server) {
	base := &http.Server{}
	//lint:ignore SA1019 that it can be plugged in is what is tested
	require.NoError(t, http2.ConfigureServer(base, nil))
	s.TLSNextProto = map[string]func(*Server, *tls.Conn, http.Handler){
		"h2": func(_ *Server, nc *tls.Conn, h http.Handler) { base.TLSNextProto["h2"](base, nc, h) },
	}
	s.RegisterOnShutdown(func() { _ = base.Shutdown(context.Background()) })
}

// alpnServer serves over TLS, and gives the address and the clients' TLS
// configuration.
func alpnServer(t *testing.T, s *Server) (addr string, client *tls.Config, served chan error) {
	cert, roots := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if s.TLSConfig == nil {
		s.TLSConfig = &tls.Config{}
	}
	s.TLSConfig.Certificates = []tls.Certificate{cert}
	served = make(chan error, 1)
	go func() { served <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, served
}

func TestHTTP2IsHandedOn(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	type key struct{}
	s := &Server{
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "conn") },
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NotNil(t, r.TLS)
		require.NotEmpty(t, r.RemoteAddr)
		require.Equal(t, "conn", r.Context().Value(key{}))
		require.Same(t, s, r.Context().Value(ServerContextKey))
		require.NotNil(t, r.Context().Value(http.LocalAddrContextKey))
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		_, _ = io.WriteString(w, r.Proto+" "+string(body))
	})
	speakHTTP2(t, s)
	addr, client, served := alpnServer(t, s)
	for _, tt := range []struct {
		proto string
		http2 bool
	}{{"HTTP/2.0", true}, {"HTTP/1.1", false}} {
		tr := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: tt.http2}
		for range 3 {
			body := strings.Repeat(large, 20)
			req, err := http.NewRequest("POST", "https://"+addr+"/", strings.NewReader(body))
			require.NoError(t, err)
			res, err := tr.RoundTrip(req)
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, tt.proto+" "+body, string(got))
			require.NoError(t, res.Body.Close())
		}
		require.Equal(t, tt.proto, protoOfStar(t, tr, addr), "OPTIONS * is answered without the handler")
		tr.CloseIdleConnections()
	}
	require.NoError(t, s.Shutdown(context.Background()))
	require.Equal(t, http.ErrServerClosed, <-served)
}

func protoOfStar(t *testing.T, tr http.RoundTripper, addr string) string {
	req, err := http.NewRequest("OPTIONS", "https://"+addr, nil)
	require.NoError(t, err)
	req.URL.Path = "*"
	res, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	require.Zero(t, res.ContentLength)
	require.NoError(t, res.Body.Close())
	return res.Proto
}

func TestShutdownWaitsForHTTP2(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	entered, release := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})}
	speakHTTP2(t, s)
	addr, client, _ := alpnServer(t, s)
	tr := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	answer := make(chan string, 1)
	go func() {
		res, err := (&http.Client{Transport: tr}).Get("https://" + addr)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answer <- res.Proto + " " + string(body)
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded, "a request is under way")
	close(release)
	require.Equal(t, "HTTP/2.0 done", <-answer)
	require.NoError(t, s.Shutdown(context.Background()), "the other end was told GOAWAY")
}

// echoes speaks a protocol of its own, in which a line is answered by itself.
func echoes(ended chan<- error) func(*Server, *tls.Conn, http.Handler) {
	return func(_ *Server, nc *tls.Conn, _ http.Handler) {
		r := bufio.NewReader(nc)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				ended <- err
				return
			}
			if line == "panic\n" {
				ended <- nil
				panic("as asked")
			}
			if line == "bye\n" {
				ended <- nil
				return
			}
			_, _ = io.WriteString(nc, line)
		}
	}
}

// Everything sent from the handshake's end on reaches the function, and what
// the deadlines and timeouts of HTTP/1 are is no matter to it.
func TestAnotherProtocolIsHandedOn(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	var states states
	var logged syncBuffer
	ended := make(chan error, 1)
	over := make(chan ConnInfo, 1)
	s := &Server{
		Native:       NativeHandlerFunc(echo), // has no part in it
		IdleTimeout:  time.Nanosecond,
		TLSConfig:    &tls.Config{NextProtos: []string{"echo/1"}},
		TLSNextProto: map[string]func(*Server, *tls.Conn, http.Handler){"echo/1": echoes(ended)},
		ConnState:    states.note,
		ErrorLog:     log.New(&logged, "", 0),
		OnConn: func(e ConnEvent, info ConnInfo) {
			if e == EventHijacked {
				over <- info
			}
		},
	}
	addr, client, _ := alpnServer(t, s)
	client.NextProtos = []string{"echo/1"}
	dial := func() net.Conn {
		nc, err := tls.Dial("tcp", addr, client)
		require.NoError(t, err)
		t.Cleanup(func() { _ = nc.Close() })
		return nc
	}
	for _, last := range []string{"bye\n", "panic\n"} {
		nc := dial()
		k := wiretest.NewTalk(t, nc)
		k.Send("at once\n")
		k.Expect("at once\n")
		require.Equal(t, CloseOtherProtocol, (<-over).Reason)
		require.Equal(t, []CloseReason{CloseOtherProtocol}, reasonsNow(s), "it is among the live ones")
		s.SetKeepAlivesEnabled(false) // is of HTTP/1
		k.Send("more\n")
		k.Expect("more\n")
		k.Send(last)
		require.NoError(t, <-ended)
		k.ExpectEOF()
		require.Eventually(t, func() bool { return len(reasonsNow(s)) == 0 }, 10*time.Second, time.Millisecond)
	}
	require.Equal(t, "new active closed new active closed", states.String())
	require.Contains(t, logged.String(), "as asked")

	_ = dial()
	<-over
	require.NoError(t, s.Close())
	require.Error(t, <-ended, "Close closes it")
	require.NoError(t, s.Shutdown(context.Background()))
}

func reasonsNow(s *Server) (reasons []CloseReason) {
	for info := range s.Conns() {
		reasons = append(reasons, info.Reason)
	}
	return reasons
}

// As with net/http. It used to be served as if it were HTTP/1.
func TestAProtocolThatNobodySpeaksEndsTheConnection(t *testing.T) {
	over := make(chan ConnInfo, 1)
	cert, roots := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"acme-tls/1"}})
	require.NoError(t, err)
	s := &Server{Native: NativeHandlerFunc(echo), OnConn: func(e ConnEvent, info ConnInfo) {
		if e == EventClosed {
			over <- info
		}
	}}
	a := startOn(t, s, l, s.Serve, func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"acme-tls/1"}})
	})
	nc, err := a.dial()
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	_, err = nc.Read(make([]byte, 1))
	require.Error(t, err)
	require.Equal(t, CloseOtherProtocol, (<-over).Reason)
}

func TestWhatTheHandshakeOffers(t *testing.T) {
	h2 := map[string]func(*Server, *tls.Conn, http.Handler){"h2": nil}
	tests := []struct {
		name             string
		functions        map[string]func(*Server, *tls.Conn, http.Handler)
		configured, want []string
	}{
		{"HTTP/1 always", nil, nil, []string{"http/1.1"}},
		{"no h2 without a function", nil, []string{"h2", "http/1.1"}, []string{"http/1.1"}},
		{"h2 with one", h2, nil, []string{"h2", "http/1.1"}},
		{"in the order given", h2, []string{"http/1.1", "x", "h2"}, []string{"http/1.1", "x", "h2"}},
		{"others as they are", nil, []string{"acme-tls/1"}, []string{"acme-tls/1", "http/1.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, (&Server{TLSNextProto: tt.functions}).nextProtos(tt.configured))
		})
	}
}

// wrappedTLS is a TLS connection inside a type of the application's.
type wrappedTLS struct{ net.Conn }

func (c wrappedTLS) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{ServerName: "wrapped"}
}

// As with net/http. Request.TLS used to be nil.
func TestTheStateOfAWrappedTLSConnectionIsKnown(t *testing.T) {
	near, far := wiretest.Pair()
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.TLS.ServerName) })}
	go func() { _ = s.ServeConn(wrappedTLS{far}) }()
	k := wiretest.NewTalk(t, near)
	k.Send(get("/", "Connection: close"))
	k.ExpectHead("HTTP/1.1 200 OK")
	k.Expect("wrapped")
	k.ExpectEOF()
}
