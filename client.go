package h1

// This file is the Transport's configuration and how it connects. What becomes
// of one request is in roundtrip.go, what of the connections in pool.go.

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/fault"
)

// Transport is an http.RoundTripper that keeps connections alive and uses them
// again. Its fields have net/http.Transport's names where they mean the same,
// so that a program moves by changing the type; what net/http lacks is in
// KeepAlive, Limits, TransferCodings and OnConn.
//
// The zero value is ready. A timeout or number of zero is the default named
// beside it, and a negative one is none. A Transport is made once and shared:
// it may be used by many goroutines at once. Do not change or copy it once it
// was used.
//
// A request whose connection turns out to be lost is sent again, once and on a
// fresh connection, when that cannot do harm (RFC 9112 section 9.3.1): the
// connection had been used before, no octet of an answer came, and either
// nothing of the request was written, or its method is idempotent (or it has an
// Idempotency-Key field), or it is proven that the server got none of it; and
// its body, if it has one, can be had anew from Request.GetBody.
//
// Fewer are lost to begin with: a connection is looked at before it is used
// again, what the server says in Keep-Alive is heeded with a second to spare, and
// where it says nothing the idle age at which it closes is learned for each
// scheme and address.
type Transport struct {
	// Proxy names the proxy for a request; http.ProxyFromEnvironment and
	// http.ProxyURL fit. Nil, or a nil URL: none. The URL's scheme is http (also
	// when it is empty), https, socks5 or socks5h; both of the latter leave it
	// to the proxy to resolve names. User and password of the URL are for the
	// proxy: by Basic authentication (RFC 7617), or by that of SOCKS (RFC 1929).
	// Requests for https go through a tunnel; those for http are sent to an HTTP
	// proxy itself, so that all hosts share its connections.
	Proxy func(*http.Request) (*url.URL, error)

	// OnProxyConnectResponse is called with a proxy's answer to CONNECT, whatever
	// its status. An error fails the request.
	OnProxyConnectResponse func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error

	// ProxyConnectHeader has further fields for CONNECT requests.
	ProxyConnectHeader http.Header

	// GetProxyConnectHeader takes the place of ProxyConnectHeader for fields that
	// depend on proxy or target, which is a host and a port. An error fails the
	// request.
	GetProxyConnectHeader func(ctx context.Context, proxyURL *url.URL, target string) (http.Header, error)

	// DialContext makes plain connections, also those to proxies. Nil: Dial, or a
	// net.Dialer with a timeout of 30 s (net/http.DefaultTransport).
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Dial is DialContext without a context.
	//
	// Deprecated: a dial that knows no context goes on after its request is
	// cancelled. Use DialContext, which comes first when both are set.
	Dial func(network, addr string) (net.Conn, error)

	// DialTLSContext makes the connections for https, and those to HTTPS proxies.
	// Nil: DialTLS, or DialContext and TLSClientConfig.
	DialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// DialTLS is DialTLSContext without a context.
	//
	// Deprecated: as with Dial. DialTLSContext comes first when both are set.
	DialTLS func(network, addr string) (net.Conn, error)

	// TLSClientConfig is used for https; it is cloned. Only HTTP/1.1 is
	// negotiated, whatever its NextProtos has.
	TLSClientConfig *tls.Config

	// TLSHandshakeTimeout limits the TLS handshake. Zero: 10 s
	// (net/http.DefaultTransport); negative: none.
	TLSHandshakeTimeout time.Duration

	// DisableKeepAlives uses each connection for one request, and says so in it.
	DisableKeepAlives bool

	// DisableDeliveryProof leaves requests that are not idempotent lost where the
	// only reason to send them again is the proof that they were not delivered: on
	// Linux, over TCP and over TLS by TLSClientConfig, the server closed its side
	// before its system acknowledged a single octet of the request. The proof takes
	// for granted that a server which has closed its sending side runs no further
	// request. It speaks of the next hop: a proxy that took the request has it.
	DisableDeliveryProof bool

	// DisableCompression stops the Transport from asking for gzip where the
	// request says nothing of codings, and decoding it unseen.
	DisableCompression bool

	// MaxIdleConns is how many idle connections are kept in all. Zero: 512, half
	// of the 1024 descriptors that many systems give a process; negative: any
	// number. Past it the one that is idle for longest is closed.
	MaxIdleConns int

	// MaxIdleConnsPerHost is how many of them are kept for one scheme and
	// address. Zero: 64; negative: any number. net/http's 2 makes a program with
	// more than two requests at a time open and close connections all along,
	// until the system has no ports left (go.dev/issue/13801); idle ones cost
	// little here.
	MaxIdleConnsPerHost int

	// MaxConnsPerHost limits the connections for one scheme and address, idle or
	// not. Requests past it wait, first come, first served. Zero or negative: any
	// number.
	MaxConnsPerHost int

	// MinIdleConnsPerHost is how many connections are kept idle for one scheme and
	// address while it is in use, so that a burst finds them made: what a request
	// takes, or a server closes, is dialled anew at once. An address is out of use
	// when no request came for IdleConnTimeout, and after CloseIdleConnections.
	// Zero or negative: none. MaxIdleConns, MaxIdleConnsPerHost and MaxConnsPerHost come first.
	MinIdleConnsPerHost int

	// MaxDialsPerHost limits the connections being made at a time to one scheme
	// and address, so that a server that comes back is not met by all who waited
	// for it. Requests past it wait for a dial to end or a connection to become
	// free. Zero or negative: any number, as in net/http.
	MaxDialsPerHost int

	// ReuseOrder is which of several idle connections a request gets. Zero:
	// NewestFirst.
	ReuseOrder ReuseOrder

	// IdleConnTimeout is how long a connection is kept idle. Zero:
	// KeepAlive.IdleTimeout, whose default is 60 s; negative: without limit. What
	// the server says in its Keep-Alive field shortens it.
	IdleConnTimeout time.Duration

	// ResponseHeaderTimeout is the time from the end of the request to the end of
	// the response's head. Zero or negative: none.
	ResponseHeaderTimeout time.Duration

	// ExpectContinueTimeout is how long a request with the field `Expect:
	// 100-continue` waits for the server's word before it sends its body. Zero:
	// 1 s (net/http.DefaultTransport, curl); negative: it does not wait.
	ExpectContinueTimeout time.Duration

	// UnackedTimeout is how long what was sent may stay unacknowledged by the
	// server's system before the connection is given up (TCP_USER_TIMEOUT, RFC
	// 5482; Linux only). Zero: 60 s, nginx's proxy_send_timeout, as Linux counts a
	// server that takes nothing of an upload for so long too; its own limit is some
	// 15 minutes. Negative: the system's. One that a dial function has set stays.
	//
	// A request that may be sent again does not wait for that: on a connection that
	// was idle for a second or more it moves to a fresh one when not an octet of it
	// is acknowledged after two retransmission timeouts, some 0.5 s on most paths.
	UnackedTimeout time.Duration

	// MaxResponseHeaderBytes is how large a response's head may be. Zero:
	// Limits.HeadBytes, whose default is 256 KiB here (Chrome; curl allows 300
	// KB, net/http 10 MiB): a server of one's choice is trusted with more than
	// any client is.
	MaxResponseHeaderBytes int64

	// WriteBufferSize is how much of a request is gathered before it is written.
	// Zero: 4 KiB (net/http). What is larger is written from where it is, so that
	// this matters for bodies that come in small pieces.
	WriteBufferSize int

	// ReadBufferSize is how much is read at once of a head, or of a body in small
	// chunks. Zero: 4 KiB (net/http). Other bodies are read straight to where they
	// go. It is lent to a connection only while that is busy.
	ReadBufferSize int

	// Pipelining lets requests share connections. By default none do.
	Pipelining Pipelining

	// KeepAlive is how long and how often a connection is used.
	KeepAlive KeepAlive

	// Limits are what one server may make the client hold or read.
	Limits Limits

	// TransferCodings names the transfer codings besides chunked that responses
	// may use; requests say so in TE. Empty: none.
	TransferCodings []string

	// OnConn is told of each step in a connection's life with all that is known
	// of it; at its end ConnInfo.Reason says why it ended. It is called by the
	// goroutine that takes the step and has to return soon.
	OnConn func(ConnEvent, ConnInfo)

	// Logger takes, at debug level, connections that were made, that failed to be
	// made and that ended, each with its reason, and requests that are sent again.
	// Nil: nothing is logged. A Transport never prints to anything else.
	Logger *slog.Logger

	once      sync.Once
	set       *settings
	toProxies *settings // of connections while a tunnel is asked for
	setErr    error
	protocols atomic.Pointer[map[string]http.RoundTripper] // by scheme
	hosts     hostCache
	pool      pool
	lines     pipelines
}

