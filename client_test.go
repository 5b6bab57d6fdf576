package h1_test

// The Transport against servers that the test plays itself, line by line, in
// memory and mostly in fake time.

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"
)

// lives records what becomes of a Transport's connections.
type lives struct {
	mu     sync.Mutex
	opened int
	closed []string // the reasons, in the order of the ends
}

func (l *lives) tell(e h1.ConnEvent, info h1.ConnInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e {
	case h1.EventOpened:
		l.opened++
	case h1.EventClosed, h1.EventHijacked:
		l.closed = append(l.closed, info.Reason.String())
	}
}

func (l *lives) ends() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.closed)
}

func (l *lives) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened
}

// stage is a Transport whose server is played by the test.
type stage struct {
	*lives
	t  *testing.T
	l  *wiretest.Listener
	tr *h1.Transport
}

func newStage(t *testing.T, tr *h1.Transport) *stage {
	if tr == nil {
		tr = &h1.Transport{}
	}
	s := &stage{lives: &lives{}, t: t, l: wiretest.Listen(), tr: tr}
	tr.DialContext, tr.OnConn = s.l.DialContext, s.tell
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		require.NoError(t, s.l.Close())
	})
	return s
}

// ends and count tell when all has come to rest: the peer of a connection sees
// its end before the Transport tells of it.
func (s *stage) ends() []string {
	synctest.Wait()
	return s.lives.ends()
}

func (s *stage) count() int {
	synctest.Wait()
	return s.lives.count()
}

// inBubble runs a test in fake time; goroutines left behind fail it.
func inBubble(t *testing.T, tr *h1.Transport, play func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { play(t, newStage(t, tr)) })
}

// accept is the server's end of the next connection.
func (s *stage) accept() *wiretest.Talk {
	s.t.Helper()
	nc, err := s.l.Accept()
	require.NoError(s.t, err)
	return wiretest.NewTalk(s.t, nc)
}

// reply is what came of a request.
type reply struct {
	res  *http.Response
	body string
	err  error // of RoundTrip
	read error // of the body
}

func request(method, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://example.com/", r)
	if err != nil {
		panic(err)
	}
	return req
}

// send starts a request; the reply comes with the body read to its end.
func (s *stage) send(req *http.Request) <-chan reply {
	got := make(chan reply, 1)
	go func() {
		var r reply
		if r.res, r.err = s.tr.RoundTrip(req); r.err == nil {
			body, err := io.ReadAll(r.res.Body)
			r.body, r.read = string(body), err
			_ = r.res.Body.Close()
		}
		got <- r
	}()
	return got
}

// open starts a request and leaves the reply's body alone.
func (s *stage) open(req *http.Request) <-chan reply {
	got := make(chan reply, 1)
	go func() {
		res, err := s.tr.RoundTrip(req)
		got <- reply{res: res, err: err}
	}()
	return got
}

// exchange plays one GET whole on a connection; k is nil for a new one.
func (s *stage) exchange(k *wiretest.Talk) *wiretest.Talk {
	s.t.Helper()
	got := s.send(request("GET", ""))
	if k == nil {
		k = s.accept()
	}
	k.ExpectHead("GET / HTTP/1.1", "Host: example.com")
	k.Send(hello)
	s.requireHello(got)
	return k
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func (s *stage) requireHello(got <-chan reply) {
	s.t.Helper()
	r := <-got
	require.NoError(s.t, r.err)
	require.NoError(s.t, r.read)
	require.Equal(s.t, "hello", r.body)
}

func code(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Code.String()
	}
	return fmt.Sprintf("no *Error: %v", err)
}

// watched is a body that remembers whether it was closed.
type watched struct {
	io.Reader
	closed atomic.Bool
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return nil
}

func TestRequestsInTurnShareOneConnection(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		k := s.exchange(nil)
		s.exchange(k)
		s.exchange(k)
		require.Equal(t, 1, s.count())
		s.tr.CloseIdleConnections()
		k.ExpectEOF()
		require.Equal(t, []string{"local_asked"}, s.ends())
	})
}

