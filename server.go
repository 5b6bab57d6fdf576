package h1

// This file is the Server's life: configuration, listeners, the set of live
// connections, shutdown. How one connection is served is in serve.go.

import (
	"context"
	"crypto/tls"
	"iter"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// Server serves HTTP/1 on any net.Listener. Its fields and methods have
// net/http.Server's names where they mean the same, so that a program moves by
// changing the type; what net/http lacks is in KeepAlive, Limits, MaxConns,
// MaxConnsPerSource, Native, TransferCodings, Logger and OnConn.
//
// A timeout of zero is the default named beside it, and a negative one is
// none. Do not change fields once a Serve method was called.
type Server struct {
	// Addr is the TCP address of ListenAndServe, ":http" when empty.
	Addr string

	// Handler answers requests; http.DefaultServeMux when both Handler and
	// Native are nil.
	Handler http.Handler

	// Native answers requests without net/http's types. When it is set, Handler
	// is not used.
	Native NativeHandler

	// Parallel is how many requests that a client pipelines on one connection
	// may be worked on at once; the answers keep the order of the requests (RFC
	// 9112 section 9.3.2). Zero or one: one after the other, as with net/http.
	//
	// With more, each Handler runs in a goroutine of its own. Only requests with
	// safe methods (GET, HEAD, OPTIONS, TRACE) and no body run beside others; any
	// other request waits for those before it, and those after it wait for it. A
	// handler may then have run although the connection ends before its answer's
	// turn: its context is cancelled, and the client knows that it has no answer.
	// What it writes before its turn is held, up to Limits.HeldBytes for all
	// together, and reports no error; Hijack waits for the turn. Native handlers
	// always run one after the other.
	Parallel int

	// TLSConfig is used by ServeTLS and ListenAndServeTLS. It is cloned.
	TLSConfig *tls.Config

	// TLSNextProto names, for each protocol that a TLS handshake may agree on
	// besides HTTP/1 (RFC 7301, ALPN), the function that takes the connection
	// over, as with net/http. It owns the connection, which is closed when it
	// returns; the http.Handler answers requests by Handler, and its method
	// BaseContext() context.Context gives the connection's context. Shutdown waits
	// for such connections, and RegisterOnShutdown tells those who speak on them;
	// Close closes them.
	//
	// "h2" is offered by ServeTLS when it has a function here; list other
	// protocols in TLSConfig.NextProtos. A connection that agreed on a protocol
	// without a function is closed: a TLS listener that is given to Serve must not
	// offer one, as that of golang.org/x/crypto/acme/autocert does with "h2".
	TLSNextProto map[string]func(*Server, *tls.Conn, http.Handler)

	// ReadHeaderTimeout is the time from a request's first octet to its head's
	// end. Zero: ReadTimeout when that is set, else 20 s (Apache
	// RequestReadTimeout header=20). A request that takes longer is answered
	// with 408. A TLS handshake has as long, from when its connection was accepted.
	// Negative: none for either.
	ReadHeaderTimeout time.Duration

	// ReadTimeout is the time from a request's first octet to its body's end.
	// Zero or negative: none, but see StallTimeout.
	ReadTimeout time.Duration

	// WriteTimeout is the time from a request's head to the end of its answer.
	// Zero or negative: none, but see StallTimeout.
	WriteTimeout time.Duration

	// StallTimeout is how long one read of a body or one write of an answer may
	// go without progress. Zero: 60 s (nginx client_body_timeout, send_timeout);
	// negative: none. How slow progress may be is in Limits.MinReadRate and
	// MinWriteRate.
	StallTimeout time.Duration

	// IdleTimeout is how long a connection may wait for its next request, or a new
	// one for its first. Zero: KeepAlive.IdleTimeout, whose default is 75 s (nginx
	// keepalive_timeout); unlike with net/http, ReadTimeout does not take its
	// place. Negative: none.
	IdleTimeout time.Duration

	// MaxHeaderBytes is how many octets a request's head may have, request line
	// and line ends included; a larger one is answered with 431. Zero:
	// Limits.HeadBytes, whose default is 65536; negative: 1 GiB.
	MaxHeaderBytes int

	// KeepAlive is how long and how often a connection is used.
	KeepAlive KeepAlive

	// Limits are what one peer may make the server hold or read.
	Limits Limits

	// MaxConns is how many connections the server has at a time (nginx
	// worker_connections), those of handlers that hijacked them not counted. When
	// there is one more, the connection that is idle for longest is closed to make
	// room (nginx's reusable connections); when none is idle for
	// KeepAlive.MinIdle, or for 500 ms if that is less, accepting waits until one
	// is, or until one ends: the next request's answer then says close. An exchange under way is never cut. For
	// each listener one connection beyond the limit may have been accepted and
	// wait. Zero or negative: any number, as far as descriptors last; when they run
	// out, room is made in the same way.
	MaxConns int

	// MaxConnsPerSource is how many connections one source may have at a time
	// (nginx limit_conn). The source is the client's IPv4 address, or its IPv6
	// network of 64 bits, which is what one customer gets. The first ones too many
	// are answered with 503 and closed, no request of them is read; where there
	// are twice as many as allowed, or TLS would have to be negotiated first,
	// they are just closed, as answering costs what the limit is to save. Behind a
	// proxy, where all come from one address, leave it at zero: any number.
	MaxConnsPerSource int

	// Source names the source of a connection for MaxConnsPerSource, in place of
	// its address; "" is not limited. Accepting waits for it, so it must not wait
	// itself.
	Source func(net.Conn) string

	// TransferCodings names the transfer codings besides chunked that requests
	// may use and that answers use where the request's TE field lists them:
	// "gzip", "deflate", or one registered by RegisterTransferCoding. Empty:
	// none, and a request with one is answered with 501.
	TransferCodings []string

	// ConnState is told when a connection changes its state, as with net/http,
	// but that it is active only when a request's head is whole. It is called by
	// the goroutine that accepts or serves the connection, which waits for it.
	ConnState func(net.Conn, http.ConnState)

	// OnConn is told of each step in a connection's life with all that is known
	// of it; at its end ConnInfo.Reason says why it ended. It is called by the
	// goroutine that serves the connection, at first by the one that accepts, and
	// has to return soon. A net.Conn that does not know its address before it has
	// read something, as behind a PROXY protocol, holds up accepting then.
	OnConn func(ConnEvent, ConnInfo)

	// Logger takes, at debug level, the end of each connection with its reason
	// and all that is known of it, as the group "conn" of ConnInfo.LogValue, and at
	// error level what goes to ErrorLog when that is nil.
	Logger *slog.Logger

	// ErrorLog takes accept errors, panics and handlers' mistakes. When it is nil
	// Logger does, and without that the log package's standard logger.
	ErrorLog *log.Logger

	// BaseContext gives the context that all requests of a listener descend
	// from; context.Background when BaseContext is nil. It must not return nil.
	BaseContext func(net.Listener) context.Context

	// ConnContext may change the context of a connection, which the contexts of
	// its requests descend from. It is called when there is something to be read for
	// the first time, and after a TLS handshake; it must not return nil.
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	// DisableGeneralOptionsHandler passes `OPTIONS *` on to Handler; otherwise
	// it is answered with 200 and no content.
	DisableGeneralOptionsHandler bool

	once     sync.Once
	set      *settings
	setErr   error
	stopping atomic.Bool // no connections are accepted any more
	unready  atomic.Bool // Shutdown, Drain or Close was called
	noKeep   atomic.Bool // SetKeepAlivesEnabled(false)
	room     room

	mu         sync.Mutex
	listeners  map[*listening]struct{}
	closeErr   error // of the first listener that could not be closed
	conns      map[*Conn]struct{}
	counts     counts
	failed     time.Time     // when accepting failed the last time
	sweeper    *time.Timer   // looks for waits that are over; nil while there are no connections
	cutting    bool          // Close was called
	drained    chan struct{} // closed when conns and listeners became empty; made by Shutdown
	fates      DrainReport   // what became of the connections that ended since stopping
	onShutdown []func()
}

// settle fixes the configuration at the first use.
func (s *Server) settle() (*settings, error) {
	s.once.Do(func() {
		s.room.ended = make(chan struct{}, 1)
		cfg := ConnConfig{
			KeepAlive:         s.KeepAlive,
			Limits:            s.Limits,
			ReadHeaderTimeout: s.ReadHeaderTimeout,
			StallTimeout:      s.StallTimeout,
			TransferCodings:   s.TransferCodings,
			OnConn:            s.OnConn,
		}
		if s.IdleTimeout != 0 {
			cfg.KeepAlive.IdleTimeout = s.IdleTimeout
		}
		if s.MaxHeaderBytes != 0 {
			cfg.Limits.HeadBytes = s.MaxHeaderBytes
		}
		if cfg.ReadHeaderTimeout == 0 && s.ReadTimeout > 0 {
			cfg.ReadHeaderTimeout = s.ReadTimeout
		}
		s.set, s.setErr = cfg.resolve(ServerRole)
		if s.setErr == nil {
			s.set.readTime = max(s.ReadTimeout, 0)
			s.set.writeTime = max(s.WriteTimeout, 0)
		}
	})
	return s.set, s.setErr
}

// ListenAndServe listens on Addr and serves. It returns http.ErrServerClosed
// after Shutdown or Close.
func (s *Server) ListenAndServe() error {
	l, err := s.listen(":http")
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS listens on Addr, ":https" when empty, and serves over TLS.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	l, err := s.listen(":https")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	return s.ServeTLS(l, certFile, keyFile)
}

func (s *Server) listen(standard string) (net.Listener, error) {
	if s.stopping.Load() {
		return nil, http.ErrServerClosed
	}
	addr := s.Addr
	if addr == "" {
		addr = standard
	}
	return net.Listen("tcp", addr)
}

// ServeTLS serves over TLS on l, as Serve does. The files, of a certificate and
// its key in PEM, may be empty when TLSConfig has certificates or functions that
// give them; when they cannot be read it returns the error and leaves l open, as
// net/http does. ALPN offers http/1.1, and h2 when TLSNextProto has it.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	config := &tls.Config{}
	if s.TLSConfig != nil {
		config = s.TLSConfig.Clone()
	}
	config.NextProtos = s.nextProtos(config.NextProtos)
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil || certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return s.Serve(tlsListener{l, config})
}

