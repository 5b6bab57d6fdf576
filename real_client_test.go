package h1_test

// This file shows the Transport to servers that other people wrote: nginx,
// Apache httpd, HAProxy, net/http and Node.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// h1Client is a client over a Transport whose connections are counted.
func h1Client(t *testing.T, transport *h1.Transport) (*http.Client, *ledger) {
	t.Helper()
	wiretest.NoLeaks(t, processWide...)
	book := newLedger()
	transport.OnConn = book.note
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		book.all(t)
	})
	return &http.Client{Transport: transport}, book
}

// end closes the idle connections and gives all there were.
func (l *ledger) end(t *testing.T, client *http.Client) []h1.ConnInfo {
	t.Helper()
	client.CloseIdleConnections()
	return l.all(t)
}

// nginx ends each connection with its third answer. Nobody may notice: 16
// goroutines send GET and POST as fast as they can, and each gets an answer.
func TestTransportLosesNothingWhenNginxClosesConnections(t *testing.T) {
	const workers, each, limit = 16, 30, 3
	addr, _ := startNginx(t, "origin.conf", "", nil)
	client, book := h1Client(t, &h1.Transport{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{} // "connection request", as nginx counts them
	for range workers {
		wg.Go(func() {
			for i := range each {
				answer, err := countedByNginx(client, "http://"+addr+"/count", i%2 == 1)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					continue
				}
				mu.Lock()
				seen[answer]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, workers*each, len(seen), "requests that nginx counted")
	conns := book.end(t, client)
	require.EqualValues(t, workers*each, totalOf(conns), "requests that the Transport counted")
	most := 0
	for _, c := range conns {
		require.LessOrEqual(t, c.Requests, int64(limit))
		if c.Requests == limit {
			require.Equal(t, h1.ClosePeerAsked, c.Reason)
			most++
		}
	}
	// At the end each worker leaves the connection it used, and the one that was
	// dialled for it when another's came first.
	require.GreaterOrEqual(t, most, len(conns)-2*workers, "connections that were used as long as nginx let them")
}

// countedByNginx asks once; nginx answers which connection it was, and the
// number of the request on it.
func countedByNginx(client *http.Client, url string, post bool) (string, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if post {
		method, body = http.MethodPost, bytes.NewReader(payload(3000))
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", err
	}
	res, answer, err := wholeAnswer(client, req)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, answer)
	}
	return string(answer), err
}

// nginx gives up idle connections without a word. A POST must not be sent on
// one of them, as it could not be sent again.
func TestTransportSendsNoPostOnAConnectionThatNginxClosed(t *testing.T) {
	addr, _ := startNginx(t, "origin.conf", "", nil)
	client, book := h1Client(t, &h1.Transport{})
	fetch(t, client, http.MethodGet, "http://"+addr+"/short", nil)

	// A connection that became idle later tells when nginx has closed ours.
	later, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer later.Close()
	require.NoError(t, later.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(later, "GET /short HTTP/1.1\r\nHost: "+addr+"\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadAll(later)
	require.NoError(t, err)

	res, body := fetch(t, client, http.MethodPost, "http://"+addr+"/short", strings.NewReader("once only"))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "soon over\n", string(body))
	conns := book.end(t, client)
	require.Equal(t, []int64{1, 1}, requestsOf(conns))
	require.Equal(t, h1.ClosePeerEOF, conns[0].Reason)
}

func TestTransportReadsWhatNginxSends(t *testing.T) {
	text := []byte(strings.Repeat("persistent connections\n", 20_000))
	addr, _ := startNginx(t, "origin.conf", "", map[string][]byte{"text": text})
	client, book := h1Client(t, &h1.Transport{})
	url := "http://" + addr + "/files/text"

	// The Transport asks for gzip itself, and takes it off.
	res, body := fetch(t, client, http.MethodGet, url, nil)
	require.True(t, res.Uncompressed)
	require.Equal(t, []string{"chunked"}, res.TransferEncoding)
	require.True(t, bytes.Equal(text, body), "the body differs")

	res, body = fetch(t, client, http.MethodHead, url, nil)
	require.EqualValues(t, len(text), res.ContentLength)
	require.Empty(t, body)

	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=11-21")
	res, body, err = wholeAnswer(client, req)
	require.NoError(t, err)
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	require.Equal(t, "connections", string(body))
	require.True(t, res.Close, "the third answer is the last on its connection")

	req.Header = http.Header{"If-None-Match": {res.Header.Get("ETag")}, "If-Modified-Since": {res.Header.Get("Last-Modified")}}
	res, body, err = wholeAnswer(client, req)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotModified, res.StatusCode)
	require.Empty(t, body)

	res, body = fetch(t, client, http.MethodGet, "http://"+addr+"/files/missing", nil)
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.NotEmpty(t, body)

	require.Equal(t, []int64{3, 2}, requestsOf(book.end(t, client)))
}

// Both ends of h1, and nginx between them.
func TestTransportThroughNginxToServer(t *testing.T) {
	const workers, each = 8, 20
	for _, prefix := range []string{"", "/unbuffered", "/http10"} {
		t.Run(strings.TrimPrefix(prefix, "/"), func(t *testing.T) {
			s, url, nginx := proxied(t, &h1.Server{})
			client, book := h1Client(t, &h1.Transport{MaxConnsPerHost: workers})
			crowd(t, client, url+prefix, workers, each)
			ours := book.end(t, client)
			require.LessOrEqual(t, len(spared(ours)), workers)
			require.EqualValues(t, workers*each, totalOf(ours))
			nginx.Stop()
			require.EqualValues(t, workers*each, totalOf(s.all(t)))
		})
	}
}

// netHTTPServer is net/http's server with realHandler, and the connections that
// it saw begin.
func netHTTPServer(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(realHandler())
	t.Cleanup(s.Close)
	return s
}

func TestTransportReusesConnectionsToNetHTTP(t *testing.T) {
	s := netHTTPServer(t)
	client, book := h1Client(t, &h1.Transport{})
	for _, step := range []struct {
		method, path string
		status       int
		length       int64
		size         int
	}{
		{"GET", "/small", 200, 13, 13}, {"GET", "/stream", 200, -1, bigSize}, {"HEAD", "/small", 200, 13, 0},
		{"GET", "/none", 204, 0, 0}, {"GET", "/same", 304, 0, 0}, {"GET", "/hints", 200, 15, 15},
		{"POST", "/echo", 200, 0, 0}, {"GET", "/big", 200, -1, bigSize},
	} {
		res, body := fetch(t, client, step.method, s.URL+step.path, nil)
		require.Equal(t, step.status, res.StatusCode, step.path)
		require.Equal(t, step.length, res.ContentLength, step.path)
		require.Equal(t, step.size, len(body), step.path)
	}
	conns := book.end(t, client)
	require.Equal(t, []int64{8}, requestsOf(conns))
	require.NoError(t, conns[0].Err)
}

// spared leaves out what had been idle for an age that is not known to be safe,
// and made room for another.
func spared(conns []h1.ConnInfo) []h1.ConnInfo {
	return slices.DeleteFunc(slices.Clone(conns), func(c h1.ConnInfo) bool { return c.Reason == h1.CloseLearned })
}

func TestTransportCrowdAtNetHTTP(t *testing.T) {
	const workers, each = 16, 25
	s := netHTTPServer(t)
	client, book := h1Client(t, &h1.Transport{MaxConnsPerHost: workers})
	crowd(t, client, s.URL, workers, each)
	conns := book.end(t, client)
	require.LessOrEqual(t, len(spared(conns)), workers)
	require.EqualValues(t, workers*each, totalOf(conns))
}

func TestTransportTrailersWithNetHTTP(t *testing.T) {
	s := netHTTPServer(t)
	client, book := h1Client(t, &h1.Transport{})
	body := payload(100_000)
	for range 2 {
		req, err := http.NewRequest(http.MethodPost, s.URL+"/digest", io.MultiReader(bytes.NewReader(body)))
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
	require.Equal(t, []int64{2}, requestsOf(book.end(t, client)))
}

func TestTransportExpectsContinueOfNetHTTP(t *testing.T) {
	s := netHTTPServer(t)
	client, _ := h1Client(t, &h1.Transport{ExpectContinueTimeout: patience})
	ask := func(path string) (*http.Response, []byte, *countingReader) {
		t.Helper()
		body := &countingReader{Reader: bytes.NewReader(payload(bigSize))}
		req, err := http.NewRequest(http.MethodPost, s.URL+path, body)
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
	require.EqualValues(t, bigSize, body.n.Load())

	res, _, body = ask("/refuse")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Zero(t, body.n.Load(), "octets of the body that were sent")
}

// net/http's server answers before the body is through, and then closes.
func TestTransportReadsAnEarlyRefusal(t *testing.T) {
	s := netHTTPServer(t)
	client, _ := h1Client(t, &h1.Transport{})
	for range 5 {
		res, body := fetch(t, client, http.MethodPost, s.URL+"/refuse", bytes.NewReader(payload(floodSize)))
		require.Equal(t, http.StatusForbidden, res.StatusCode)
		require.Equal(t, "not here\n", string(body))
	}
}

func TestTransportSwitchesProtocolsWithNetHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(serveShout))
	t.Cleanup(s.Close)
	client, book := h1Client(t, &h1.Transport{})
	shout(t, client.Transport, s.URL)
	require.Equal(t, []h1.CloseReason{h1.CloseHijacked}, reasonsOf(book.end(t, client)))
}

// nodeServer says which request it was, echoes what is posted elsewhere, and
// ends each connection with its fifth answer or after two seconds.
const nodeServer = `
const http = require("http");
const server = http.createServer((req, res) => {
	const [path, query] = req.url.split("?");
	if (path === "/small") return res.end("hello, world\n");
	if (path === "/stream") {
		const whole = Buffer.alloc(300000);
		for (let i = 0; i < whole.length; i++) whole[i] = (i >> 8) ^ (i * 7);
		for (let i = 0; i < whole.length; i += 9999) res.write(whole.subarray(i, i + 9999));
		return res.end();
	}
	const body = [];
	req.on("data", d => body.push(d));
	req.on("end", () => {
		if (path === "/named") res.setHeader("X-Named", req.method + " " + query);
		res.end(path === "/named" ? "hello" : Buffer.concat(body));
	});
});
server.keepAliveTimeout = 2000;
server.maxRequestsPerSocket = 5;
const [host, port] = process.argv[1].split(":");
server.listen(Number(port), host);
process.on("SIGTERM", () => process.exit(0));
`

func startNode(t *testing.T) string {
	t.Helper()
	node := wiretest.Program(t, "node")
	addr, _ := wiretest.StartOnPort(t, func(addr string) *exec.Cmd { return exec.Command(node, "-e", nodeServer, addr) })
	return addr
}

func TestTransportReusesConnectionsToNode(t *testing.T) {
	const workers, each = 4, 20
	addr := startNode(t)
	client, book := h1Client(t, &h1.Transport{MaxConnsPerHost: workers})
	crowd(t, client, "http://"+addr, workers, each)
	conns := book.end(t, client)
	require.Less(t, len(conns), workers*each/3)
	require.EqualValues(t, workers*each, totalOf(conns))
}