func TestRequestIsWrittenAsAsked(t *testing.T) {
	tests := map[string]struct {
		tr   *h1.Transport
		req  func(r *http.Request)
		want string
	}{
		"plain": {
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
		},
		"the caller's own codings": {
			req:  func(r *http.Request) { r.Header.Set("Accept-Encoding", "br") },
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nAccept-Encoding: br\r\n\r\n",
		},
		"a range": {
			req:  func(r *http.Request) { r.Header.Set("Range", "bytes=0-9") },
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nRange: bytes=0-9\r\n\r\n",
		},
		"compression switched off": {
			tr:   &h1.Transport{DisableCompression: true},
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"keep-alive switched off": {
			tr:   &h1.Transport{DisableKeepAlives: true, DisableCompression: true},
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nConnection: close\r\n\r\n",
		},
		"last of its connection": {
			tr:   &h1.Transport{DisableCompression: true},
			req:  func(r *http.Request) { r.Close = true },
			want: "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nConnection: close\r\n\r\n",
		},
		"a name in other letters": {
			tr:   &h1.Transport{DisableCompression: true},
			req:  func(r *http.Request) { r.URL.Host, r.Host = "bücher.example", "" },
			want: "GET / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\nUser-Agent: Go-h1-client/1.1\r\n\r\n",
		},
		"an upload of unknown length": {
			tr: &h1.Transport{DisableCompression: true},
			req: func(r *http.Request) {
				r.Method, r.Body, r.Trailer = "POST", io.NopCloser(strings.NewReader("abc")), http.Header{"Sum": {"6"}}
			},
			want: "POST / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nTransfer-Encoding: chunked\r\n" +
				"Trailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: 6\r\n\r\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				req := request("GET", "")
				if tt.req != nil {
					tt.req(req)
				}
				got := s.send(req)
				k := s.accept()
				k.Expect(tt.want)
				k.Send(hello)
				s.requireHello(got)
			})
		})
	}
}

func TestRequestIsNotModified(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		req := request("POST", "abc")
		req.Header = http.Header{"X": {"y"}}
		before := req.Clone(req.Context())
		got := s.send(req)
		k := s.accept()
		k.ExpectHead("POST / HTTP/1.1")
		k.Expect("abc")
		k.Send(hello)
		s.requireHello(got)
		require.Empty(t, cmp.Diff(before.Header, req.Header))
		require.Equal(t, before.URL, req.URL)
		require.Equal(t, before.ContentLength, req.ContentLength)
	})
}

func TestRequestThatCannotBeSentIsRefusedAndItsBodyClosed(t *testing.T) {
	tests := map[string]func(r *http.Request){
		"no URL":           func(r *http.Request) { r.URL = nil },
		"another scheme":   func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":          func(r *http.Request) { r.URL.Host = "" },
		"line end in Host": func(r *http.Request) { r.Host = "a\r\nb" },
		"bad method":       func(r *http.Request) { r.Method = "GE T" },
		"bad field":        func(r *http.Request) { r.Header["X"] = []string{"a\nb"} },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				body := &watched{Reader: strings.NewReader("abc")}
				req := request("POST", "")
				req.Body = body
				spoil(req)
				_, err := s.tr.RoundTrip(req)
				require.Equal(t, "bad_request", code(err))
				require.True(t, body.closed.Load())
				require.Zero(t, s.count())
			})
		})
	}
}

func TestDialErrorIsTold(t *testing.T) {
	refused := errors.New("refused")
	tr := &h1.Transport{MaxConnsPerHost: 1}
	inBubble(t, tr, func(t *testing.T, s *stage) {
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
		for range 2 { // the second finds the place free again
			body := &watched{Reader: strings.NewReader("abc")}
			req := request("POST", "")
			req.Body = body
			_, err := tr.RoundTrip(req)
			require.ErrorIs(t, err, refused)
			require.Equal(t, "dial_failed", code(err))
			require.True(t, body.closed.Load())
		}
	})
}

