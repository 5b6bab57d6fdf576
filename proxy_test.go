package h1_test

// The Transport through proxies: HTTP proxies that the test plays line by line,
// and whole ones (HTTP, HTTPS, SOCKS5) in front of real servers.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// by is a Proxy function for one proxy.
func by(rawURL string) func(*http.Request) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	return http.ProxyURL(u)
}

func TestPlainRequestGoesToAnHTTPProxyInAbsoluteForm(t *testing.T) {
	tests := map[string]struct {
		proxy string
		req   func(r *http.Request)
		dial  string
		want  string
	}{
		"plain": {
			proxy: "http://proxy.test:3128", dial: "proxy.test:3128",
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"default port, path and query of the proxy's URL do not count": {
			proxy: "http://proxy.test/x?y", dial: "proxy.test:80",
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"no scheme means http": {
			proxy: "//proxy.test:3128", dial: "proxy.test:3128",
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"a name in other letters": {
			proxy: "http://bücher.test:3128", dial: "xn--bcher-kva.test:3128",
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"credentials": {
			proxy: "http://ann:s%0e%23cret@proxy.test:3128", dial: "",
		},
		"credentials that must be escaped in a URL": {
			proxy: "http://ann:p%23%20w@proxy.test:3128", dial: "proxy.test:3128",
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n" +
				"Proxy-Authorization: Basic YW5uOnAjIHc=\r\n\r\n",
		},
		"the request's own credentials": {
			proxy: "http://ann:pw@proxy.test:3128", dial: "proxy.test:3128",
			req: func(r *http.Request) { r.Header.Set("Proxy-Authorization", "Bearer x") },
			want: "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n" +
				"Proxy-Authorization: Bearer x\r\n\r\n",
		},
		"path, query and another Host": {
			proxy: "http://proxy.test:3128", dial: "proxy.test:3128",
			req:  func(r *http.Request) { r.URL.Path, r.URL.RawQuery, r.Host = "/a b", "q=1", "other.test" },
			want: "GET http://other.test/a%20b?q=1 HTTP/1.1\r\nHost: other.test\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{Proxy: by(tt.proxy), DisableCompression: true}, func(t *testing.T, s *stage) {
				dialed := s.addresses()
				req := request("GET", "")
				if tt.req != nil {
					tt.req(req)
				}
				got := s.send(req)
				if tt.dial == "" {
					require.Equal(t, "bad_request", code((<-got).err))
					require.Empty(t, *dialed)
					return
				}
				k := s.accept()
				k.Expect(tt.want)
				k.Send(hello)
				s.requireHello(got)
				require.Equal(t, []string{tt.dial}, *dialed)
			})
		})
	}
}

// addresses notes where the stage's Transport dials.
func (s *stage) addresses() *[]string {
	var mu sync.Mutex
	dialed := new([]string)
	s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		*dialed = append(*dialed, addr)
		mu.Unlock()
		return s.l.DialContext(ctx, network, addr)
	}
	return dialed
}

func TestConnectionsToAnHTTPProxyAreSharedByAllPlainHosts(t *testing.T) {
	inBubble(t, &h1.Transport{Proxy: by("http://proxy.test")}, func(t *testing.T, s *stage) {
		var k *wiretest.Talk
		for _, host := range []string{"a.test", "b.test", "c.test:8080"} {
			req := request("GET", "")
			req.URL.Host, req.Host = host, ""
			got := s.send(req)
			if k == nil {
				k = s.accept()
			}
			k.ExpectHead("GET http://"+host+"/ HTTP/1.1", "Host: "+host)
			k.Send(hello)
			s.requireHello(got)
		}
		require.Equal(t, 1, s.count())
	})
}

func TestConnectionsByOtherWaysAreNotShared(t *testing.T) {
	proxies := []string{"", "http://a.test", "http://b.test", "http://ann@a.test", "http://ann:x@a.test", "http://ann:y@a.test"}
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		var way string
		s.tr.Proxy = func(*http.Request) (*url.URL, error) {
			if way == "" {
				return nil, nil
			}
			return url.Parse(way)
		}
		for i, proxy := range proxies {
			way = proxy
			got := s.send(request("GET", ""))
			k := s.accept()
			k.ExpectHead("GET *")
			k.Send(hello)
			s.requireHello(got)
			require.Equal(t, i+1, s.count())
		}
	})
}