var _ http.RoundTripper = (*Transport)(nil)

// The defaults that only a Transport has.
const (
	defaultDialTimeout      = 30 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultContinueTimeout  = time.Second
	defaultUnackedTimeout   = 60 * time.Second
	defaultMaxIdle          = 512
	defaultMaxIdleHost      = 64
	defaultResponseHead     = 256 << 10
	anyNumber               = 1 << 30
)

// settle fixes the configuration at the first use.
func (t *Transport) settle() error {
	t.once.Do(func() {
		cfg := ConnConfig{
			KeepAlive:       t.KeepAlive,
			Limits:          t.Limits,
			TransferCodings: t.TransferCodings,
			OnConn:          t.OnConn,
		}
		if t.IdleConnTimeout != 0 {
			cfg.KeepAlive.IdleTimeout = t.IdleConnTimeout
		}
		if cfg.Limits.HeadBytes == 0 {
			cfg.Limits.HeadBytes = defaultResponseHead
		}
		if t.MaxResponseHeaderBytes != 0 {
			cfg.Limits.HeadBytes = int(min(t.MaxResponseHeaderBytes, noBytes))
		}
		if t.set, t.setErr = cfg.resolve(ClientRole); t.setErr != nil {
			return
		}
		t.set.headTime = max(t.ResponseHeaderTimeout, 0)
		t.set.readBuffer, t.set.writeBuffer = t.ReadBufferSize, t.WriteBufferSize
		t.toProxies = t.set.forTunnels()
		t.pool.policy = &t.set.policy
		t.lines = pipelines{
			pool:  &t.pool,
			depth: t.Pipelining.Depth,
			conns: max(t.Pipelining.Conns, 1),
			pause: pick(t.Pipelining.Pause, defaultPause, 0),
		}
		t.pool.maxIdle = pick(t.MaxIdleConns, defaultMaxIdle, anyNumber)
		t.pool.maxIdleHost = pick(t.MaxIdleConnsPerHost, defaultMaxIdleHost, anyNumber)
		t.pool.minIdleHost = max(t.MinIdleConnsPerHost, 0)
		if t.DisableKeepAlives {
			t.pool.maxIdleHost, t.pool.minIdleHost = 0, 0
		}
		t.pool.maxHost = max(t.MaxConnsPerHost, 0)
		t.pool.maxDials = max(t.MaxDialsPerHost, 0)
		t.pool.order = t.ReuseOrder
		t.pool.connect = t.connect
		t.pool.ended = func(key originKey, c *Conn) { t.logConn("h1: connection ended", key, c) }
	})
	return t.setErr
}