func TestIdleConnectionIsGivenUp(t *testing.T) {
	tests := map[string]struct {
		tr     *h1.Transport
		field  string
		after  time.Duration
		reason string
	}{
		"after the default":             {after: 60 * time.Second, reason: "idle"},
		"after IdleConnTimeout":         {tr: &h1.Transport{IdleConnTimeout: 7 * time.Second}, after: 7 * time.Second, reason: "idle"},
		"after the policy's idle time":  {tr: &h1.Transport{KeepAlive: h1.KeepAlive{IdleTimeout: 9 * time.Second}}, after: 9 * time.Second, reason: "idle"},
		"a second before the hint ends": {field: "Keep-Alive: timeout=5\r\n", after: 4 * time.Second, reason: "peer_hint"},
		"at its age":                    {tr: &h1.Transport{KeepAlive: h1.KeepAlive{MaxAge: 3 * time.Second}}, after: 3 * time.Second, reason: "max_age"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				got := s.send(request("GET", ""))
				k := s.accept()
				k.ExpectHead("GET / HTTP/1.1")
				k.Send("HTTP/1.1 200 OK\r\n" + tt.field + "Content-Length: 5\r\n\r\nhello")
				s.requireHello(got)
				before := tt.after - time.Millisecond
				if tt.reason == "max_age" { // each connection's is up to a tenth shorter
					before -= tt.after / 10
				}
				time.Sleep(before)
				synctest.Wait()
				require.Empty(t, s.ends())
				time.Sleep(tt.after - before)
				synctest.Wait()
				require.Equal(t, []string{tt.reason}, s.ends())
				k.ExpectEOF()
			})
		})
	}
}

func TestConnectionEndsWithItsLastExchange(t *testing.T) {
	tests := map[string]struct {
		tr     *h1.Transport
		answer string
		reason string
	}{
		"the server says close":           {answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", reason: "peer_asked"},
		"HTTP/1.0":                        {answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", reason: "http10"},
		"a hint that leaves no headroom":  {answer: "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello", reason: "peer_hint"},
		"a hint of no further request":    {answer: "HTTP/1.1 200 OK\r\nKeep-Alive: max=0\r\nContent-Length: 5\r\n\r\nhello", reason: "peer_hint"},
		"octets after the answer":         {answer: hello + "HTTP/1.1 408 Request Timeout\r\n\r\n", reason: "unasked"},
		"the limit of requests":           {tr: &h1.Transport{KeepAlive: h1.KeepAlive{MaxRequests: 1}}, answer: hello, reason: "max_requests"},
		"keep-alive switched off":         {tr: &h1.Transport{DisableKeepAlives: true}, answer: hello, reason: "local_asked"},
		"HTTP/1.0 that says it persists":  {answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
		"octets that end with the answer": {answer: hello},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				got := s.send(request("GET", ""))
				k := s.accept()
				k.ExpectHead("GET / HTTP/1.1")
				k.Send(tt.answer)
				s.requireHello(got)
				if tt.reason == "" {
					require.Empty(t, s.ends())
					return
				}
				require.Equal(t, []string{tt.reason}, s.ends())
				s.exchange(nil)
			})
		})
	}
}