func TestProxyThatCannotBeUsedIsAnErrorOfTheRequest(t *testing.T) {
	odd := errors.New("no proxy today")
	tests := map[string]struct {
		proxy func(*http.Request) (*url.URL, error)
		is    error
	}{
		"the function fails":          {proxy: func(*http.Request) (*url.URL, error) { return nil, odd }, is: odd},
		"another scheme":              {proxy: by("ftp://proxy.test")},
		"no host":                     {proxy: by("http://:80")},
		"line end in the host":        {proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "a\r\nX: y"})},
		"NUL in the host":             {proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "a\x00"})},
		"space in the host":           {proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: "a b"})},
		"line end in the user":        {proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "a", User: url.User("a\r\nX: y")})},
		"line end in the password":    {proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "a", User: url.UserPassword("a", "b\n")})},
		"NUL in the password (SOCKS)": {proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: "a", User: url.UserPassword("a", "b\x00")})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{Proxy: tt.proxy}, func(t *testing.T, s *stage) {
				body := &watched{Reader: strings.NewReader("abc")}
				req := request("POST", "")
				req.Body = body
				_, err := s.tr.RoundTrip(req)
				require.Equal(t, "bad_request", code(err))
				require.NotContains(t, err.Error(), "b\\n", "a password is not shown")
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				}
				require.True(t, body.closed.Load())
				require.Zero(t, s.count())
			})
		})
	}
}

func TestProxyThatCannotBeReachedIsNamed(t *testing.T) {
	refused := errors.New("refused")
	inBubble(t, &h1.Transport{Proxy: by("http://proxy.test:3128")}, func(t *testing.T, s *stage) {
		s.tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
		for _, target := range []string{"http://example.com/", "https://example.com/"} {
			req, err := http.NewRequest("GET", target, nil)
			require.NoError(t, err)
			_, err = s.tr.RoundTrip(req)
			require.ErrorIs(t, err, refused)
			var own *h1.Error
			require.ErrorAs(t, err, &own)
			require.Equal(t, h1.ByProxy, own.By)
			require.Equal(t, h1.CodeDialFailed, own.Code)
			require.Contains(t, err.Error(), "h1: proxy could not be reached while connecting to proxy.test:3128")
			var op *net.OpError // what programs look for since go.dev/issue/16997
			require.ErrorAs(t, err, &op)
			require.Equal(t, "proxyconnect", op.Op)
		}
	})
}

// secureRequest is a GET over https.
func secureRequest(t *testing.T) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://example.com/", nil)
	require.NoError(t, err)
	return req
}

func TestTunnelIsAskedForAsConfigured(t *testing.T) {
	const agent = "User-Agent: Go-h1-client/1.1\r\n"
	tests := map[string]struct {
		tr   *h1.Transport
		want string
	}{
		"plain": {
			tr:   &h1.Transport{Proxy: by("http://proxy.test")},
			want: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + agent + "\r\n",
		},
		"credentials": {
			tr: &h1.Transport{Proxy: by("http://ann:pw@proxy.test")},
			want: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + agent +
				"Proxy-Authorization: Basic YW5uOnB3\r\n\r\n",
		},
		"further fields": {
			tr: &h1.Transport{Proxy: by("http://ann:pw@proxy.test"), ProxyConnectHeader: http.Header{"X-A": {"1", "2"}, "User-Agent": {"me"}}},
			want: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nUser-Agent: me\r\n" +
				"Proxy-Authorization: Basic YW5uOnB3\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
		},
		"fields that are made for each tunnel": {
			tr: &h1.Transport{Proxy: by("http://proxy.test"), ProxyConnectHeader: http.Header{"Not": {"sent"}},
				GetProxyConnectHeader: func(_ context.Context, u *url.URL, target string) (http.Header, error) {
					return http.Header{"X-To": {target + " by " + u.String()}}, nil
				}},
			want: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + agent +
				"X-To: example.com:443 by http://proxy.test:80\r\n\r\n",
		},
		"codings are between client and server": {
			tr:   &h1.Transport{Proxy: by("http://proxy.test"), TransferCodings: []string{"gzip"}},
			want: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n" + agent + "\r\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				before := tt.tr.ProxyConnectHeader.Clone()
				got := s.send(secureRequest(t))
				k := s.accept()
				k.Expect(tt.want)
				k.Send("HTTP/1.1 503 Busy\r\n\r\n")
				require.Equal(t, "tunnel_failed", code((<-got).err))
				require.Equal(t, before, tt.tr.ProxyConnectHeader)
				require.Zero(t, s.count(), "OnConn is told of connections to servers")
			})
		})
	}
}