// Clone gives a Transport with the same configuration: a deep copy of the
// exported fields. Connections and registered protocols stay with the original.
func (t *Transport) Clone() *Transport {
	clone := new(Transport)
	from, to := reflect.ValueOf(t).Elem(), reflect.ValueOf(clone).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	clone.TLSClientConfig = t.TLSClientConfig.Clone()
	clone.ProxyConnectHeader = t.ProxyConnectHeader.Clone()
	clone.TransferCodings = slices.Clone(t.TransferCodings)
	return clone
}

// CloseIdleConnections closes the connections that are idle now, and those
// that become idle before the next request. It does not touch those in use.
func (t *Transport) CloseIdleConnections() { t.pool.closeIdle() }

// Prewarm makes connections ahead of requests: it dials until n of them are idle
// for the scheme and address of the URL, by the proxy that a GET for it would
// take, and returns when they are, TLS handshakes included. MaxIdleConns,
// MaxIdleConnsPerHost and MaxConnsPerHost limit n, and
// MaxDialsPerHost how many are dialled at a time. The error is that of the first
// dial that failed, or the context's; the other dials go on.
func (t *Transport) Prewarm(ctx context.Context, rawURL string, n int) error {
	u, err := url.Parse(rawURL)
	if err == nil {
		err = t.settle()
	}
	var key originKey
	if err == nil {
		key, err = t.routeTo(ctx, u)
	}
	if err != nil {
		return badAsk(err)
	}
	return t.pool.prewarm(ctx, key, n)
}

