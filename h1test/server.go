// Package h1test runs h1's Server in tests, on a loopback port, as
// net/http/httptest does with net/http's: the same names mean the same, and
// the client is h1's Transport.
//
//	srv := h1test.NewServer(handler)
//	defer srv.Close()
//	res, err := srv.Client().Get(srv.URL + "/path")
//
// No goroutine of the server or of its client is left when Close returns,
// except the few that h1 keeps for all servers of a process.
package h1test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/h1go/h1"
)

// Server is a running h1.Server for tests.
type Server struct {
	URL      string       // http://address:port, without a slash at the end; set by Start
	Listener net.Listener // the server's; it may be replaced before Start

	// TLS is the configuration of StartTLS, which adds what is missing: a
	// certificate for 127.0.0.1, ::1, localhost, example.com and *.example.com.
	TLS *tls.Config

	// Config may be changed between NewUnstartedServer and Start or StartTLS.
	Config *h1.Server

	certificate *x509.Certificate
	client      *http.Client
	serving     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // open, and neither hijacked nor handed on
	ended []h1.ConnInfo
}

// NewServer starts a server. The caller closes it.
func NewServer(handler http.Handler) *Server {
	s := NewUnstartedServer(handler)
	s.Start()
	return s
}

// NewTLSServer starts a server that speaks TLS. The caller closes it.
func NewTLSServer(handler http.Handler) *Server {
	s := NewUnstartedServer(handler)
	s.StartTLS()
	return s
}

// NewUnstartedServer makes a server that listens and does not serve, so that
// Config can be changed before Start or StartTLS. The caller closes it. It
// panics when there is no loopback port to be had.
func NewUnstartedServer(handler http.Handler) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
			panic(fmt.Sprintf("h1test: no port to listen on: %v", err))
		}
	}
	return &Server{Listener: l, Config: &h1.Server{Handler: handler}}
}

// Start begins to serve. It panics when the server was started before.
func (s *Server) Start() {
	s.start("http", &h1.Transport{})
	s.serving.Go(func() { s.served(s.Config.Serve(s.Listener)) })
}

// StartTLS begins to serve over TLS. It panics when the server was started
// before, or when TLS has a certificate that cannot be read.
func (s *Server) StartTLS() {
	if s.TLS = s.TLS.Clone(); s.TLS == nil {
		s.TLS = &tls.Config{}
	}
	if len(s.TLS.Certificates) == 0 {
		s.TLS.Certificates = []tls.Certificate{selfSigned()}
	}
	leaf, err := x509.ParseCertificate(s.TLS.Certificates[0].Certificate[0])
	if err != nil {
		panic(fmt.Sprintf("h1test: %v", err))
	}
	s.certificate = leaf
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	s.start("https", &h1.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}})
	s.Config.TLSConfig = s.TLS
	s.serving.Go(func() { s.served(s.Config.ServeTLS(s.Listener, "", "")) })
}

// start is what Start and StartTLS have in common.
func (s *Server) start(scheme string, tr *h1.Transport) {
	if s.URL != "" {
		panic("h1test: the server was started before")
	}
	addr := s.Listener.Addr().String()
	s.URL = scheme + "://" + addr
	var d net.Dialer
	tr.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(asked); host == "example.com" || strings.HasSuffix(host, ".example.com") {
			asked = addr
		}
		return d.DialContext(ctx, network, asked)
	}
	s.client = &http.Client{Transport: tr}
	s.observe()
}

// observe adds to the hooks of Config.
func (s *Server) observe() {
	state, event := s.Config.ConnState, s.Config.OnConn
	s.conns = map[net.Conn]struct{}{}
	s.Config.ConnState = func(nc net.Conn, st http.ConnState) {
		s.mu.Lock()
		if st == http.StateHijacked || st == http.StateClosed {
			delete(s.conns, nc)
		} else {
			s.conns[nc] = struct{}{}
		}
		s.mu.Unlock()
		if state != nil {
			state(nc, st)
		}
	}
	s.Config.OnConn = func(e h1.ConnEvent, info h1.ConnInfo) {
		if e == h1.EventClosed || e == h1.EventHijacked {
			s.mu.Lock()
			s.ended = append(s.ended, info)
			s.mu.Unlock()
		}
		if event != nil {
			event(e, info)
		}
	}
}

// served is what to do when serving ends.
func (s *Server) served(err error) {
	if !errors.Is(err, http.ErrServerClosed) {
		log.Printf("h1test: the server on %s ended: %v", s.URL, err)
	}
}

// patience is how long Close waits before it says what it waits for.
const patience = 5 * time.Second

// Close ends the server when the requests under way are answered, and closes
// the idle connections of Client and of http.DefaultTransport. It logs what it
// waits for when that takes more than 5 s. A second call does nothing.
func (s *Server) Close() {
	if s.URL == "" { // nobody serves, and nobody else closes it
		_ = s.Listener.Close()
	}
	for _, c := range []*http.Client{s.client, http.DefaultClient} {
		if c != nil {
			c.CloseIdleConnections()
		}
	}
	late := time.AfterFunc(patience, s.complain)
	defer late.Stop()
	_, _ = s.Config.Drain(context.Background(), h1.DrainOptions{MinIdle: -1})
	s.serving.Wait()
}

// complain logs what Close waits for.
func (s *Server) complain() {
	for info := range s.Config.Conns() {
		log.Printf("h1test: Close still waits for %s, with %d requests since %s", info.Remote, info.Requests, info.Opened.Format(time.TimeOnly))
	}
}

// CloseClientConnections closes all connections to the server, also those with
// a request under way.
func (s *Server) CloseClientConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_ = nc.Close()
	}
}

// Client is a client that trusts the server's certificate, and that reaches the
// server under the names example.com and *.example.com too. Close closes its
// idle connections. It is nil before Start.
func (s *Server) Client() *http.Client { return s.client }

// Certificate is the server's certificate; nil when it does not speak TLS.
func (s *Server) Certificate() *x509.Certificate { return s.certificate }

// Ended tells of the connections that ended so far, in the order in which they
// were opened, with their numbers of requests and the reasons: what a test of
// persistence asks for. net/http/httptest has no such thing.
func (s *Server) Ended() []h1.ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(slices.Values(s.ended), func(a, b h1.ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
}
