package h1_test

// This file shows the Server to programs that other people wrote: curl, ab,
// wrk, nginx as a reverse proxy, Node, and net/http's client. The programs say
// themselves how many connections they needed.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// curl fetches the URLs in one run, one after the other. For each it returns
// curl's own count of the connections it had to open, 0 or 1, with the status,
// and the body.
func curl(t *testing.T, flags []string, urls ...string) (lines []string, bodies [][]byte) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-q", "-sS", "--noproxy", "*", "--max-time", "20", "-w", "%{num_connects} %{http_code}\n"}
	args = append(args, flags...)
	for i, url := range urls {
		args = append(args, "-o", filepath.Join(dir, strconv.Itoa(i)), url)
	}
	lines = strings.Split(strings.TrimSpace(wiretest.Run(t, "curl", args...)), "\n")
	for i := range urls {
		body, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if !os.IsNotExist(err) { // curl makes no file of an answer without a body
			require.NoError(t, err)
		}
		bodies = append(bodies, body)
	}
	return lines, bodies
}

func TestCurlKeepsConnections(t *testing.T) {
	upload := writeFile(t, payload(bigSize))
	refused := writeFile(t, payload(floodSize))
	small, big := []byte("hello, world\n"), payload(bigSize)
	tests := []struct {
		name   string
		flags  []string
		paths  []string
		lines  []string         // connections opened and status, for each path
		bodies [][]byte         // nil: not looked at
		why    []h1.CloseReason // for each connection
	}{{
		name:   "HTTP/1.1 persists",
		paths:  []string{"/small", "/big", "/stream", "/small"},
		lines:  []string{"1 200", "0 200", "0 200", "0 200"},
		bodies: [][]byte{small, big, big, small},
		why:    []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:  "HTTP/1.1 with close",
		flags: []string{"-H", "Connection: close"},
		paths: []string{"/small", "/small"},
		lines: []string{"1 200", "1 200"},
		why:   []h1.CloseReason{h1.ClosePeerAsked, h1.ClosePeerAsked},
	}, {
		name:   "HTTP/1.0 closes",
		flags:  []string{"--http1.0"},
		paths:  []string{"/small", "/big", "/stream"},
		lines:  []string{"1 200", "1 200", "1 200"},
		bodies: [][]byte{small, big, big},
		why:    []h1.CloseReason{h1.CloseHTTP10, h1.CloseHTTP10, h1.CloseHTTP10},
	}, {
		name:   "HTTP/1.0 with keep-alive persists",
		flags:  []string{"--http1.0", "-H", "Connection: keep-alive"},
		paths:  []string{"/small", "/small", "/small"},
		lines:  []string{"1 200", "0 200", "0 200"},
		bodies: [][]byte{small, small, small},
		why:    []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:   "HTTP/1.0 with keep-alive and a body without length",
		flags:  []string{"--http1.0", "-H", "Connection: keep-alive"},
		paths:  []string{"/stream", "/small"},
		lines:  []string{"1 200", "1 200"},
		bodies: [][]byte{big, small},
		why:    []h1.CloseReason{h1.CloseUntilClose, h1.ClosePeerEOF},
	}, {
		name:  "HEAD",
		flags: []string{"--head"},
		paths: []string{"/small", "/big", "/stream", "/small"},
		lines: []string{"1 200", "0 200", "0 200", "0 200"},
		why:   []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:  "answers without a body",
		paths: []string{"/none", "/same", "/none"},
		lines: []string{"1 204", "0 304", "0 204"},
		why:   []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:   "bodies with a length",
		flags:  []string{"-H", "Expect:", "--data-binary", "@" + upload},
		paths:  []string{"/echo", "/echo"},
		lines:  []string{"1 200", "0 200"},
		bodies: [][]byte{big, big},
		why:    []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:   "bodies in chunks",
		flags:  []string{"-H", "Expect:", "-H", "Transfer-Encoding: chunked", "--data-binary", "@" + upload},
		paths:  []string{"/echo", "/echo"},
		lines:  []string{"1 200", "0 200"},
		bodies: [][]byte{big, big},
		why:    []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		// curl would wait for 100 (Continue) longer than it may run.
		name:   "bodies that wait for 100",
		flags:  []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary", "@" + upload},
		paths:  []string{"/echo", "/echo"},
		lines:  []string{"1 200", "0 200"},
		bodies: [][]byte{big, big},
		why:    []h1.CloseReason{h1.ClosePeerEOF},
	}, {
		name:  "a refused body that waits for 100 is never sent",
		flags: []string{"-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary", "@" + upload},
		paths: []string{"/refuse", "/small"},
		lines: []string{"1 403", "1 200"},
		why:   []h1.CloseReason{h1.CloseUndrained, h1.CloseUndrained},
	}, {
		// The client reads the refusal although it still sends: the close in stages.
		name:  "a refused body that comes all the same",
		flags: []string{"-H", "Expect:", "--data-binary", "@" + refused},
		paths: []string{"/refuse", "/refuse"},
		lines: []string{"1 403", "1 403"},
		why:   []h1.CloseReason{h1.CloseUndrained, h1.CloseUndrained},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faces(t, func(t *testing.T, srv *h1.Server) {
				s := serveReal(t, srv)
				var urls []string
				for _, path := range tt.paths {
					urls = append(urls, s.url+path)
				}
				lines, bodies := curl(t, tt.flags, urls...)
				require.Equal(t, tt.lines, lines)
				for i, want := range tt.bodies {
					require.True(t, bytes.Equal(want, bodies[i]), "the body of %s differs", tt.paths[i])
				}
				conns := s.all(t)
				require.Equal(t, tt.why, reasonsOf(conns))
				require.EqualValues(t, len(tt.paths), totalOf(conns))
			})
		})
	}
}