// Serve accepts connections on l and serves them: each in a goroutine of its own
// while it is busy, and without one while it waits, where it can wait at the
// poller (ConnInfo.Waiting). It closes l and always returns an error:
// http.ErrServerClosed after Shutdown or Close, which it does not wait for, and
// otherwise what accepting failed with for good.
func (s *Server) Serve(l net.Listener) error {
	set, err := s.settle()
	if err != nil {
		_ = l.Close()
		return err
	}
	serving := &listening{Listener: l}
	if !s.track(serving) {
		_ = l.Close()
		return http.ErrServerClosed
	}
	defer s.untrack(serving)
	base := context.Background()
	if s.BaseContext != nil {
		if base = s.BaseContext(l); base == nil {
			panic("h1: BaseContext returned a nil context")
		}
	}
	base = s.rootContext(base)
	for {
		nc, err := s.accept(l)
		switch {
		case err == nil:
			s.serve(set, base, nc, false)
		case s.stopping.Load():
			s.takeQueued(set, base, serving)
			return http.ErrServerClosed
		default:
			return err
		}
	}
}

// ServeConn serves one connection, from whatever source, and returns when it is
// over. Shutdown and Close reach it as they do all others.
func (s *Server) ServeConn(nc net.Conn) error {
	set, err := s.settle()
	if err != nil {
		_ = nc.Close()
		return err
	}
	s.serve(set, s.rootContext(context.Background()), nc, true)
	return nil
}