func TestLostRequest(t *testing.T) {
	idempotent := func(method, body string) *http.Request {
		r := request(method, body)
		r.Header.Set("Idempotency-Key", "k")
		return r
	}
	onceOnly := func(method string) *http.Request {
		r := request(method, "")
		r.Body = io.NopCloser(strings.NewReader("abc"))
		r.ContentLength = 3
		return r
	}
	tests := map[string]struct {
		req    *http.Request
		answer string // that the server sends before it closes
		code   string // of the error; empty: the request is sent again
	}{
		"GET":                                  {req: request("GET", "")},
		"PUT whose body can be had anew":       {req: request("PUT", "abc")},
		"POST with an idempotency key":         {req: idempotent("POST", "abc")},
		"PUT whose body is gone":               {req: onceOnly("PUT"), code: "unexpected_eof"},
		"POST":                                 {req: request("POST", "abc"), code: "unexpected_eof"},
		"PATCH":                                {req: request("PATCH", ""), code: "unexpected_eof"},
		"GET whose answer began":               {req: request("GET", ""), answer: "HTTP/1.1 200", code: "unexpected_eof"},
		"GET that was told to go on":           {req: request("GET", ""), answer: "HTTP/1.1 102 Processing\r\n\r\n", code: "unexpected_eof"},
		"GET answered by something not HTTP/1": {req: request("GET", ""), answer: "\x00\x00\x00\r\n", code: "bad_status_line"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				k := s.exchange(nil)
				got := s.send(tt.req)
				length := max(tt.req.ContentLength, 0)
				k.ExpectHead(tt.req.Method + " / HTTP/1.1")
				k.Expect("abc"[:length])
				if tt.answer != "" {
					k.Send(tt.answer)
				}
				k.SendFIN()
				if tt.code != "" {
					r := <-got
					require.Equal(t, tt.code, code(r.err))
					if tt.code == "unexpected_eof" {
						require.ErrorIs(t, r.err, io.ErrUnexpectedEOF)
					}
					require.Equal(t, 1, s.count())
					return
				}
				k = s.accept()
				k.ExpectHead(tt.req.Method + " / HTTP/1.1")
				k.Expect("abc"[:length])
				k.Send(hello)
				s.requireHello(got)
				require.Equal(t, []string{"peer_eof"}, s.ends())
			})
		})
	}
}

func TestRequestIsNotSentAgainOverAFreshConnection(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.send(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.SendFIN()
		require.Equal(t, "unexpected_eof", code((<-got).err))
		require.Equal(t, 1, s.count())
	})
}

func TestRequestIsSentAgainOnce(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		// Two idle connections, both of which the server closes.
		first, second := s.open(request("GET", "")), s.open(request("GET", ""))
		a, b := s.accept(), s.accept()
		a.ExpectHead("GET / HTTP/1.1")
		b.ExpectHead("GET / HTTP/1.1")
		a.Send(noContent)
		b.Send(noContent)
		require.NoError(t, (<-first).err)
		require.NoError(t, (<-second).err)
		a.SendFIN()
		b.SendFIN()

		got := s.send(request("GET", ""))
		k := s.accept() // the other idle one is not tried
		k.ExpectHead("GET / HTTP/1.1")
		k.SendFIN()
		require.Equal(t, "unexpected_eof", code((<-got).err))
		require.Equal(t, 3, s.count())
	})
}

func TestResponseHeaderTimeoutRunsFromTheRequestsEnd(t *testing.T) {
	tests := map[string]func() *http.Request{
		"no body":      func() *http.Request { return request("GET", "") },
		"a small body": func() *http.Request { return request("POST", "abc") },
		"a body that lasts": func() *http.Request {
			r := request("POST", "")
			pr, pw := io.Pipe()
			r.Body = pr
			go func() {
				time.Sleep(time.Minute)
				_, _ = pw.Write([]byte("abc"))
				_ = pw.Close()
			}()
			return r
		},
	}
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{ResponseHeaderTimeout: 5 * time.Second}, func(t *testing.T, s *stage) {
				start := time.Now()
				r := req()
				_, err := s.tr.RoundTrip(r)
				require.Equal(t, "response_timeout", code(err))
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				require.True(t, timeout.Timeout())
				want := 5 * time.Second
				if r.ContentLength == 0 && r.Body != nil {
					want += time.Minute
				}
				require.Equal(t, want, time.Since(start))
				require.Equal(t, []string{"head_timeout"}, s.ends())
			})
		})
	}
}