// Conns gives the connections that are open now, idle and in use, in no order.
func (t *Transport) Conns() iter.Seq[ConnInfo] {
	return func(yield func(ConnInfo) bool) {
		for _, c := range t.pool.conns() {
			if !yield(c.Info()) {
				return
			}
		}
	}
}

// NewClientConn makes a connection that belongs to the caller and is none of the
// pool's: as configured for the pool's own, and by way of the same proxy, which
// is asked for a tunnel also for http. The scheme is http or https, the address a
// host with or without a port. ctx is for making it.
func (t *Transport) NewClientConn(ctx context.Context, scheme, address string) (*Conn, error) {
	if err := t.settle(); err != nil {
		return nil, badAsk(err)
	}
	u := &url.URL{Scheme: scheme, Host: address}
	key, err := t.routeTo(ctx, u)
	if err != nil {
		return nil, badAsk(err)
	}
	if key.addr == "" {
		direct, _ := originOf(u)
		key.addr = direct.addr
	}
	_, nc, err := t.dial(ctx, key)
	if err != nil {
		return nil, err
	}
	return newConn(nc, ClientRole, t.set), nil
}

// connect makes a connection to the origin.
func (t *Transport) connect(ctx context.Context, key originKey) (*pooled, error) {
	raw, nc, err := t.dial(ctx, key)
	if err != nil {
		t.logDialFailed(key, err)
		return nil, err
	}
	c := newConn(nc, ClientRole, t.set)
	t.logConn("h1: connection opened", key, c)
	c.client.wire = wireOf(nc, raw)
	if m := c.client.wire.meter; m != nil {
		raw = m.Conn
	}
	t.limitUnacked(raw)
	pc := t.pool.newPooled(c, raw)
	c.client.release = func(_ *Conn, v verdict, exchanges int) bool { return t.release(pc, v, exchanges) }
	return pc, nil
}

// dial connects: raw is the connection with a descriptor, where there is one
// to be had, and nc the one that HTTP is spoken on.
func (t *Transport) dial(ctx context.Context, key originKey) (raw, nc net.Conn, err error) {
	if key.proxy != "" {
		return t.dialThrough(ctx, key)
	}
	return t.dialHost(ctx, key.scheme == "https", key.addr)
}

// dialHost is dial without a proxy, or for the way to one.
func (t *Transport) dialHost(ctx context.Context, secure bool, addr string) (raw, nc net.Conn, err error) {
	if secure && t.dialTLS() != nil {
		return t.dialSecure(ctx, addr)
	}
	nc, err = t.reach(ctx, t.dialPlain(), addr)
	if err != nil || !secure {
		return nc, nc, err
	}
	return t.secure(ctx, nc, nc, addr)
}

