package h1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// hidden is a connection that does not show its descriptor, so that it cannot
// be left to the poller.
type hidden struct{ net.Conn }

// CloseWrite passes the FIN on.
func (h hidden) CloseWrite() error { return h.Conn.(*net.TCPConn).CloseWrite() }

type hidingListener struct{ net.Listener }

func (l hidingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return hidden{nc}, nil
}

// bothWays runs a test with connections that wait at the poller and with ones
// that block a goroutine each: all but the waiting has to be the same.
func bothWays(t *testing.T, f func(t *testing.T, listen func() net.Listener)) {
	ways := map[string]func(net.Listener) net.Listener{
		"goroutine": func(l net.Listener) net.Listener { return hidingListener{l} },
	}
	if _, err := poller(); err == nil {
		ways["poll"] = func(l net.Listener) net.Listener { return l }
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			f(t, func() net.Listener {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				return way(l)
			})
		})
	}
}

// start serves on l until the test ends.
func start(t *testing.T, s *Server, l net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}

// dialBound is how long a test may use a connection. It bounds a test that fails,
// so it is long, and is over before the idle timeout that ends what was left lying.
const dialBound = time.Minute

func dial(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(dialBound)))
	return nc.(*net.TCPConn)
}

// fetch sends one request and reads its answer's body.
func fetch(t *testing.T, nc net.Conn, r *bufio.Reader, path string) (*http.Response, string) {
	t.Helper()
	_, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
	require.NoError(t, err)
	return answerOf(t, r)
}

func answerOf(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

var echoPath = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.URL.Path)
})

func TestTheWayOfWaitingIsVisible(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		s := &Server{Handler: echoPath}
		start(t, s, l)
		nc := dial(t, l)
		fetch(t, nc, bufio.NewReader(nc), "/x")
		want := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
		for info := range s.Conns() {
			require.Equal(t, want, info.Waiting)
		}
	})
}

func TestWaitingConnectionsHoldNoGoroutine(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, &Server{Handler: echoPath}, l)
	const conns = 200
	before := runtime.NumGoroutine()
	for i := range conns {
		nc := dial(t, l)
		if i%2 == 0 {
			fetch(t, nc, bufio.NewReader(nc), "/x")
		} else { // a slow sender, in the middle of a head
			_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHo")
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+conns/4 },
		10*time.Second, time.Millisecond, "%d connections wait with %d goroutines more", conns, runtime.NumGoroutine()-before)
}

func TestAHeadMayComeInAnyPieces(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: echoPath}, l)
		nc := dial(t, l)
		require.NoError(t, nc.SetNoDelay(true))
		r := bufio.NewReader(nc)
		for i := range 3 {
			for _, octet := range fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i) {
				_, err := nc.Write([]byte{byte(octet)})
				require.NoError(t, err)
				runtime.Gosched()
			}
			_, body := answerOf(t, r)
			require.Equal(t, fmt.Sprintf("/%d", i), body)
		}
	})
}

func TestASlowHeadIsAnsweredWith408(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 1)
		start(t, &Server{Handler: echoPath, ReadHeaderTimeout: 50 * time.Millisecond, OnConn: onClosed(ends)}, l)
		nc := dial(t, l)
		_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n")
		require.NoError(t, err)
		res, _ := answerOf(t, bufio.NewReader(nc))
		require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
		require.True(t, res.Close)
		require.NoError(t, nc.CloseWrite())
		require.Equal(t, CloseHeadTimeout, (<-ends).Reason)
	})
}

func onClosed(ends chan ConnInfo) func(ConnEvent, ConnInfo) {
	return func(e ConnEvent, info ConnInfo) {
		if e == EventClosed {
			ends <- info
		}
	}
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 2)
		const limit = time.Second
		start(t, &Server{Handler: echoPath, IdleTimeout: limit, OnConn: onClosed(ends)}, l)
		used, unused := dial(t, l), dial(t, l)
		at := time.Now() // before the server's time of the one that is used begins
		fetch(t, used, bufio.NewReader(used), "/")
		for _, nc := range []net.Conn{used, unused} {
			_, err := nc.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		}
		require.GreaterOrEqual(t, time.Since(at), limit)
		require.Equal(t, CloseIdle, (<-ends).Reason)
		require.Equal(t, CloseIdle, (<-ends).Reason)
	})
}

