package h1_test

// What a Transport tells net/http/httptrace, held against what net/http's tells
// for the same requests to the same servers.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
)

// diary is what a trace's hooks were told, in their order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// outcomeOf is an error in a word: each transport has errors of its own.
func outcomeOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "done"
}

// trace is a request's context with every hook of httptrace set.
func (d *diary) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(addr string) { d.note("GetConn %s", addr) },
		GotConn: func(i httptrace.GotConnInfo) {
			d.note("GotConn reused=%v idle=%v/%v", i.Reused, i.WasIdle, i.IdleTime.Truncate(time.Second))
		},
		PutIdleConn:          func(err error) { d.note("PutIdleConn %s", outcomeOf(err)) },
		GotFirstResponseByte: func() { d.note("GotFirstResponseByte") },
		Got100Continue:       func() { d.note("Got100Continue") },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			d.note("Got1xxResponse %d %v", code, h)
			return nil
		},
		DNSStart:          func(i httptrace.DNSStartInfo) { d.note("DNSStart %s", i.Host) },
		DNSDone:           func(i httptrace.DNSDoneInfo) { d.note("DNSDone %s", outcomeOf(i.Err)) },
		ConnectStart:      func(network, _ string) { d.note("ConnectStart %s", network) },
		ConnectDone:       func(network, _ string, err error) { d.note("ConnectDone %s %s", network, outcomeOf(err)) },
		TLSHandshakeStart: func() { d.note("TLSHandshakeStart") },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			d.note("TLSHandshakeDone %v %s", s.HandshakeComplete, outcomeOf(err))
		},
		WroteHeaderField: func(name string, values []string) { d.note("WroteHeaderField %s: %q", name, values) },
		WroteHeaders:     func() { d.note("WroteHeaders") },
		Wait100Continue:  func() { d.note("Wait100Continue") },
		WroteRequest:     func(i httptrace.WroteRequestInfo) { d.note("WroteRequest %s", outcomeOf(i.Err)) },
	})
}

// visit sends the requests in turn, a second one after the other, and gives what
// their traces were told.
func visit(t *testing.T, tr roundTripper, reqs []*http.Request) []string {
	var d diary
	for _, req := range reqs {
		res, err := tr.RoundTrip(req.WithContext(d.trace(req.Context())))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		time.Sleep(time.Second)
		d.note("-- %s", outcomeOf(err))
	}
	return d.all()
}