func TestResponseHeaderTimeoutLeavesTheBodyAlone(t *testing.T) {
	inBubble(t, &h1.Transport{ResponseHeaderTimeout: 5 * time.Second}, func(t *testing.T, s *stage) {
		for range 2 {
			req := request("POST", "")
			req.Body = io.NopCloser(strings.NewReader("abc"))
			got := s.send(req)
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1")
			k.Expect("3\r\nabc\r\n0\r\n\r\n")
			time.Sleep(4 * time.Second)
			k.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			time.Sleep(time.Hour)
			k.Send("hello")
			s.requireHello(got)
			s.tr.CloseIdleConnections()
		}
	})
}

func TestExpectContinue(t *testing.T) {
	ask := func() *http.Request {
		r := request("POST", "abc")
		r.Header.Set("Expect", "100-continue")
		return r
	}
	t.Run("the body goes when the server says so", func(t *testing.T) {
		inBubble(t, &h1.Transport{ExpectContinueTimeout: time.Hour}, func(t *testing.T, s *stage) {
			got := s.send(ask())
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue", "Content-Length: 3")
			k.ExpectSilence(time.Minute)
			k.Send("HTTP/1.1 100 Continue\r\n\r\n")
			k.Expect("abc")
			k.Send(hello)
			s.requireHello(got)
			s.exchange(k)
		})
	})
	t.Run("the body goes when the server says nothing", func(t *testing.T) {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			got := s.send(ask())
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue")
			k.ExpectSilence(time.Second - time.Millisecond)
			k.Expect("abc")
			k.Send(hello)
			s.requireHello(got)
		})
	})
	t.Run("the body goes at once when that is wanted", func(t *testing.T) {
		inBubble(t, &h1.Transport{ExpectContinueTimeout: -1}, func(t *testing.T, s *stage) {
			start := time.Now()
			got := s.send(ask())
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue")
			k.Expect("abc")
			require.Equal(t, start, time.Now())
			k.Send("HTTP/1.1 100 Continue\r\n\r\n")
			k.Send(hello)
			s.requireHello(got)
		})
	})
	t.Run("a final answer keeps the body back and ends the connection", func(t *testing.T) {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			body := &watched{Reader: strings.NewReader("abc")}
			req := ask()
			req.Body = body
			got := s.send(req)
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue")
			k.Send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 5\r\n\r\n")
			k.ExpectSilence(time.Minute)
			k.Send("hello")
			r := <-got
			require.NoError(t, r.err)
			require.Equal(t, 417, r.res.StatusCode)
			require.Equal(t, "hello", r.body)
			k.ExpectEOF()
			synctest.Wait()
			require.True(t, body.closed.Load())
			require.Equal(t, []string{"incomplete"}, s.ends())
		})
	})
	t.Run("the answer's body is not worth reading then", func(t *testing.T) {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			got := s.open(ask())
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue")
			k.Send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 5\r\n\r\n")
			start := time.Now()
			require.NoError(t, (<-got).res.Body.Close())
			require.Equal(t, start, time.Now())
			require.Equal(t, []string{"incomplete"}, s.ends())
		})
	})
	t.Run("so does one without a body", func(t *testing.T) {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			got := s.send(ask())
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1", "Expect: 100-continue")
			k.Send("HTTP/1.1 204 No Content\r\n\r\n")
			require.NoError(t, (<-got).err)
			k.ExpectEOF()
			require.Equal(t, []string{"incomplete"}, s.ends())
		})
	})
}