func TestCurlFollowsTheLimitOfRequests(t *testing.T) {
	s := serveReal(t, &h1.Server{KeepAlive: h1.KeepAlive{MaxRequests: 2}})
	u := s.url + "/small"
	lines, _ := curl(t, nil, u, u, u, u, u)
	require.Equal(t, []string{"1 200", "0 200", "1 200", "0 200", "1 200"}, lines)
	require.Equal(t, []int64{2, 2, 1}, requestsOf(s.all(t)))
}

func TestCurlPassesOverInformationalAnswers(t *testing.T) {
	s := serveReal(t, &h1.Server{})
	lines, bodies := curl(t, nil, s.url+"/hints", s.url+"/small")
	require.Equal(t, []string{"1 200", "0 200"}, lines)
	require.Equal(t, "after the hint\n", string(bodies[0]))
}

func TestCurlDecodesTheTransferCoding(t *testing.T) {
	s := serveReal(t, &h1.Server{TransferCodings: []string{"gzip"}})
	head := filepath.Join(t.TempDir(), "head")
	lines, bodies := curl(t, []string{"--tr-encoding", "-D", head}, s.url+"/stream", s.url+"/stream")
	require.Equal(t, []string{"1 200", "0 200"}, lines)
	for _, body := range bodies {
		require.True(t, bytes.Equal(payload(bigSize), body), "the body differs")
	}
	text, err := os.ReadFile(head)
	require.NoError(t, err)
	require.Contains(t, string(text), "Transfer-Encoding: gzip, chunked\r\n")
	require.Less(t, s.all(t)[0].BytesOut, int64(2*bigSize), "octets sent for two bodies")
}

func TestCurlOverTLS(t *testing.T) {
	cert := httptest.NewTLSServer(nil)
	cert.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &h1.Server{TLSConfig: cert.TLS}
	s := serveRealOn(t, srv, l, func(l net.Listener) error { return srv.ServeTLS(l, "", "") })
	u := "https://" + s.addr
	upload := payload(100_000)
	lines, bodies := curl(t, []string{"--insecure", "--data-binary", "@" + writeFile(t, upload)}, u+"/echo", u+"/stream", u+"/small")
	require.Equal(t, []string{"1 200", "0 200", "0 200"}, lines)
	require.True(t, bytes.Equal(upload, bodies[0]), "the echo differs")
	require.True(t, bytes.Equal(payload(bigSize), bodies[1]), "the body differs")
	conns := s.all(t)
	require.Equal(t, []int64{3}, requestsOf(conns))
	require.True(t, conns[0].TLS)
}

func TestCurlOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	srv := &h1.Server{}
	s := serveRealOn(t, srv, l, srv.Serve)
	lines, _ := curl(t, []string{"--unix-socket", path}, "http://any.example/small", "http://any.example/big")
	require.Equal(t, []string{"1 200", "0 200"}, lines)
	require.Equal(t, []int64{2}, requestsOf(s.all(t)))
}

// abCount reads one of the numbers in ab's report.
func abCount(t *testing.T, report, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindStringSubmatch(report)
	require.NotNil(t, m, "ab reports no %q:\n%s", name, report)
	n, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return n
}

// ab speaks HTTP/1.0, so it shows the keep-alive that has to be asked for and
// echoed.
func TestAB(t *testing.T) {
	const n, at = 400, 8
	body := writeFile(t, payload(5000))
	tests := []struct {
		name  string
		flags []string
		path  string
		kept  int
		least int // connections
		most  int
		why   h1.CloseReason
	}{
		{"keep-alive", []string{"-k"}, "/small", n, 1, at, h1.ClosePeerEOF},
		{"keep-alive with bodies", []string{"-k", "-p", body, "-T", "text/plain"}, "/echo", n, 1, at, h1.ClosePeerEOF},
		{"without keep-alive", nil, "/small", 0, n, n + at, h1.CloseHTTP10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faces(t, func(t *testing.T, srv *h1.Server) {
				s := serveReal(t, srv)
				args := append([]string{"-q", "-s", "30", "-n", strconv.Itoa(n), "-c", strconv.Itoa(at)}, tt.flags...)
				report := wiretest.Run(t, "ab", append(args, s.url+tt.path)...)
				require.Equal(t, n, abCount(t, report, "Complete requests"))
				require.Equal(t, 0, abCount(t, report, "Failed requests"))
				require.NotContains(t, report, "Non-2xx responses")
				if tt.kept > 0 {
					require.Equal(t, tt.kept, abCount(t, report, "Keep-Alive requests"))
				}
				// Without keep-alive ab opens a few connections more, and leaves when it
				// has what it wants.
				var conns []h1.ConnInfo
				for _, c := range s.all(t) {
					if c.Requests > 0 {
						require.Equal(t, tt.why, c.Reason)
						conns = append(conns, c)
					}
				}
				require.GreaterOrEqual(t, len(conns), tt.least, "connections")
				require.LessOrEqual(t, len(conns), tt.most, "connections")
				require.GreaterOrEqual(t, totalOf(conns), int64(n), "requests")
			})
		})
	}
}

// wrkRequests reads how many answers wrk counted, and fails the test when wrk
// saw any other trouble.
func wrkRequests(t *testing.T, report string) int64 {
	t.Helper()
	require.NotContains(t, report, "Socket errors")
	require.NotContains(t, report, "Non-2xx")
	m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(report)
	require.NotNil(t, m, report)
	n, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return n
}

func TestWrk(t *testing.T) {
	const at = 8
	pipeline := writeFile(t, []byte(`
init = function(args)
	local one = wrk.format()
	batch = string.rep(one, 16)
end
request = function() return batch end
`))
	run := func(t *testing.T, srv *h1.Server, flags ...string) {
		s := serveReal(t, srv)
		// wrk counts an answer that took longer than its timeout as trouble.
		args := append([]string{"-t", "1", "-c", strconv.Itoa(at), "-d", "1", "--timeout", "30s"}, flags...)
		var n int64
		runs := 0
		for ; n <= at && runs < 10; runs++ { // where all stands still for a second, too few are asked
			n = wrkRequests(t, wiretest.Run(t, "wrk", append(args, s.url+"/small")...))
		}
		require.Greater(t, n, int64(at))
		conns := s.all(t)
		require.LessOrEqual(t, len(conns), runs*(at+1), "wrk makes one more, to see whether the server is there")
		require.GreaterOrEqual(t, totalOf(conns), n)
		for _, c := range conns {
			// wrk leaves in the middle of it all: its FIN or its reset ends each.
			require.Contains(t, []h1.CloseReason{h1.ClosePeerEOF, h1.CloseReadFailed, h1.CloseWriteFailed}, c.Reason)
		}
	}
	t.Run("one request at a time", func(t *testing.T) {
		run(t, &h1.Server{})
	})
	t.Run("16 requests at a time", func(t *testing.T) {
		run(t, &h1.Server{Native: h1.NativeHandlerFunc(nativeHandler)}, "-s", pipeline)
	})
}