func TestAHangupCancelsTheRequestsContext(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		for _, body := range []string{"", "unread pipelined octets"} {
			if body != "" && strings.HasSuffix(t.Name(), "goroutine") {
				continue // one octet is read ahead there, and what follows hides the FIN, as with net/http
			}
			l := listen()
			began, ended := make(chan struct{}), make(chan error, 1)
			start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				ended <- r.Context().Err()
			})}, l)
			nc := dial(t, l)
			_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"+body)
			require.NoError(t, err)
			<-began
			require.NoError(t, nc.Close())
			require.Equal(t, context.Canceled, <-ended)
		}
	})
}

func TestAHangupAfterTheUploadCancelsToo(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		read, ended := make(chan struct{}), make(chan error, 1)
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			done := r.Context().Done() // asked for before the body is read
			_, _ = io.Copy(io.Discard, r.Body)
			close(read)
			<-done
			ended <- r.Context().Err()
		})}, l)
		nc := dial(t, l)
		_, err := io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		require.NoError(t, err)
		<-read
		require.NoError(t, nc.Close())
		require.Equal(t, context.Canceled, <-ended)
	})
}

func TestAClientMayCloseItsHalfAfterTheRequest(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: echoPath}, l)
		nc := dial(t, l)
		_, err := io.WriteString(nc, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, nc.CloseWrite())
		all, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.Contains(t, string(all), "/1")
		require.True(t, strings.HasSuffix(string(all), "/2"), "%q", all)
	})
}

func TestAskingForDoneCostsTheNextRequestNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Done()
			runtime.Gosched()
			_, _ = io.WriteString(w, r.URL.Path)
		})}, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		for i := range 300 {
			_, err := fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\nGET /%d/b HTTP/1.1\r\nHost: a\r\n\r\n", i, i)
			require.NoError(t, err)
			_, body := answerOf(t, r)
			require.Equal(t, fmt.Sprintf("/%d", i), body)
			_, body = answerOf(t, r)
			require.Equal(t, fmt.Sprintf("/%d/b", i), body)
		}
	})
}

func TestAHijackerGetsAPlainConnectionAndAllOctets(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Done()
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer nc.Close()
			line, _ := rw.ReadString('\n') // came with the head
			_, _ = fmt.Fprintf(nc, "first %s", line)
			line, _ = rw.ReadString('\n') // comes later: the read blocks
			_, _ = fmt.Fprintf(nc, "then %s", line)
		})}, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\nearly\n")
		require.NoError(t, err)
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "first early\n", line)
		_, err = io.WriteString(nc, "late\n")
		require.NoError(t, err)
		line, err = r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "then late\n", line)
	})
}

func TestShutdownEndsThousandsOfWaitingConnections(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		var mu sync.Mutex
		reasons := map[CloseReason]int{}
		s := &Server{Handler: echoPath, OnConn: func(e ConnEvent, info ConnInfo) {
			if e == EventClosed {
				mu.Lock()
				defer mu.Unlock()
				reasons[info.Reason]++
			}
		}}
		start(t, s, l)
		const conns = 2000
		for range conns {
			nc := dial(t, l)
			fetch(t, nc, bufio.NewReader(nc), "/")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, map[CloseReason]int{CloseShutdown: conns}, reasons)
	})
}

func TestDeadlinesMayBeSetFromAnotherGoroutine(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		failed := make(chan error, 1)
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/wait" {
				return
			}
			control := http.NewResponseController(w)
			go func() { _ = control.SetReadDeadline(time.Now()) }()
			_, err := io.Copy(io.Discard, r.Body)
			failed <- err
		})}, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		fetch(t, nc, r, "/")
		_, err := io.WriteString(nc, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
		require.NoError(t, err)
		err = <-failed
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
	})
}

func TestConnectionsComeAndGoOnTheSameDescriptors(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: echoPath}, l)
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 100 {
					nc, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						t.Error(err)
						return
					}
					path := fmt.Sprintf("/%d/%d", worker, i)
					_, _ = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
					if i%3 > 0 {
						res, err := http.ReadResponse(bufio.NewReader(nc), nil)
						if err != nil {
							t.Error(err)
							return
						}
						if body, _ := io.ReadAll(res.Body); string(body) != path {
							t.Errorf("asked for %s, got %q", path, body)
						}
					}
					_ = nc.Close()
				}
			})
		}
		all.Wait()
	})
}

