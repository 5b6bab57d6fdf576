package h1_test

// What a Transport tells net/http/httptrace, held against what net/http's tells
// for the same requests to the same servers.

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
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
			for i, line := range told[netHTTP] {
				told[netHTTP][i] = strings.Replace(line, "Go-http-client", "Go-h1-client", 1)
			}
			require.NotEmpty(t, told[netHTTP])
			require.Empty(t, cmp.Diff(told[netHTTP], told[ours]), "- net/http, + h1")
		})
	}
}
