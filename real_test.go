package h1_test

// This file holds what the tests with real programs share: a Server whose
// connections are counted, a handler for them to ask, and nginx.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait of these tests. It is long: reaching it is a
// failure.
const patience = 20 * time.Second

// processWide are the goroutines that all servers of a process share and that
// stay: the poller's and those that serve what it wakes.
var processWide = []string{"h1/internal/poll.", "h1.(*dispatcher).work"}

// ledger notes the connections of a Server or a Transport.
type ledger struct {
	mu      sync.Mutex
	opened  int
	ended   []h1.ConnInfo
	changed chan struct{} // has a token after each end
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{}, 1)} }

// note is an OnConn hook.
func (l *ledger) note(e h1.ConnEvent, info h1.ConnInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e {
	case h1.EventOpened:
		l.opened++
	case h1.EventClosed, h1.EventHijacked:
		l.ended = append(l.ended, info)
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// all waits until every connection has ended, and returns them in the order in
// which they were opened.
func (l *ledger) all(t *testing.T) []h1.ConnInfo {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		opened, ended := l.opened, l.ended
		l.mu.Unlock()
		if len(ended) == opened {
			return slices.SortedFunc(slices.Values(ended), func(a, b h1.ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
		}
		select {
		case <-l.changed:
		case <-timeout:
			require.Failf(t, "connections are still open", "%d were opened, %d have ended", opened, len(ended))
		}
	}
}

// requestsOf is how many requests each connection carried.
func requestsOf(conns []h1.ConnInfo) []int64 {
	var n []int64
	for _, c := range conns {
		n = append(n, c.Requests)
	}
	return n
}

// totalOf is how many requests all of them carried.
func totalOf(conns []h1.ConnInfo) (n int64) {
	for _, c := range conns {
		n += c.Requests
	}
	return n
}

// reasonsOf is why each connection ended.
func reasonsOf(conns []h1.ConnInfo) []h1.CloseReason {
	var r []h1.CloseReason
	for _, c := range conns {
		r = append(r, c.Reason)
	}
	return r
}

// realServer is a Server on the loopback interface.
type realServer struct {
	*h1.Server
	*ledger
	addr string
	url  string
	log  *logBuffer
	done chan error
}

// logBuffer takes a server's log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is the log so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serveReal serves srv on a free port until the test is over. A server without
// any handler gets realHandler. Whatever a real program did, in the end the
// server has to shut down in time, with nothing logged and no goroutine left.
func serveReal(t *testing.T, srv *h1.Server) *realServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveRealOn(t, srv, l, srv.Serve)
}

func serveRealOn(t *testing.T, srv *h1.Server, l net.Listener, serve func(net.Listener) error) *realServer {
	t.Helper()
	wiretest.NoLeaks(t, processWide...)
	s := &realServer{Server: srv, ledger: newLedger(), log: &logBuffer{}, done: make(chan error, 1)}
	s.addr = l.Addr().String()
	s.url = "http://" + s.addr
	srv.OnConn = s.note
	srv.ErrorLog = log.New(s.log, "", 0)
	if srv.Handler == nil && srv.Native == nil {
		srv.Handler = realHandler()
	}
	go func() { s.done <- serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
		require.ErrorIs(t, <-s.done, http.ErrServerClosed)
		require.Empty(t, s.log.String(), "the server's log")
	})
	return s
}

// floodSize is more than a server drains, and more than sockets hold.
const floodSize = 6 << 20

// flood is what all payloads begin with; nobody may change it.
var flood = sync.OnceValue(func() []byte {
	p := make([]byte, floodSize)
	for i := range p {
		p[i] = byte(i>>8) ^ byte(i*7)
	}
	return p
})

// payload is n octets, floodSize at the most, that differ from place to place.
func payload(n int) []byte { return flood()[:n:n] }

// bigSize is more than any buffer on the way holds.
const bigSize = 300_000

// realHandler answers what real programs ask for.
func realHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello, world\n") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(payload(bigSize)) })
	mux.HandleFunc("/stream", serveStream)
	mux.HandleFunc("/echo", serveEcho)
	mux.HandleFunc("/digest", serveDigest)
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "after the hint\n")
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not here", http.StatusForbidden) // the body is left unread
	})
	mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	return mux
}

// serveStream sends the big payload in pieces, each at once. What a server leaves of
// a request's body it drops within a time, or closes.
func serveStream(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	for rest := payload(bigSize); len(rest) > 0; {
		n := min(len(rest), 9999)
		w.Write(rest[:n])
		w.(http.Flusher).Flush()
		rest = rest[n:]
	}
}

// serveEcho sends the request's body back.
func serveEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// serveDigest answers with trailers: the body's digest, and what trailer came in.
func serveDigest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Digest")
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil || n == 0 {
		http.Error(w, "no body", http.StatusBadRequest)
		return
	}
	io.WriteString(w, "see the trailer\n")
	w.Header().Set("Digest", hex.EncodeToString(h.Sum(nil)))
	w.Header().Set(http.TrailerPrefix+"Echoed", r.Trailer.Get("Mark"))
}