func TestASlowHandlerHoldsNoEarlierAnswerBack(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		release := make(chan struct{})
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
			}
			_, _ = io.WriteString(w, r.URL.Path)
		})}, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		_, err := io.WriteString(nc, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		for _, want := range []string{"/1", "/2"} { // both before the slow one is released
			_, body := answerOf(t, r)
			require.Equal(t, want, body)
		}
		close(release)
		_, body := answerOf(t, r)
		require.Equal(t, "/slow", body)
	})
}

func TestBlockedHandlersDoNotStopOthers(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		release := make(chan struct{})
		var blocked atomic.Int32
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/block" {
				blocked.Add(1)
				<-release
			}
			_, _ = io.WriteString(w, r.URL.Path)
		})}, l)
		const many = 300
		conns := make([]*net.TCPConn, many)
		for i := range conns {
			conns[i] = dial(t, l)
			_, err := io.WriteString(conns[i], "GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return blocked.Load() == many }, 10*time.Second, time.Millisecond)
		nc := dial(t, l)
		_, body := fetch(t, nc, bufio.NewReader(nc), "/free")
		require.Equal(t, "/free", body)
		close(release)
		for _, nc := range conns {
			_, body := answerOf(t, bufio.NewReader(nc))
			require.Equal(t, "/block", body)
		}
	})
}

func TestUnixSocketsWaitAtThePollerToo(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	s := &Server{Handler: echoPath}
	start(t, s, l)
	nc, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	r := bufio.NewReader(nc)
	for range 3 {
		_, body := fetch(t, nc, r, "/u")
		require.Equal(t, "/u", body)
	}
	for info := range s.Conns() {
		require.Equal(t, "poll", info.Waiting)
	}
}

func TestMemoryConnectionsBlock(t *testing.T) {
	wiretest.NoLeaks(t)
	l := wiretest.Listen()
	s := &Server{Handler: echoPath}
	start(t, s, l)
	nc, err := l.Dial(t.Context())
	require.NoError(t, err)
	defer nc.Close()
	_, body := fetch(t, nc, bufio.NewReader(nc), "/m")
	require.Equal(t, "/m", body)
	for info := range s.Conns() {
		require.Equal(t, "goroutine", info.Waiting)
	}
}

// The deadline of a body is still set when the connection waits for the next
// request, and fails a read that does not wait. The request that came was left
// lying until the idle timeout.
func TestARequestIsSeenAfterTheDeadlineOfABody(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		deadline := make(chan time.Time, 1)
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				by := time.Now().Add(time.Second)
				_ = http.NewResponseController(w).SetReadDeadline(by)
				deadline <- by
			}
			_, _ = io.Copy(w, r.Body)
		})}, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		_, err := io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
		require.NoError(t, err)
		by := <-deadline
		time.Sleep(20 * time.Millisecond) // the handler waits for the rest
		_, err = io.WriteString(nc, "llo")
		require.NoError(t, err)
		_, body := answerOf(t, r)
		require.Equal(t, "hello", body)
		time.Sleep(time.Until(by) + 20*time.Millisecond)
		fetch(t, nc, r, "/")
	})
}

// The end of a handler calls off, with a deadline in the past, the read that
// looked for requests to work on beside it. Such a read says nothing of what
// there is to read: a request that came just then was left lying until the idle
// timeout. Each handler here returns about when the client has its answer and
// asks again.
func TestARequestIsSeenAfterAReadThatWasCalledOff(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Parallel: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "0")
			_ = http.NewResponseController(w).Flush()
			for begin, d := time.Now(), rand.N(50*time.Microsecond); time.Since(begin) < d; {
			}
		})}, l)
		var all sync.WaitGroup
		for range 2 {
			nc := dial(t, l)
			all.Go(func() {
				r := bufio.NewReader(nc)
				for range 3000 {
					fetch(t, nc, r, "/")
				}
			})
		}
		all.Wait()
	})
}