// proxied starts a Server and nginx before it.
func proxied(t *testing.T, srv *h1.Server) (s *realServer, url string, nginx *wiretest.Process) {
	t.Helper()
	s = serveReal(t, srv)
	addr, nginx := startNginx(t, "proxy.conf", s.addr, nil)
	t.Cleanup(func() {
		// nginx logs each upstream connection that it did not find as it should be.
		require.NotContains(t, nginx.Output(), "upstream", "nginx's log")
	})
	return s, "http://" + addr, nginx
}

func TestNginxReusesUpstreamConnections(t *testing.T) {
	const workers, each = 8, 20
	tests := []struct {
		name, prefix string
		conns        func(t *testing.T, conns []h1.ConnInfo)
	}{{
		"HTTP/1.1", "", func(t *testing.T, conns []h1.ConnInfo) {
			require.LessOrEqual(t, len(conns), workers, "connections of nginx")
		},
	}, {
		"HTTP/1.1, bodies in chunks as they come", "/unbuffered", func(t *testing.T, conns []h1.ConnInfo) {
			require.LessOrEqual(t, len(conns), workers, "connections of nginx")
		},
	}, {
		"HTTP/1.0 closes", "/http10", func(t *testing.T, conns []h1.ConnInfo) {
			require.Equal(t, workers*each, len(conns), "connections of nginx")
		},
	}, {
		// Answers whose length is not known end with the connection.
		"HTTP/1.0 with keep-alive", "/http10kept", func(t *testing.T, conns []h1.ConnInfo) {
			untilClose := 0
			for _, c := range conns {
				if c.Reason == h1.CloseUntilClose {
					untilClose++
				}
			}
			require.Equal(t, workers*each/4, untilClose)
			require.LessOrEqual(t, len(conns), workers+untilClose)
		},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, url, nginx := proxied(t, &h1.Server{})
			client, _ := netClient(t)
			crowd(t, client, url+tt.prefix, workers, each)
			nginx.Stop() // closes its upstream connections
			conns := s.all(t)
			require.EqualValues(t, workers*each, totalOf(conns))
			tt.conns(t, conns)
		})
	}
}

// A server that ends each connection after a few requests must not cost the
// proxy's clients a single answer.
func TestNginxLosesNothingWhenConnectionsEnd(t *testing.T) {
	const workers, each, limit = 8, 40, 3
	s, url, nginx := proxied(t, &h1.Server{KeepAlive: h1.KeepAlive{MaxRequests: limit}})
	client, _ := netClient(t)
	crowd(t, client, url, workers, each)
	nginx.Stop()
	conns := s.all(t)
	require.EqualValues(t, workers*each, totalOf(conns))
	require.GreaterOrEqual(t, len(conns), workers*each/limit)
	full := 0
	for _, c := range conns {
		require.LessOrEqual(t, c.Requests, int64(limit))
		if c.Requests == limit {
			full++
			require.Equal(t, h1.CloseMaxRequests, c.Reason)
		}
	}
	require.GreaterOrEqual(t, full, len(conns)-workers-1)
}

// An early refusal reaches the client through the proxy, which is still
// sending then: the answer must not be overtaken by a reset.
func TestNginxPassesAnEarlyRefusalOn(t *testing.T) {
	s, url, _ := proxied(t, &h1.Server{})
	client, _ := netClient(t)
	for range 5 {
		res, body := fetch(t, client, http.MethodPost, url+"/refuse", bytes.NewReader(payload(floodSize)))
		require.Equal(t, http.StatusForbidden, res.StatusCode)
		require.Equal(t, "not here\n", string(body))
	}
	for _, c := range s.all(t) {
		require.Equal(t, h1.CloseUndrained, c.Reason)
	}
}