func TestFieldsThatWouldEndALineNeverReachAProxy(t *testing.T) {
	for _, bad := range []http.Header{{"X": {"a\r\nb"}}, {"X": {"a\x00"}}, {"X\r\nY": {"a"}}, {"X Y": {"a"}}} {
		inBubble(t, &h1.Transport{Proxy: by("http://proxy.test"), ProxyConnectHeader: bad}, func(t *testing.T, s *stage) {
			got := s.send(secureRequest(t))
			k := s.accept()
			k.ExpectEOF()
			require.Equal(t, "bad_request", code((<-got).err))
		})
	}
}

func TestTunnelThatDoesNotOpenIsAnError(t *testing.T) {
	odd := errors.New("not this one")
	tests := map[string]struct {
		tr     *h1.Transport // nil: a plain one
		answer string
		says   string
		is     error
	}{
		"refused": {
			answer: "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
			says:   `h1: proxy opened no way to the server while connecting to example.com:443 through proxy.test:80: it answered "407 Proxy Authentication Required"`,
		},
		"redirected":               {answer: "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", says: `"302 Found"`},
		"refused in odd octets":    {answer: "HTTP/1.1 500 \x80\xff\r\n\r\n", says: `it answered "500 \x80\xff"`},
		"no answer":                {answer: "", says: "server closed the connection", is: io.ErrUnexpectedEOF},
		"no HTTP":                  {answer: "SSH-2.0-x\r\n", says: "invalid status line", is: h1.CodeBadStatusLine},
		"a head without end":       {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10), says: "over the limit", is: h1.CodeHeadTooLarge},
		"two answers":              {answer: "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", is: h1.CodeUnexpectedData, says: "nobody asked for"},
		"the program says no":      {answer: "HTTP/1.1 200 OK\r\n\r\n", is: odd, tr: &h1.Transport{OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error { return odd }}},
		"fields could not be made": {is: odd, tr: &h1.Transport{GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return nil, odd }}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.tr == nil {
				tt.tr = &h1.Transport{}
			}
			tt.tr.Proxy = by("http://proxy.test")
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				got := s.send(secureRequest(t))
				k := s.accept()
				if tt.tr.GetProxyConnectHeader == nil {
					k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
					k.Send(tt.answer)
					k.SendFIN()
				}
				err := (<-got).err
				require.ErrorContains(t, err, tt.says)
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				}
				_, err = io.Copy(io.Discard, k) // until its end, which is a reset where something was left unread
				require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
			})
		})
	}
}

func TestAnswersThatOpenATunnel(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	tests := map[string]string{
		"200":                              "HTTP/1.1 200 Connection established\r\n\r\n",
		"HTTP/1.0":                         "HTTP/1.0 200 OK\r\n\r\n",
		"any 2xx (RFC 9110 section 9.3.6)": "HTTP/1.1 299 Fine\r\n\r\n",
		"lengths that mean nothing (same)": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
		"after an informational response":  "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{Proxy: by("http://proxy.test")}, func(t *testing.T, s *stage) {
				s.tr.TLSClientConfig = certificate.Client().Transport.(*http.Transport).TLSClientConfig
				got := s.send(secureRequest(t))
				nc, err := s.l.Accept()
				require.NoError(t, err)
				k := wiretest.NewTalk(t, nc)
				k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
				k.Send(answer)
				k = wiretest.NewTalk(t, tls.Server(nc, &tls.Config{Certificates: certificate.TLS.Certificates}))
				k.ExpectHead("GET / HTTP/1.1", "Host: example.com")
				k.Send(hello)
				s.requireHello(got)
				s.tr.CloseIdleConnections()
				k.ExpectEOF()
			})
		})
	}
}

func TestTunnelsHaveTheirTime(t *testing.T) {
	why := errors.New("the user left")
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			inBubble(t, &h1.Transport{Proxy: by(scheme + "://proxy.test")}, func(t *testing.T, s *stage) {
				start := time.Now()
				got := s.send(secureRequest(t))
				s.accept() // and not a word
				err := (<-got).err
				require.Equal(t, time.Minute, time.Since(start))
				require.Equal(t, "tunnel_failed", code(err))
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				require.True(t, timeout.Timeout())

				ctx, cancel := context.WithCancelCause(t.Context())
				got = s.send(secureRequest(t).WithContext(ctx))
				k := s.accept()
				time.Sleep(time.Second)
				cancel(why)
				err = (<-got).err
				require.Equal(t, "cancelled", code(err))
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, why)
				_, err = io.Copy(io.Discard, k)
				require.NoError(t, err, "it was closed")
			})
		})
	}
}