func (s *Server) track(l *listening) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[*listening]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l *listening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.closeListener(l)
	s.checkDrained()
}

// join adds a connection to the live ones; false when the server is stopping. One
// that had been accepted by then still gets its first request answered.
func (s *Server) join(c *Conn, accepted bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		if s.cutting || !accepted {
			return false
		}
		c.m.raise(levelDrain, CloseShutdown)
	}
	s.counts.accepted++
	if s.conns == nil {
		s.conns = map[*Conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	if c.pk.on.Load() {
		s.sweep()
	}
	return true
}

// sweep looks now and then for connections at the poller whose wait is over, or
// that were closed unseen, for as long as there are connections; mu is held.
func (s *Server) sweep() {
	if s.sweeper != nil {
		return
	}
	s.sweeper = time.AfterFunc(s.sweepEvery(), func() {
		s.mu.Lock()
		s.sweeper = nil
		if len(s.conns) > 0 { // else the next connection starts it again
			s.sweep()
		}
		s.mu.Unlock()
		now := clock.Mono(clock.Now())
		for _, c := range s.live() {
			c.overdue(now)
		}
	})
}

// sweepEvery is how late a timeout of a connection at the poller may be: a
// sixteenth of the shortest one, within reason.
func (s *Server) sweepEvery() time.Duration {
	shortest := never
	waits := []time.Duration{s.set.policy.idle, s.set.headTime}
	if plan := s.set.drain.Load(); plan != nil {
		waits = append(waits, plan.quiet)
	}
	for _, d := range waits {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return min(max(shortest/16, 5*time.Millisecond), time.Second)
}

// leave takes a connection that is over from the live ones.
func (s *Server) leave(c *Conn, end parting) {
	defer s.logEnd(c)
	defer s.room.leave(c) // who takes its place finds it counted
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.ended(c)
	delete(s.conns, c)
	s.countParting(c, end)
	s.checkDrained()
}

// Conns gives the live connections as they are now.
func (s *Server) Conns() iter.Seq[ConnInfo] {
	return func(yield func(ConnInfo) bool) {
		for _, c := range s.live() {
			if !yield(c.Info()) {
				return
			}
		}
	}
}

func (s *Server) live() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.liveLocked()
}

func (s *Server) liveLocked() []*Conn {
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// RegisterOnShutdown adds a function that Shutdown calls in a goroutine of its
// own, as to tell hijacked connections.
func (s *Server) RegisterOnShutdown(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onShutdown = append(s.onShutdown, f)
}

// SetKeepAlivesEnabled makes every further answer the last on its connection,
// and closes the idle connections once they are silent for KeepAlive.MinIdle,
// when v is false. A connection that waits for its first request still gets that
// answered.
func (s *Server) SetKeepAlivesEnabled(v bool) {
	s.noKeep.Store(!v)
	if v {
		return
	}
	s.planDrain(0)
	for _, c := range s.live() {
		if c.m.requests.Load() > 0 {
			c.drainSoon(CloseDisabled)
		}
	}
}

// handler is what answers requests in net/http's way.
func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}
