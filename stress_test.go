package h1

// Many clients at once over real sockets, who do all that clients may do and some
// of what they should not, beside others who close connections under them. A wake-up
// that is lost shows as a client that waits: each answer has to come long before
// the idle timeout would end such a wait.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

const (
	stressBound   = 20 * time.Second        // for an answer: long, and far from stressIdle
	stressIdle    = time.Minute             // after which a lost wake-up would be made good
	stressShort   = 60 * time.Millisecond   // the idle timeout of a server whose clients may be cut
	stressClients = 12                      // for each server
	stressTime    = 2500 * time.Millisecond // for each of the two tests, and then the drain
)

// stressed is one server and what its clients may expect of it.
type stressed struct {
	name  string
	s     *Server
	short bool // it closes connections that are idle for stressShort
	rude  bool // connections are told to close at any moment
}

func stressedServers() []*stressed {
	handler := http.HandlerFunc(stressHandler)
	all := []*stressed{
		{name: "Handler", s: &Server{Handler: handler}},
		{name: "Handler, short", s: &Server{Handler: handler, IdleTimeout: stressShort}, short: true},
		{name: "Parallel", s: &Server{Handler: handler, Parallel: 4}},
		{name: "Parallel, short and rude", s: &Server{Handler: handler, Parallel: 4, IdleTimeout: stressShort}, short: true, rude: true},
		{name: "Parallel, rude", s: &Server{Handler: handler, Parallel: 4}, rude: true},
		{name: "Native", s: &Server{Native: NativeHandlerFunc(stressNative)}},
		{name: "Native, rude", s: &Server{Native: NativeHandlerFunc(stressNative)}, rude: true},
	}
	for _, st := range all {
		st.s.KeepAlive.MinIdle = 20 * time.Millisecond
		st.s.ErrorLog = log.New(io.Discard, "", 0)
		if st.s.IdleTimeout == 0 {
			st.s.IdleTimeout = stressIdle
		}
	}
	return all
}

func TestStressOverTCP(t *testing.T) {
	stress(t, func(s *Server, l net.Listener) error { return s.Serve(l) },
		func(nc net.Conn) net.Conn { return nc })
}

func TestStressOverTLS(t *testing.T) {
	cert, roots := certificate(t)
	stress(t, func(s *Server, l net.Listener) error {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		return s.ServeTLS(l, "", "")
	}, func(nc net.Conn) net.Conn {
		return tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	})
}

// stress runs all servers with their clients for a while, and looks at what is
// left of them.
func stress(t *testing.T, serve func(*Server, net.Listener) error, over func(net.Conn) net.Conn) {
	wiretest.NoLeaks(t, kept...)
	end := time.Now().Add(stressTime)
	var all sync.WaitGroup
	for _, st := range stressedServers() {
		ends := st.countEnds()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- serve(st.s, l) }()
		all.Go(func() {
			var clients sync.WaitGroup
			for range stressClients {
				clients.Go(func() {
					for time.Now().Before(end) && !t.Failed() {
						if err := st.converse(l.Addr().String(), over, end); err != nil {
							t.Errorf("%s: %v", st.name, err)
						}
					}
				})
			}
			if st.rude {
				clients.Go(func() { st.tellToClose(end) })
			}
			clients.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), stressBound)
			defer cancel()
			if err := st.s.Shutdown(ctx); err != nil {
				for info := range st.s.Conns() {
					t.Errorf("%s: left after the drain: %+v", st.name, info)
				}
				_ = st.s.Close()
			}
			<-served
			ends.check(t, st)
		})
	}
	all.Wait()
}

// tellToClose asks connections to end, whatever they do.
func (st *stressed) tellToClose(end time.Time) {
	for time.Now().Before(end) {
		time.Sleep(rand.N(2 * time.Millisecond))
		for _, c := range st.s.live() {
			if rand.N(16) == 0 {
				c.CloseAfter()
				break
			}
		}
	}
}

// stressEnds is how often each connection began and ended, and why.
type stressEnds struct {
	mu     sync.Mutex
	opened map[uint64]int
	ended  map[uint64][]CloseReason
}

func (st *stressed) countEnds() *stressEnds {
	e := &stressEnds{opened: map[uint64]int{}, ended: map[uint64][]CloseReason{}}
	st.s.OnConn = func(event ConnEvent, info ConnInfo) {
		e.mu.Lock()
		defer e.mu.Unlock()
		switch event {
		case EventOpened:
			e.opened[info.ID]++
		case EventClosed, EventHijacked:
			e.ended[info.ID] = append(e.ended[info.ID], info.Reason)
		}
	}
	return e
}