func TestEarlyAnswerIsReturnedWhileTheBodyIsSent(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		pr, pw := io.Pipe()
		req := request("POST", "")
		req.Body = pr
		got := s.open(req)
		k := s.accept()
		k.ExpectHead("POST / HTTP/1.1")
		_, err := pw.Write([]byte("abc"))
		require.NoError(t, err)
		k.Expect("3\r\nabc\r\n")
		k.Send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\n")
		r := <-got
		require.NoError(t, r.err)
		require.Equal(t, 413, r.res.StatusCode)

		_, err = pw.Write([]byte("def")) // the upload goes on
		require.NoError(t, err)
		k.Expect("3\r\ndef\r\n")

		k.Send("hello")
		body, err := io.ReadAll(r.res.Body)
		require.NoError(t, err)
		require.Equal(t, "hello", string(body))
		_, err = pw.Write([]byte("ghi")) // and ends with the answer
		require.ErrorIs(t, err, io.ErrClosedPipe)
		k.ExpectEOF()
		require.Equal(t, []string{"incomplete"}, s.ends())
	})
}

func TestQuickAnswerToAnUploadKeepsTheConnection(t *testing.T) {
	// The answer comes as soon as the last octet did, before the goroutine that
	// sends can have seen that it is done.
	for _, length := range []int64{-1, 100_000} {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			var k *wiretest.Talk
			for range 20 {
				req := request("POST", "")
				req.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 100_000)))
				req.ContentLength = length
				got := s.send(req)
				if k == nil {
					k = s.accept()
				}
				k.ExpectHead("POST / HTTP/1.1")
				if length < 0 {
					for _, size := range []int{32 << 10, 32 << 10, 32 << 10, 100_000 - 96<<10} {
						k.Expect(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size)))
					}
					k.Expect("0\r\n\r\n")
				} else {
					k.Expect(strings.Repeat("x", 100_000))
				}
				k.Send(hello)
				s.requireHello(got)
			}
			require.Equal(t, 1, s.count())
		})
	}
}

func TestBodyThatFailsFailsTheRequest(t *testing.T) {
	broken := errors.New("disk on fire")
	tests := map[string]struct {
		body   io.Reader
		length int64
		code   string
		is     error
	}{
		"its reading fails":       {body: io.MultiReader(strings.NewReader("abc"), failing{broken}), length: -1, code: "bad_request", is: broken},
		"it is shorter than said": {body: strings.NewReader("abc"), length: 4, code: "body_length"},
		"it is longer than said":  {body: strings.NewReader("abc"), length: 2, code: "body_length"},
		"it goes on in another piece": {body: io.MultiReader(strings.NewReader("ab"), strings.NewReader("c")),
			length: 2, code: "body_length"},
	}
	for name, tt := range tests {
		for _, replay := range []bool{false, true} { // sent by a goroutine of its own, and not
			t.Run(fmt.Sprintf("%s/%v", name, replay), func(t *testing.T) {
				inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
					body := &watched{Reader: tt.body}
					req := request("POST", "")
					req.Body, req.ContentLength = body, tt.length
					if replay {
						req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("it is not asked for") }
					}
					r := <-s.send(req)
					nc, err := s.l.Accept()
					require.NoError(t, err)
					sent, _ := io.ReadAll(nc)
					_, rest, _ := strings.Cut(string(sent), "\r\n\r\n")
					require.NotEqual(t, "ab", rest, "the server must not take it for whole")
					require.Equal(t, tt.code, code(r.err))
					if tt.is != nil {
						require.ErrorIs(t, r.err, tt.is)
					}
					synctest.Wait()
					require.True(t, body.closed.Load())
					require.Equal(t, []string{"incomplete"}, s.ends())
				})
			})
			if seeker, ok := tt.body.(io.Seeker); ok {
				_, _ = seeker.Seek(0, io.SeekStart)
			} else {
				break
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestBodyThatEndsEarlyIsAnError(t *testing.T) {
	tests := map[string]string{
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"chunked":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"coded":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n" + gzipped("hello")[:20],
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				got := s.send(request("GET", ""))
				k := s.accept()
				k.ExpectHead("GET / HTTP/1.1")
				k.Send(answer)
				k.SendFIN()
				r := <-got
				require.NoError(t, r.err)
				require.ErrorIs(t, r.read, io.ErrUnexpectedEOF)
				require.Equal(t, []string{"peer_eof"}, s.ends())
			})
		})
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func TestGzipIsTakenOffOnlyWhenTheTransportAskedForIt(t *testing.T) {
	coded := gzipped("hello")
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: %d\r\n\r\n%s", len(coded), coded)
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.send(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1", "Accept-Encoding: gzip")
		k.Send(answer)
		r := <-got
		require.NoError(t, r.read)
		require.Equal(t, "hello", r.body)
		require.True(t, r.res.Uncompressed)
		require.EqualValues(t, -1, r.res.ContentLength)
		require.Empty(t, r.res.Header)

		req := request("GET", "")
		req.Header.Set("Accept-Encoding", "gzip")
		got = s.send(req)
		k.ExpectHead("GET / HTTP/1.1", "Accept-Encoding: gzip")
		k.Send(answer)
		r = <-got
		require.Equal(t, coded, r.body)
		require.False(t, r.res.Uncompressed)
		require.EqualValues(t, len(coded), r.res.ContentLength)

		got = s.send(request("GET", "")) // two members make one body
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", 2*len(coded), coded+coded))
		require.Equal(t, "hellohello", (<-got).body)
		s.exchange(k)
	})
}