func TestProgramSeesTheProxysAnswer(t *testing.T) {
	var seen []string
	tr := &h1.Transport{Proxy: by("http://ann:pw@proxy.test")}
	tr.OnProxyConnectResponse = func(_ context.Context, u *url.URL, req *http.Request, res *http.Response) error {
		text, err := io.ReadAll(res.Body)
		seen = append(seen, u.Redacted(), req.Method, req.URL.Opaque, req.Host, res.Status, res.Header.Get("X"), string(text))
		return err
	}
	inBubble(t, tr, func(t *testing.T, s *stage) {
		got := s.send(secureRequest(t))
		k := s.accept()
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
		k.Send("HTTP/1.1 403 Forbidden\r\nX: y\r\nContent-Length: 2\r\n\r\nno")
		require.Equal(t, "tunnel_failed", code((<-got).err))
		require.Equal(t, []string{"http://ann:xxxxx@proxy.test:80", "CONNECT", "example.com:443", "example.com:443", "403 Forbidden", "y", "no"}, seen)
	})
}

// gateway is a proxy in front of real servers. It notes who came, and for what.
type gateway struct {
	t    *testing.T
	auth string // of SOCKS, "user:password"; empty: none is asked for

	mu   sync.Mutex
	seen []string
}

func (g *gateway) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, fmt.Sprintf(format, args...))
}

func (g *gateway) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

// ServeHTTP is an HTTP proxy.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.note("%s %s %q", r.Method, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	if r.Method != http.MethodConnect {
		r.RequestURI = ""
		r.Header.Del("Proxy-Authorization")
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
		return
	}
	far, err := net.Dial("tcp", r.RequestURI)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	near, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, err = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		g.t.Error(err)
	}
	splice(near, far)
}

// splice joins two connections until one of them ends.
func splice(a, b net.Conn) {
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		})
	}
	wg.Wait()
}

// serveSOCKS is a SOCKS5 proxy (RFC 1928, RFC 1929); it listens at the address
// that it returns.
func (g *gateway) serveSOCKS() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(g.t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				if far, err := g.socks(nc, bufio.NewReader(nc)); err != nil {
					g.note("%v", err)
				} else {
					splice(nc, far)
				}
			})
		}
	})
	g.t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// socks reads what the client asks for, and connects.
func (g *gateway) socks(nc net.Conn, r *bufio.Reader) (net.Conn, error) {
	text := func() string { // a length and as many octets
		n, _ := r.ReadByte()
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b)
		return string(b)
	}
	version, _ := r.ReadByte()
	methods := text()
	method := byte(0)
	if g.auth != "" {
		method = 2
	}
	if version != 5 || !strings.Contains(methods, string(rune(method))) {
		_, _ = nc.Write([]byte{5, 0xff})
		return nil, fmt.Errorf("greeting %d %q", version, methods)
	}
	_, _ = nc.Write([]byte{5, method})
	if method == 2 {
		_, _ = r.ReadByte()
		if got := text() + ":" + text(); got != g.auth {
			_, _ = nc.Write([]byte{1, 1})
			return nil, fmt.Errorf("credentials %s", got)
		}
		_, _ = nc.Write([]byte{1, 0})
	}
	var head [4]byte
	_, _ = io.ReadFull(r, head[:])
	host := "127.0.0.1"
	if head[3] == 3 {
		host = text()
	} else {
		_, _ = io.ReadFull(r, make([]byte, 4))
	}
	var port uint16
	_ = binary.Read(r, binary.BigEndian, &port)
	g.note("%v %s", head[:], host)
	far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		_, _ = nc.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return nil, err
	}
	_, err = nc.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
	return far, err
}