// netHTTPPatience is how late a goroutine of net/http's client may be. It gives a
// connection up whose answer is over when the one that writes has not said for 50 ms
// that the request has left.
const netHTTPPatience = 10 * time.Millisecond

func TestNetHTTPClientReusesTheConnection(t *testing.T) {
	faces(t, func(t *testing.T, srv *h1.Server) {
		s := serveReal(t, srv)
		before := 0
		wiretest.Steadily(t, netHTTPPatience, func() error {
			reused := netHTTPInTurn(t, s.url)
			conns := s.all(t)[before:]
			before += len(conns)
			require.EqualValues(t, 7, totalOf(conns))
			for _, why := range reasonsOf(conns) {
				require.Equal(t, h1.ClosePeerEOF, why)
			}
			if len(conns) > 1 {
				return fmt.Errorf("connections were used again: %v", reused)
			}
			require.Equal(t, []bool{false, true, true, true, true, true, true}, reused)
			return nil
		})
	})
}

// netHTTPInTurn asks for one thing after the other, and tells whether each request
// had the connection of the one before.
func netHTTPInTurn(t *testing.T, url string) (reused []bool) {
	client, transport := netClient(t)
	defer transport.CloseIdleConnections()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = append(reused, info.Reused) },
	})
	for _, step := range []struct {
		method, path string
		status       int
		length       int64
	}{
		{"GET", "/small", 200, 13}, {"GET", "/stream", 200, -1}, {"HEAD", "/small", 200, 13},
		{"GET", "/none", 204, 0}, {"GET", "/same", 304, 0}, {"POST", "/echo", 200, 0}, {"GET", "/big", 200, -1},
	} {
		req, err := http.NewRequestWithContext(ctx, step.method, url+step.path, nil)
		require.NoError(t, err)
		res, body, err := wholeAnswer(client, req)
		require.NoError(t, err, step.path)
		require.Equal(t, step.status, res.StatusCode, step.path)
		if step.path != "/big" && step.method != "HEAD" { // its length is for the handler to say
			require.Equal(t, step.length, res.ContentLength, step.path)
		}
		if step.length > 0 && step.method == "GET" {
			require.Len(t, body, int(step.length), step.path)
		}
	}
	return reused
}

func TestNetHTTPClientCrowd(t *testing.T) {
	const workers, each = 16, 25
	faces(t, func(t *testing.T, srv *h1.Server) {
		s := serveReal(t, srv)
		before := 0
		wiretest.Steadily(t, netHTTPPatience, func() error {
			client, transport := netClient(t)
			transport.MaxConnsPerHost = workers
			crowd(t, client, s.url, workers, each)
			transport.CloseIdleConnections()
			conns := s.all(t)[before:]
			before += len(conns)
			require.EqualValues(t, workers*each, totalOf(conns))
			for _, why := range reasonsOf(conns) {
				require.Equal(t, h1.ClosePeerEOF, why)
			}
			if len(conns) > workers {
				return fmt.Errorf("%d connections for %d workers", len(conns), workers)
			}
			return nil
		})
	})
}

func TestNetHTTPClientTrailers(t *testing.T) {
	s := serveReal(t, &h1.Server{})
	client, _ := netClient(t)
	body := payload(100_000)
	req, err := http.NewRequest(http.MethodPost, s.url+"/digest", io.MultiReader(bytes.NewReader(body)))
	require.NoError(t, err)
	req.Trailer = http.Header{"Mark": {"from the client"}}
	res, _, err := wholeAnswer(client, req)
	require.NoError(t, err)
	sum := sha256.Sum256(body)
	require.Equal(t, http.Header{
		"Digest": {hex.EncodeToString(sum[:])},
		"Echoed": {"from the client"},
	}, res.Trailer)
}