// dialSecure connects by the user's function for TLS, which may leave the
// handshake undone.
func (t *Transport) dialSecure(ctx context.Context, addr string) (raw, nc net.Conn, err error) {
	if nc, err = t.reach(ctx, t.dialTLS(), addr); err != nil {
		return nil, nil, err
	}
	over, ok := nc.(*tls.Conn)
	if !ok {
		return nc, nc, nil
	}
	return over.NetConn(), nc, t.handshake(ctx, over, addr)
}

// secure puts TLS over nc, where raw is the connection with a descriptor.
func (t *Transport) secure(ctx context.Context, raw, nc net.Conn, addr string) (net.Conn, net.Conn, error) {
	if raw == nc {
		m := &meter{Conn: nc}
		raw, nc = m, m
	}
	over := tls.Client(nc, t.tlsConfig(addr))
	return raw, over, t.handshake(ctx, over, addr)
}

var dialer = net.Dialer{Timeout: defaultDialTimeout}

// dialPlain is the function that makes plain connections.
func (t *Transport) dialPlain() dialFunc {
	if t.DialContext == nil && t.Dial == nil {
		return dialer.DialContext
	}
	return eitherDial(t.DialContext, t.Dial)
}

// dialTLS is the user's function for connections over TLS; nil: none.
func (t *Transport) dialTLS() dialFunc { return eitherDial(t.DialTLSContext, t.DialTLS) }

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func eitherDial(dial dialFunc, old func(network, addr string) (net.Conn, error)) dialFunc {
	if dial == nil && old != nil {
		return func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	}
	return dial
}

// reach makes a connection with the given function.
func (t *Transport) reach(ctx context.Context, dial dialFunc, addr string) (net.Conn, error) {
	nc, err := dial(ctx, "tcp", addr)
	switch {
	case ctx.Err() != nil:
		if nc != nil {
			_ = nc.Close()
		}
		return nil, cancelled(ctx, "connecting to "+addr)
	case err == nil && nc == nil:
		err = errors.New("the dial function returned neither a connection nor an error")
	}
	if err != nil {
		return nil, fault.Wrap(fault.DialFailed, fault.Server, "connecting to "+addr, err)
	}
	return nc, nil
}

// tlsConfig is the configuration for one connection: the server's name is the
// host asked for, and HTTP/1.1 the only protocol offered (RFC 7301).
func (t *Transport) tlsConfig(addr string) *tls.Config {
	cfg := &tls.Config{}
	if t.TLSClientConfig != nil {
		cfg = t.TLSClientConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	cfg.NextProtos = []string{"http/1.1"}
	return cfg
}

// handshake makes sure that TLS is agreed on; nc is closed when it is not.
func (t *Transport) handshake(ctx context.Context, nc *tls.Conn, addr string) (failed error) {
	defer func() {
		if failed != nil {
			_ = nc.Close()
		}
	}()
	limited := ctx
	if limit := pick(t.TLSHandshakeTimeout, defaultHandshakeTimeout, 0); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	doing := "negotiating TLS with " + addr
	trace := tracerOf(ctx)
	trace.tlsStart()
	err := nc.HandshakeContext(limited)
	trace.tlsDone(nc, err)
	if ctx.Err() != nil {
		return cancelled(ctx, doing)
	}
	if p := nc.ConnectionState().NegotiatedProtocol; err == nil && p != "" && p != "http/1.1" {
		err = errors.New("the server insists on the protocol " + quoted(p))
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(header.RecordHeader[:]) == "HTTP/" {
		err = &causedError{err, http.ErrSchemeMismatch}
	}
	if err != nil {
		return fault.Wrap(fault.TLSFailed, fault.Server, doing, err)
	}
	return nil
}