// Each kind of proxy in front of each kind of server: the answers come, one
// connection serves all requests, and the certificate that counts is the
// server's.
func TestRequestsThroughRealProxies(t *testing.T) {
	kinds := map[string]func(g *gateway) string{
		"http": func(g *gateway) string {
			s := httptest.NewServer(g)
			g.t.Cleanup(s.Close)
			return strings.Replace(s.URL, "//", "//ann:pw@", 1)
		},
		"https": func(g *gateway) string {
			s := httptest.NewTLSServer(g)
			g.t.Cleanup(s.Close)
			return strings.Replace(s.URL, "//", "//ann:pw@", 1)
		},
		"socks5":  func(g *gateway) string { return "socks5://" + g.serveSOCKS() },
		"socks5h": func(g *gateway) string { return "socks5h://" + g.serveSOCKS() },
		"socks5 with credentials": func(g *gateway) string {
			g.auth = "ann:pw"
			return "socks5://ann:pw@" + g.serveSOCKS()
		},
	}
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			eachServer(t, mirror, nil, func(t *testing.T, w *world) {
				g := &gateway{t: t}
				w.tr.Proxy = by(start(g))
				if w.tr.TLSClientConfig == nil { // for the HTTPS proxy; all of httptest have one certificate
					w.tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
				}
				t.Cleanup(w.tr.CloseIdleConnections)
				for range 3 {
					req, err := http.NewRequest("POST", w.url+"/x", strings.NewReader("hello"))
					require.NoError(t, err)
					res, err := w.tr.RoundTrip(req)
					require.NoError(t, err)
					got, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					require.Equal(t, "hello", string(got))
					require.Equal(t, strings.HasPrefix(w.url, "https") || kind == "https", res.TLS != nil)
				}
				require.Equal(t, 1, w.count())
				require.Equal(t, seenByProxy(kind, w.url), g.all())
			})
		})
	}
}

// seenByProxy is what a proxy has to see of three requests.
func seenByProxy(kind, server string) []string {
	host := server[strings.LastIndex(server, "/")+1:]
	const auth = `"Basic YW5uOnB3"`
	switch {
	case strings.HasPrefix(kind, "socks"):
		return []string{"[5 1 0 1] 127.0.0.1"}
	case strings.HasPrefix(server, "https"):
		return []string{"CONNECT " + host + " " + auth}
	}
	one := "POST " + server + "/x " + auth
	return []string{one, one, one}
}

func TestSOCKSProxyResolvesNames(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(mirror))
	defer s.Close()
	for _, scheme := range []string{"socks5", "socks5h"} {
		g := &gateway{t: t}
		tr := &h1.Transport{Proxy: by(scheme + "://" + g.serveSOCKS())}
		_, port, err := net.SplitHostPort(s.Listener.Addr().String())
		require.NoError(t, err)
		res, err := (&http.Client{Transport: tr}).Get("http://no-such-name.invalid:" + port)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, []string{"[5 1 0 3] no-such-name.invalid"}, g.all())
		tr.CloseIdleConnections()
	}
}

func TestSOCKSProxyThatRefuses(t *testing.T) {
	idle, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := idle.Addr().String()
	require.NoError(t, idle.Close())
	tests := map[string]struct{ user, says string }{
		"credentials": {"ann:wrong@", "authentication failed"},
		"none":        {"", "no acceptable authentication methods"},
		"the server":  {"ann:pw@", "connection refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := &gateway{t: t, auth: "ann:pw"}
			tr := &h1.Transport{Proxy: by("socks5://" + tt.user + g.serveSOCKS())}
			_, err := tr.RoundTrip(httptest.NewRequest("GET", "http://"+nobody, nil))
			require.Equal(t, "tunnel_failed", code(err))
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// http.ProxyFromEnvironment looks at the environment once, so that this needs a
// process of its own.
func TestProxyFromTheEnvironment(t *testing.T) {
	if at := os.Getenv("H1_TEST_PROXIED"); at != "" {
		tr := &h1.Transport{Proxy: http.ProxyFromEnvironment}
		for _, u := range strings.Fields(at) {
			res, err := tr.RoundTrip(httptest.NewRequest("GET", u, nil))
			if err != nil {
				fmt.Println(u, "failed")
				continue
			}
			text, _ := io.ReadAll(res.Body)
			fmt.Println(u, string(text))
		}
		return
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "by proxy: "+r.RequestURI)
	}))
	defer proxy.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyFromTheEnvironment$")
	cmd.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "NO_PROXY=direct.invalid", "http_proxy=", "no_proxy=", "REQUEST_METHOD=",
		"H1_TEST_PROXIED=http://a.invalid/ http://direct.invalid/")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), "http://a.invalid/ by proxy: http://a.invalid/\nhttp://direct.invalid/ failed\n")
}