func TestNetHTTPClientExpectsContinue(t *testing.T) {
	s := serveReal(t, &h1.Server{})
	client, _ := netClient(t)
	var continued atomic.Int32
	ask := func(path string) (*http.Response, []byte, *countingReader) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got100Continue: func() { continued.Add(1) },
		})
		body := &countingReader{Reader: bytes.NewReader(payload(bigSize))}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, body)
		require.NoError(t, err)
		req.ContentLength = bigSize
		req.Header.Set("Expect", "100-continue")
		res, got, err := wholeAnswer(client, req)
		require.NoError(t, err)
		return res, got, body
	}
	res, got, body := ask("/echo")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.True(t, bytes.Equal(payload(bigSize), got), "the echo differs")
	require.EqualValues(t, 1, continued.Load(), "100 (Continue) was sent")
	require.EqualValues(t, bigSize, body.n.Load())

	res, _, body = ask("/refuse")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.True(t, res.Close, "the answer says close: the body was never asked for")
	require.EqualValues(t, 1, continued.Load(), "100 (Continue) was not sent again")
	require.Zero(t, body.n.Load(), "octets of the body that the client sent")
}

// countingReader counts what was read from it.
type countingReader struct {
	io.Reader
	n atomic.Int64
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

func TestNetHTTPClientSeesEarlyHints(t *testing.T) {
	s := serveReal(t, &h1.Server{})
	client, _ := netClient(t)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", header.Get("Link")))
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/hints", nil)
	require.NoError(t, err)
	_, body, err := wholeAnswer(client, req)
	require.NoError(t, err)
	require.Equal(t, []string{"103 </style.css>; rel=preload"}, hints)
	require.Equal(t, "after the hint\n", string(body))
}

func TestNetHTTPClientReadsAnEarlyRefusal(t *testing.T) {
	faces(t, func(t *testing.T, srv *h1.Server) {
		s := serveReal(t, srv)
		client, _ := netClient(t)
		for range 5 {
			res, body := fetch(t, client, http.MethodPost, s.url+"/refuse", bytes.NewReader(payload(floodSize)))
			require.Equal(t, http.StatusForbidden, res.StatusCode)
			require.Equal(t, "not here\n", string(body))
		}
	})
}

func TestNetHTTPClientSwitchesProtocols(t *testing.T) {
	s := serveReal(t, &h1.Server{Handler: http.HandlerFunc(serveShout)})
	_, transport := netClient(t)
	shout(t, transport, s.url)
	require.Equal(t, []h1.CloseReason{h1.CloseHijacked}, reasonsOf(s.all(t)))
}

// nodeClient asks 40 times over at most two connections at a time, and prints
// how many it opened in all.
const nodeClient = `
const http = require("http");
const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
const base = process.argv[1];
const body = Buffer.alloc(70000, "node");
function ask(i) {
	return new Promise((resolve, reject) => {
		let port;
		const post = i % 2 === 1;
		const req = http.request(base + (post ? "/echo" : "/stream"), { agent, method: post ? "POST" : "GET" }, res => {
			port = res.socket.localPort;
			let got = 0;
			res.on("data", d => { got += d.length; });
			res.on("error", reject);
			res.on("end", () => {
				const want = post ? body.length : 300000;
				if (res.statusCode !== 200 || got !== want) reject(new Error(res.statusCode + " " + got));
				else resolve(port);
			});
		});
		req.on("error", reject);
		if (post) { req.write(body.subarray(0, 1000)); req.write(body.subarray(1000)); } // in chunks
		req.end();
	});
}
Promise.all([...Array(40).keys()].map(ask)).then(ports => {
	console.log("connections", new Set(ports).size);
	agent.destroy();
}, err => { console.log("failed", err); process.exit(1); });
`

// CI does not install Node, so its lack is no failure even there.
func TestNodeReusesConnections(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("SKIPPED: the program node is not installed")
	}
	s := serveReal(t, &h1.Server{KeepAlive: h1.KeepAlive{Advertise: true}})
	require.Equal(t, "connections 2\n", wiretest.Run(t, "node", "-e", nodeClient, s.url))
	conns := s.all(t)
	require.Equal(t, 2, len(conns))
	require.EqualValues(t, 40, totalOf(conns))
}