// serveShout switches to a protocol in which one line is answered in capitals.
func serveShout(w http.ResponseWriter, r *http.Request) {
	nc, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer nc.Close()
	io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	line, _ := rw.ReadString('\n')
	io.WriteString(nc, strings.ToUpper(line))
}

// shout asks serveShout.
func shout(t *testing.T, transport http.RoundTripper, url string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	_, err = io.WriteString(res.Body.(io.Writer), "no longer http\n")
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "NO LONGER HTTP\n", string(got))
}

// nativeHandler answers a part of what realHandler does, without net/http.
func nativeHandler(x *h1.Exchange) {
	switch path := string(x.Path()); path {
	case "/small":
		x.WriteString("hello, world\n")
	case "/big", "/stream":
		if path == "/big" {
			x.SetContentLength(bigSize)
		}
		x.Write(payload(bigSize))
	case "/echo":
		body, err := io.ReadAll(x)
		if err != nil {
			x.Reply(http.StatusBadRequest, "text/plain", []byte(err.Error()))
			return
		}
		x.Reply(http.StatusOK, "application/octet-stream", body)
	case "/refuse":
		x.Reply(http.StatusForbidden, "text/plain", []byte("not here\n"))
	case "/none":
		x.SetStatus(http.StatusNoContent)
	case "/same":
		x.SetStatus(http.StatusNotModified)
	default:
		x.SetStatus(http.StatusNotFound)
	}
}

// faces runs a test against a server with each kind of handler.
func faces(t *testing.T, test func(t *testing.T, srv *h1.Server)) {
	t.Run("http.Handler", func(t *testing.T) { test(t, &h1.Server{Handler: realHandler()}) })
	t.Run("NativeHandler", func(t *testing.T) { test(t, &h1.Server{Native: h1.NativeHandlerFunc(nativeHandler)}) })
}

// writeFile makes a file in a directory of the test's own.
func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, content, 0o644))
	return path
}

// startNginx starts nginx with a configuration from testdata/nginx; upstream
// is the address it forwards to. It has a directory of its own, with files
// under files/.
func startNginx(t *testing.T, config, upstream string, files map[string][]byte) (addr string, p *wiretest.Process) {
	t.Helper()
	nginx := wiretest.Program(t, "nginx")
	text, err := os.ReadFile(filepath.Join("testdata", "nginx", config))
	require.NoError(t, err)
	tmpl, err := template.New(config).Parse(string(text))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "files"), 0o755))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "files", name), content, 0o644))
	}
	path := filepath.Join(dir, "nginx.conf")
	return wiretest.StartOnPort(t, func(listen string) *exec.Cmd {
		var conf bytes.Buffer
		require.NoError(t, tmpl.Execute(&conf, map[string]string{"Dir": dir, "Listen": listen, "Upstream": upstream}))
		require.NoError(t, os.WriteFile(path, conf.Bytes(), 0o644))
		return exec.Command(nginx, "-p", dir, "-c", path, "-e", "stderr")
	})
}

// fetch sends a request and returns the answer with its body.
func fetch(t *testing.T, client *http.Client, method, url string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	res, got, err := wholeAnswer(client, req)
	require.NoError(t, err)
	return res, got
}

// wholeAnswer is one request and its whole answer. It may run on any goroutine.
func wholeAnswer(client *http.Client, req *http.Request) (*http.Response, []byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

// netClient is a net/http client with connections of its own.
func netClient(t *testing.T) (*http.Client, *http.Transport) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100, ExpectContinueTimeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}, transport
}

// crowd asks n times from as many goroutines as workers says, and fails the
// test for each answer that is missing or wrong. Half of the requests are
// POSTs with a body that has to come back.
func crowd(t *testing.T, client *http.Client, url string, workers, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := oneOfCrowd(client, url, w*each+i); err != nil {
					t.Errorf("request %d of worker %d: %v", i, w, err)
				}
			}
		})
	}
	wg.Wait()
}

func oneOfCrowd(client *http.Client, url string, i int) error {
	method, path, want := http.MethodGet, "/small", []byte("hello, world\n")
	var body io.Reader
	switch i % 4 {
	case 1:
		path, want = "/stream", payload(bigSize)
	case 2, 3:
		method, path, want = http.MethodPost, "/echo", payload(1+i*997%50_000)
		body = bytes.NewReader(want)
		if i%4 == 3 {
			body = io.MultiReader(body) // hides the length, so that it is chunked
		}
	}
	req, err := http.NewRequest(method, url+path, body)
	if err != nil {
		return err
	}
	res, got, err := wholeAnswer(client, req)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return errors.New(method + " " + path + ": " + res.Status + ": " + strings.TrimSpace(string(got)))
	case !bytes.Equal(got, want):
		return errors.New(method + " " + path + ": the body differs")
	}
	return nil
}