func TestCloseDrainsWhatIsLeftOfTheBody(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.open(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000))
		r := <-got
		_, err := io.ReadFull(r.res.Body, make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, r.res.Body.Close())
		_, err = r.res.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		synctest.Wait()
		s.exchange(k)
	})
}

func TestCloseGivesUpADrainOverBudget(t *testing.T) {
	tests := map[string]struct {
		limits h1.Limits
		sent   int
	}{
		"too many octets": {limits: h1.Limits{DrainBytes: 1000}, sent: 50_000},
		"too slow":        {sent: 10},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{Limits: tt.limits}, func(t *testing.T, s *stage) {
				got := s.open(request("GET", ""))
				k := s.accept()
				k.ExpectHead("GET / HTTP/1.1")
				k.Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", tt.sent))
				body := (<-got).res.Body
				start := time.Now()
				require.NoError(t, body.Close())
				require.Zero(t, time.Since(start), "the caller does not wait")
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, []string{"undrained"}, s.ends())
			})
		})
	}
}

func TestCloseWakesAReadOfTheBody(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.open(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
		body := (<-got).res.Body
		read := make(chan error)
		go func() {
			_, err := body.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		require.NoError(t, body.Close())
		require.ErrorIs(t, <-read, http.ErrBodyReadAfterClose)
		k.Send("hello") // the rest comes soon enough
		synctest.Wait()
		s.exchange(k)
	})
}

func TestResponsesWithoutBody(t *testing.T) {
	tests := map[string]struct {
		method, answer string
		length         int64
	}{
		"HEAD":                {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5},
		"HEAD without length": {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", -1},
		"204":                 {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 0},
		"304":                 {"GET", "HTTP/1.1 304 Not Modified\r\n\r\n", 0},
		"none":                {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
		"after 103":           {"GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				got := s.send(request(tt.method, ""))
				k := s.accept()
				k.ExpectHead(tt.method + " / HTTP/1.1")
				k.Send(tt.answer)
				r := <-got
				require.NoError(t, r.err)
				require.Equal(t, tt.length, r.res.ContentLength)
				require.Empty(t, r.body)
				s.exchange(k)
			})
		})
	}
}

func TestTrailerFieldsComeWithTheBodysEnd(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.open(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		res := (<-got).res
		require.Equal(t, http.Header{"Sum": nil}, res.Trailer)
		k.Send("0\r\nSum: 6\r\n\r\n")
		_, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.Header{"Sum": {"6"}}, res.Trailer)
		s.exchange(k)
	})
}