// check tells whether each connection that began has ended once and for a reason,
// and the server has counted the same.
func (e *stressEnds) check(t *testing.T, st *stressed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.opened {
		if why := e.ended[id]; len(why) != 1 || why[0] == CloseNone {
			t.Errorf("%s: connection %d ended for %v", st.name, id, why)
		}
	}
	counts := st.s.Stats()
	var closed int64
	for _, n := range counts.Closed {
		closed += n
	}
	if counts.Open != 0 || counts.Accepted != closed || closed != int64(len(e.opened)) {
		t.Errorf("%s: %d were opened, and %+v counted", st.name, len(e.opened), counts)
	}
	t.Logf("%s: %d connections, %d requests, ended: %v", st.name, counts.Accepted, counts.Requests, counts.Closed)
}

// choppy is a connection whose writes leave in pieces, with pauses between them.
// Under TLS that cuts records.
type choppy struct{ net.Conn }

func (c choppy) Write(p []byte) (n int, err error) {
	for rest := p; len(rest) > 0; {
		piece := rest
		if rand.N(3) == 0 {
			piece = rest[:1+rand.N(len(rest))]
		}
		m, err := c.Conn.Write(piece)
		if n += m; err != nil {
			return n, err
		}
		if rest = rest[m:]; len(rest) > 0 {
			stressPause()
		}
	}
	return n, nil
}

// stressPause waits for a moment, or lets others work, or does neither.
func stressPause() {
	switch rand.N(4) {
	case 0:
		time.Sleep(rand.N(4 * time.Millisecond))
	case 1:
		time.Sleep(rand.N(100 * time.Microsecond))
	}
}

// errCut is the end of a connection that its client has to put up with.
var errCut = errors.New("cut")

// talk is one connection of a client.
type stressTalk struct {
	st   *stressed
	nc   net.Conn
	r    *bufio.Reader
	sent time.Time // when the sending of the last requests began
	idle bool      // for so long that the server may have closed
	last bool      // no request follows
}

// converse is one connection's life. An end that the client had to expect is no
// error.
func (st *stressed) converse(addr string, over func(net.Conn) net.Conn, end time.Time) error {
	began := time.Now() // the server's idle timeout may begin before Dial returns
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer tcp.Close()
	nc := over(choppy{tcp})
	k := &stressTalk{st: st, nc: nc, r: bufio.NewReader(nc), sent: began}
	for time.Now().Before(end) && !k.last {
		if st.short {
			time.Sleep(rand.N(2*stressShort*time.Duration(rand.N(2)) + 1))
		}
		stressPause()
		switch err := k.turn(tcp.(*net.TCPConn)); {
		case errors.Is(err, errCut):
			return nil
		case err != nil:
			return fmt.Errorf("%v, from %v: %w", nc.LocalAddr(), k.sent.Format(time.StampMilli), err)
		}
	}
	return nil
}

// stressRequest is a request, and its answer's body.
type stressRequest struct {
	wire, want string
	method     string
}