func TestTraceIsToldWhatNetHTTPTells(t *testing.T) {
	upload := func(expect bool) *http.Request {
		r := request("POST", "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("abc")), 3
		if expect {
			r.Header.Set("Expect", "100-continue")
		}
		return r
	}
	fields := func() *http.Request {
		r := request("POST", "abc")
		r.Header = http.Header{"Accept": {"a", "b"}, "X-Z": {"1"}, "User-Agent": {"Go-h1-client/1.1"}}
		return r
	}
	cut := request("GET", "")
	gone, leave := context.WithCancel(t.Context())
	leave()
	tests := map[string]struct {
		reqs []*http.Request
		play func(s *scene, n int)
	}{
		"two requests on one connection": {
			reqs: []*http.Request{request("GET", ""), fields()},
			play: func(s *scene, _ int) { s.answerAll(hello) },
		},
		"an answer without body": {
			reqs: []*http.Request{request("HEAD", ""), request("GET", "")},
			play: func(s *scene, _ int) { s.answerAll("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		},
		"a body of unknown length": {
			reqs: []*http.Request{func() *http.Request { r := upload(false); r.ContentLength = -1; return r }()},
			play: func(s *scene, _ int) { s.answerAll(hello) },
		},
		"a body that is invited": {
			reqs: []*http.Request{upload(true), upload(true)},
			play: func(s *scene, _ int) {
				for s.head() {
					s.send("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
					s.body()
					s.send(hello)
				}
			},
		},
		"a body that is not invited in time": {
			reqs: []*http.Request{upload(true)},
			play: func(s *scene, _ int) { s.answerAll(hello) },
		},
		"a body that is refused, and the connection closed": {
			reqs: []*http.Request{upload(true)},
			play: func(s *scene, _ int) {
				s.head()
				s.send("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			},
		},
		"answers that only inform": {
			reqs: []*http.Request{request("GET", "")},
			play: func(s *scene, _ int) {
				s.answerAll("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + hello)
			},
		},
		"more of them than anybody would read untold": {
			reqs: []*http.Request{request("GET", "")},
			play: func(s *scene, _ int) { s.answerAll(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 30) + hello) },
		},
		"an uninvited 100": {
			reqs: []*http.Request{request("GET", "")},
			play: func(s *scene, _ int) { s.answerAll("HTTP/1.1 100 Continue\r\n\r\n" + hello) },
		},
		"a server that closes after the answer": {
			reqs: []*http.Request{request("GET", ""), request("GET", "")},
			play: func(s *scene, _ int) {
				s.whole()
				s.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
			},
		},
		"a lost request, sent again": {
			reqs: []*http.Request{request("GET", ""), request("GET", "")},
			play: func(s *scene, n int) {
				s.whole()
				s.send(hello)
				if s.whole() && n > 0 {
					s.send(hello)
				}
			},
		},
		"no answer": {
			reqs: []*http.Request{cut},
			play: func(s *scene, _ int) { s.whole() },
		},
		"a request that is over before it begins": {
			reqs: []*http.Request{cut.WithContext(gone)},
			play: func(*scene, int) {},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var told [2][]string
			inBoth(t, tt.play, func(t *testing.T, kind int, tr roundTripper) {
				var reqs []*http.Request
				for _, r := range tt.reqs {
					reqs = append(reqs, afresh(r))
				}
				told[kind] = visit(t, tr, reqs)
			})
			// net/http invites the body before it calls the hook, and either may be
			// first then. That ours comes before the body is tested below.
			for kind := range told {
				told[kind] = slices.DeleteFunc(told[kind], func(line string) bool { return strings.HasPrefix(line, "Got1xxResponse 100 map[X") })
			}
			for i, line := range told[netHTTP] {
				told[netHTTP][i] = strings.Replace(line, "Go-http-client", "Go-h1-client", 1)
			}
			require.NotEmpty(t, told[netHTTP])
			require.Empty(t, cmp.Diff(told[netHTTP], told[ours]), "- net/http, + h1")
		})
	}
}

// Names, connections and TLS: what net.Dialer and the handshake tell, on real
// sockets. The hooks of one phase come before those of the next.
func TestTraceOfARealConnection(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(mirror))
	defer s.Close()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName = "example.com"
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	dial := new(net.Dialer).DialContext // IPv4 only, so that each run has one address to try
	dial4 := func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, "tcp4", addr) }
	tell := func(tr roundTripper) []string {
		defer tr.CloseIdleConnections()
		var d diary
		for range 2 {
			req, err := http.NewRequestWithContext(d.trace(t.Context()), "GET", "https://localhost:"+port+"/", nil)
			require.NoError(t, err)
			res, err := tr.RoundTrip(req)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		}
		return slices.DeleteFunc(d.all(), func(line string) bool { return strings.HasPrefix(line, "WroteHeaderField") })
	}
	// net/http's Transport writes and reads by goroutines of their own, each of which
	// tells: where one of them is held up, the order is another for once.
	same := func(proxy func(*http.Request) (*url.URL, error)) (own []string) {
		own = tell(&h1.Transport{DialContext: dial4, TLSClientConfig: cfg, Proxy: proxy})
		diff := "-"
		for tries := 0; diff != "" && tries < 10; tries++ {
			diff = cmp.Diff(tell(&http.Transport{DialContext: dial4, TLSClientConfig: cfg, Proxy: proxy}), own)
		}
		require.Empty(t, diff, "- net/http, + h1")
		return own
	}
	require.Equal(t, []string{"GetConn localhost:" + port, "DNSStart localhost", "DNSDone done", "ConnectStart tcp4", "ConnectDone tcp4 done",
		"TLSHandshakeStart", "TLSHandshakeDone true done", "GotConn reused=false idle=false/0s", "WroteHeaders", "WroteRequest done",
		"GotFirstResponseByte", "PutIdleConn done", "GetConn localhost:" + port}, same(nil)[:13])

	// A handshake that fails, and an HTTPS proxy, which has one of its own.
	strict := func(tr roundTripper) []string {
		var d diary
		req, err := http.NewRequestWithContext(d.trace(t.Context()), "GET", "https://127.0.0.1:"+port+"/", nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		require.Error(t, err)
		return d.all()
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	require.Equal(t, strict(&http.Transport{}), strict(&h1.Transport{}))

	proxy := httptest.NewTLSServer(&gateway{t: t})
	defer proxy.Close()
	same(by(proxy.URL))
}

// A connection that another request hands over was never idle, and one that was
// made ahead was never used.
func TestTraceTellsHowTheConnectionWasGot(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		var d diary
		first := s.open(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		second := s.send(request("GET", "").WithContext(d.trace(t.Context())))
		synctest.Wait()
		require.Equal(t, []string{"GetConn example.com:80"}, d.all())
		time.Sleep(time.Minute)
		s.answer(k, first)
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(hello)
		s.requireHello(second)
		require.Equal(t, "GotConn reused=true idle=false/0s", d.all()[1])

		s.tr.CloseIdleConnections()
		require.NoError(t, s.tr.Prewarm(t.Context(), "http://example.com", 1))
		time.Sleep(3 * time.Second)
		d = diary{}
		third := s.send(request("GET", "").WithContext(d.trace(t.Context())))
		k = s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(hello)
		s.requireHello(third)
		require.Equal(t, "GotConn reused=false idle=true/3s", d.all()[1])
	})
}

// PutIdleConn is told when the pool does not take the connection.
func TestTraceTellsOfAConnectionThatIsNotKept(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		var d diary
		got := s.send(request("GET", "").WithContext(d.trace(t.Context())))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		s.tr.CloseIdleConnections()
		k.Send(hello)
		s.requireHello(got)
		require.Equal(t, "PutIdleConn failed", d.all()[len(d.all())-1])
		k.ExpectEOF()
	})
}

func TestTraceHearsOfTheInvitationBeforeTheBodyGoes(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		var d diary
		req := request("POST", "abc")
		req.Header.Set("Expect", "100-continue")
		got := s.send(req.WithContext(d.trace(t.Context())))
		k := s.accept()
		k.ExpectHead("POST / HTTP/1.1")
		k.Send("HTTP/1.1 100 Continue\r\n\r\n")
		k.Expect("abc")
		synctest.Wait()
		k.Send("HTTP/1.1 100 Continue\r\n\r\n") // which was said before
		k.Send(hello)
		s.requireHello(got)
		lines := slices.DeleteFunc(d.all(), func(line string) bool { return strings.HasPrefix(line, "WroteHeaderField") })
		require.Equal(t, []string{"GetConn example.com:80", "GotConn reused=false idle=false/0s", "WroteHeaders", "Wait100Continue",
			"GotFirstResponseByte", "Got100Continue", "Got1xxResponse 100 map[]", "WroteRequest done", "Got1xxResponse 100 map[]",
			"PutIdleConn done"}, lines)
	})
}

// An error of Got1xxResponse is the request's.
func TestTraceMayRefuseAnInformationalResponse(t *testing.T) {
	odd := errors.New("no hints please")
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return odd },
		})
		got := s.send(request("GET", "").WithContext(ctx))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send("HTTP/1.1 103 Early Hints\r\n\r\n")
		require.ErrorIs(t, (<-got).err, odd)
		k.ExpectEOF()
	})
}

// What cannot be written is told with its reason.
func TestTraceTellsOfAFailedWrite(t *testing.T) {
	broken := errors.New("cable cut")
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.l.DialContext(ctx, network, addr)
			return deaf{nc, broken}, err
		}
		var told error
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteRequest: func(i httptrace.WroteRequestInfo) { told = i.Err },
		})
		got := s.send(request("GET", "").WithContext(ctx))
		s.accept().SendFIN()
		require.Error(t, (<-got).err)
		require.ErrorIs(t, told, broken)
	})
}

// deaf is a connection that cannot be written to.
type deaf struct {
	net.Conn
	err error
}

func (d deaf) Write([]byte) (int, error) { return 0, d.err }