func TestSwitchedProtocolGetsTheConnection(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		req := request("GET", "").WithContext(ctx)
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
		got := s.open(req)
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: echo")
		k.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
		r := <-got
		require.NoError(t, r.err)
		cancel() // the caller owns the connection now
		synctest.Wait()
		rw := r.res.Body.(io.ReadWriteCloser)
		buf := make([]byte, 5)
		_, err := io.ReadFull(rw, buf)
		require.NoError(t, err)
		require.Equal(t, "first", string(buf))
		_, err = rw.Write([]byte("second"))
		require.NoError(t, err)
		k.Expect("second")
		require.Equal(t, []string{"hijacked"}, s.ends())
		s.exchange(nil) // its place in the pool is free
		require.NoError(t, rw.Close())
		k.ExpectEOF()
	})
}

func TestCancellation(t *testing.T) {
	why := errors.New("the user left")
	type step struct {
		reason []string // why the connection ended
		play   func(s *stage, start func() <-chan reply, cancel func()) error
	}
	waitHead := func(s *stage, start func() <-chan reply, cancel func()) error {
		got := start()
		s.accept().ExpectHead("POST / HTTP/1.1")
		cancel()
		return (<-got).err
	}
	steps := map[string]step{
		"before it began": {play: func(s *stage, start func() <-chan reply, cancel func()) error {
			cancel()
			return (<-start()).err
		}},
		"while dialling": {play: func(s *stage, start func() <-chan reply, cancel func()) error {
			s.tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			got := start()
			synctest.Wait()
			cancel()
			s.tr.DialContext = s.l.DialContext
			return (<-got).err
		}},
		"while waiting in line": {play: func(s *stage, start func() <-chan reply, cancel func()) error {
			other := s.open(request("GET", ""))
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			got := start()
			synctest.Wait()
			cancel()
			err := (<-got).err
			k.Send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			require.NoError(s.t, (<-other).err)
			return err
		}, reason: []string{"peer_asked"}},
		"while waiting for the answer": {play: waitHead, reason: []string{"cancelled"}},
		"while the answer's body comes": {play: func(s *stage, start func() <-chan reply, cancel func()) error {
			got := start()
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1")
			k.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			synctest.Wait()
			cancel()
			r := <-got
			require.NoError(s.t, r.err)
			return r.read
		}, reason: []string{"cancelled"}},
	}
	for name, st := range steps {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
				ctx, cancel := context.WithCancelCause(t.Context())
				pr, pw := io.Pipe() // a body that never ends
				defer pw.Close()
				req := request("POST", "").WithContext(ctx)
				req.Body = pr
				err := st.play(s, func() <-chan reply { return s.send(req) }, func() { cancel(why) })
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, why)
				require.Equal(t, "cancelled", code(err))
				_, err = pw.Write([]byte("x"))
				require.ErrorIs(t, err, io.ErrClosedPipe, "the request's body was closed")
				require.Equal(t, st.reason, s.ends())
				s.exchange(nil) // the place of the lost connection is free
			})
		})
	}
}

func TestDeadlineOfTheContextIsATimeout(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.tr.RoundTrip(request("GET", "").WithContext(ctx))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
	})
}

func TestCancellationAfterTheExchangeTouchesNothing(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		got := s.send(request("GET", "").WithContext(ctx))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(hello)
		s.requireHello(got)
		cancel()
		synctest.Wait()
		s.exchange(k)
		require.Equal(t, 1, s.count())
	})
}

// chatty is a connection that lets its peer speak while it closes, as TLS does.
type chatty struct {
	net.Conn
	closing func()
}

func (c *chatty) Close() error {
	c.closing()
	return c.Conn.Close()
}

func TestAnswerToACancellationIsNone(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		var k *wiretest.Talk
		s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.l.DialContext(ctx, network, addr)
			return &chatty{nc, func() {
				k.Send(noContent)
				time.Sleep(time.Second)
			}}, err
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := s.send(request("GET", "").WithContext(ctx))
		k = s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		cancel()
		require.ErrorIs(t, (<-got).err, context.Canceled)
		time.Sleep(time.Second) // until Close returns
	})
}