// turn sends some requests at once and reads their answers.
func (k *stressTalk) turn(tcp *net.TCPConn) error {
	var wire strings.Builder
	var requests []stressRequest
	for range 1 + rand.N(2)*rand.N(8) {
		requests = append(requests, someRequest())
		wire.WriteString(requests[len(requests)-1].wire)
	}
	ending := rand.N(60)
	switch ending {
	case 0: // it goes away in the middle of something
		_, _ = io.WriteString(k.nc, wire.String()[:rand.N(wire.Len())])
		stressPause()
		return errCut
	case 1:
		wire.WriteString("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	case 2:
		wire.WriteString("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	began := time.Now()
	_, err := io.WriteString(k.nc, wire.String())
	k.idle = time.Since(k.sent) > stressShort/2
	k.sent = began
	if err != nil {
		return k.failed(err)
	}
	if ending == 3 {
		_ = tcp.CloseWrite()
	}
	for _, request := range requests {
		if err := k.answer(request); err != nil {
			return fmt.Errorf("%d in a row, ending %d: %w", len(requests), ending, err)
		}
	}
	switch ending {
	case 1:
		return k.hijacked()
	case 2, 3:
		return k.over()
	}
	return nil
}

// failed judges an error: of a server that may close at this moment, anything but
// silence.
func (k *stressTalk) failed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("a wait that nobody ends: %w", err)
	}
	if k.st.rude || k.st.short && k.idle {
		return errCut
	}
	return err
}

// answer reads one answer.
func (k *stressTalk) answer(request stressRequest) error {
	_ = k.nc.SetReadDeadline(time.Now().Add(stressBound))
	res, err := http.ReadResponse(k.r, &http.Request{Method: request.method})
	if err != nil {
		return k.failed(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return k.failed(err)
	}
	if res.StatusCode != 200 || string(body) != request.want {
		return fmt.Errorf("answered with %s and %.80q in place of %.80q", res.Status, body, request.want)
	}
	if res.Close {
		if err := k.over(); err != nil {
			return err
		}
		return k.failed(errors.New("closed, as the server says"))
	}
	return nil
}

// over reads to the connection's end.
func (k *stressTalk) over() error {
	_ = k.nc.SetReadDeadline(time.Now().Add(stressBound))
	n, err := io.Copy(io.Discard, k.r)
	k.last = true
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return k.failed(err)
	case n > 0:
		return fmt.Errorf("%d octets after the last answer", n)
	}
	return nil
}

// hijacked speaks to a handler that took the connection.
func (k *stressTalk) hijacked() error {
	k.last = true
	stressPause()
	if _, err := io.WriteString(k.nc, "line\n"); err != nil {
		return k.failed(err)
	}
	_ = k.nc.SetReadDeadline(time.Now().Add(stressBound))
	line, err := k.r.ReadString('\n')
	switch {
	case err != nil:
		return k.failed(err)
	case line != "taken: line\n":
		return fmt.Errorf("the hijacker said %q", line)
	}
	return nil
}

// someRequest makes any request; its query says what the handler is to do beside
// answering.
func someRequest() stressRequest {
	path := fmt.Sprintf("/%d", rand.N(1_000_000))
	target := path + "?" + stressWishes[rand.N(len(stressWishes))]
	if rand.N(3) > 0 {
		return stressRequest{get(target), path + " ", "GET"}
	}
	body := strings.Repeat("b", rand.N(3000)*rand.N(2))
	wire := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
	if rand.N(2) == 0 {
		wire = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", target)
		if len(body) > 0 {
			wire += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		wire += "0\r\n\r\n"
	}
	return stressRequest{wire, path + " " + body, "POST"}
}

var stressWishes = []string{"", "", "done", "flush", "sleep", "passed", "soon", "none", "write", "done&passed&flush", "sleep&passed"}

// readDeadlines are those that handlers set once the body is read: what comes
// after is none of their business.
var readDeadlines = map[string]func() time.Time{
	"passed": func() time.Time { return time.Now().Add(-time.Hour) },
	"soon":   func() time.Time { return time.Now().Add(rand.N(3 * time.Millisecond)) },
	"none":   func() time.Time { return time.Time{} },
}

func stressHandler(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	switch r.URL.Path {
	case "/hijack":
		stressHijack(ctl.Hijack())
		return
	case "/panic":
		panic(http.ErrAbortHandler)
	}
	wishes := r.URL.Query()
	if wishes.Has("done") {
		_ = r.Context().Done()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if wishes.Has("sleep") {
		stressPause()
	}
	for name, when := range readDeadlines {
		if wishes.Has(name) {
			_ = ctl.SetReadDeadline(when())
		}
	}
	if wishes.Has("write") {
		_ = ctl.SetWriteDeadline(time.Now().Add(stressBound))
	}
	_, _ = io.WriteString(w, r.URL.Path+" ")
	if wishes.Has("flush") {
		_ = ctl.Flush()
	}
	_, _ = w.Write(body)
}

func stressHijack(nc net.Conn, rw *bufio.ReadWriter, err error) {
	if err != nil {
		return // closed under it
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(stressBound))
	line, err := rw.ReadString('\n')
	if err == nil {
		_, _ = io.WriteString(nc, "taken: "+line)
	} else {
		_, _ = fmt.Fprintf(nc, "failed: %v\n", err)
	}
}

func stressNative(x *Exchange) {
	path, wishes := string(x.Path()), x.Query()
	switch path {
	case "/hijack":
		nc, rest, err := x.Hijack()
		if err != nil {
			return
		}
		stressHijack(nc, hijackBuffers(nc, rest), nil)
		return
	case "/panic":
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(x)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if bytes.Contains(wishes, []byte("sleep")) {
		stressPause()
	}
	for name, when := range readDeadlines {
		if bytes.Contains(wishes, []byte(name)) {
			x.SetReadDeadline(when())
		}
	}
	if bytes.Contains(wishes, []byte("write")) {
		x.SetWriteDeadline(time.Now().Add(stressBound))
	}
	_, _ = x.Write([]byte(path + " "))
	if bytes.Contains(wishes, []byte("flush")) {
		_ = x.Flush()
	}
	_, _ = x.Write(body)
}
