package h1

// The stories of waits that were lost: what the audit of who may touch a
// connection at the same time as its owner found.

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// A drain that follows another one has a plan of its own. The connections that
// waited by the first were not told.
func TestALaterDrainIsHeededByThoseWhoDrainAlready(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		s := &Server{Handler: echoPath, KeepAlive: KeepAlive{MinIdle: time.Hour}}
		start(t, s, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		fetch(t, nc, r, "/")
		s.SetKeepAlivesEnabled(false)
		time.Sleep(20 * time.Millisecond) // it has looked at that, and waits
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := s.Drain(ctx, DrainOptions{MinIdle: -1})
		require.NoError(t, err)
		require.Equal(t, 1, report.Idle)
	})
}

// A handler that sets a deadline pokes whoever reads. Where there is no poller
// that was the read that waits for the client's end, and nobody went on with it.
func TestADeadlineDoesNotEndTheWatchOverTheClient(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		began, ended := make(chan struct{}), make(chan struct{})
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			gone := r.Context().Done()
			ctl := http.NewResponseController(w)
			for _, by := range []time.Time{{}, time.Now().Add(time.Hour), time.Now().Add(-time.Hour), {}} {
				_ = ctl.SetReadDeadline(by)
				time.Sleep(time.Millisecond) // the read is woken
			}
			close(began)
			<-gone
			close(ended)
		})}, l)
		nc := dial(t, l)
		_, err := io.WriteString(nc, get("/"))
		require.NoError(t, err)
		<-began
		require.NoError(t, nc.Close())
		requireSoon(t, ended)
	})
}

// The octet that the watch gets between two pokes is not lost.
func TestARequestThatComesWhileAHandlerSetsDeadlines(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.Context().Done()
			for range 20 {
				_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
				time.Sleep(100 * time.Microsecond)
			}
			_, _ = io.WriteString(w, r.URL.Path)
		})}, l)
		nc := dial(t, l)
		const n = 50
		for i := range n {
			_, err := io.WriteString(nc, get(fmt.Sprintf("/%d", i)))
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		inOrder(t, nc, n)
	})
}

// The server closes a connection in the moment in which its request is complete
// and its handler has not begun.
func TestAHandlerThatBeginsAfterTheCloseIsTold(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		for _, parallel := range []int{1, 2} {
			l := listen()
			ended := make(chan struct{})
			s := &Server{Parallel: parallel, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(ended)
			})}
			s.KeepAlive.Disable = func(RequestHead) bool {
				for _, c := range s.live() {
					_ = c.abort(CloseServerClosed, nil)
				}
				return false
			}
			start(t, s, l)
			nc := dial(t, l)
			_, err := io.WriteString(nc, get("/"))
			require.NoError(t, err)
			requireSoon(t, ended)
		}
	})
}

// Whoever asks a context for Done holds its lock and wants that of the watch; who
// ends the watch holds that one and waits for a read that may be about to end the
// context.
func TestTheEndOfAWatchDoesNotWaitForTheContext(t *testing.T) {
	near, far := wiretest.Pair()
	c, err := NewServerConn(far, nil)
	require.NoError(t, err)
	defer c.Close()
	ctx := &requestContext{parent: context.Background(), conn: c}
	c.bodyOver.Store(true)
	c.watchFor(ctx)
	ctx.mu.Lock()
	require.NoError(t, near.Close())
	time.Sleep(20 * time.Millisecond) // the read has seen it
	stopped := make(chan struct{})
	go func() {
		c.stopWatch()
		close(stopped)
	}()
	defer ctx.mu.Unlock()
	requireSoon(t, stopped)
}

// Who woke an idle connection sets a deadline in the past, a moment after the
// connection's next request was read and its handler took the connection.
func TestAHijackedConnectionIsNotPoked(t *testing.T) {
	near, far := wiretest.Pair()
	c, err := NewServerConn(far, nil)
	require.NoError(t, err)
	nc, _, err := c.takeOver(CloseHijacked)
	require.NoError(t, err)
	defer nc.Close()
	c.wake()
	_, err = io.WriteString(near, "x")
	require.NoError(t, err)
	_, err = nc.Read(make([]byte, 1))
	require.NoError(t, err)
}

// Hijack fails when the connection has ended, however often it is tried. With
// Parallel the second try used to panic.
func TestHijackFailsAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	errs := make(chan error, 2)
	s := &Server{Parallel: 2}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range s.live() {
			_ = c.abort(CloseServerClosed, nil)
		}
		for range 2 {
			_, _, err := w.(http.Hijacker).Hijack()
			errs <- err
		}
	})
	start(t, s, l)
	_, err = io.WriteString(dial(t, l), get("/"))
	require.NoError(t, err)
	for range 2 {
		select {
		case err := <-errs:
			require.Error(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("the handler panicked")
		}
	}
}

// A drain was asked for while the handshake was under way, so the connection's
// reason is the drain's, and Close took it for one that was none of its business.
func TestCloseEndsAProtocolThatADrainMet(t *testing.T) {
	ended := make(chan error, 1)
	s := &Server{
		TLSConfig:    &tls.Config{NextProtos: []string{"echo/1"}},
		TLSNextProto: map[string]func(*Server, *tls.Conn, http.Handler){"echo/1": echoes(ended)},
	}
	addr, client, _ := alpnServer(t, s)
	client.NextProtos = []string{"echo/1"}
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	eventually(t, "it is accepted", func() bool { return len(s.live()) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	k := wiretest.NewTalk(t, tls.Client(nc, client))
	k.Send("more\n")
	k.Expect("more\n")
	require.NoError(t, s.Close())
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Close left it open")
	}
}

// A connection is closed by others in the moment in which it comes to the poller:
// they look whether it is there, it comes, and they close it. It stayed in the
// poller's memory for good.
func TestAConnectionThatEndsOnItsWayToThePollerLeavesNothing(t *testing.T) {
	needPoller(t)
	p, err := poller()
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dial(t, l)
	nc, err := l.Accept()
	require.NoError(t, err)
	set, err := (*ConnConfig)(nil).resolve(ServerRole)
	require.NoError(t, err)
	var owner resumed
	c := newConn(nc, ServerRole, set)
	c.pk.owner = &owner
	require.True(t, c.mayPark())
	before := p.Len()
	require.True(t, c.ended.close(), "as abort does, who then looks")
	require.True(t, c.park())
	require.NoError(t, nc.Close())
	require.LessOrEqual(t, p.Len(), before)
}

// A client that connects and is silent holds up its own handshake, and nobody who
// looks at the connections.
func TestConnectionsAreShownDuringAHandshake(t *testing.T) {
	s := &Server{}
	addr, _, _ := alpnServer(t, s)
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	eventually(t, "it is accepted", func() bool { return len(s.live()) == 1 })
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		for range 10 { // the handshake has begun by the last one
			for info := range s.Conns() {
				require.True(t, info.TLS)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	requireSoon(t, shown)
}

// sharedQueue is a listener whose last connection another process takes, in the
// moment between it being seen and being accepted.
type sharedQueue struct {
	*net.TCPListener
	told bool
}

func (q *sharedQueue) Accept() (net.Conn, error) {
	if q.told {
		nc, err := q.TCPListener.Accept()
		if err != nil {
			return nil, err
		}
		_ = nc.Close()
		return q.TCPListener.Accept()
	}
	nc, err := q.TCPListener.Accept()
	if q.told = err != nil; q.told {
		other, dialed := net.Dial("tcp", q.Addr().String())
		if dialed != nil {
			return nil, dialed
		}
		defer other.Close()
	}
	return nc, err
}

func TestADrainDoesNotWaitForAConnectionThatAnotherProcessTook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{Handler: echoPath}
	start(t, s, &sharedQueue{TCPListener: l.(*net.TCPListener)})
	nc := dial(t, l)
	fetch(t, nc, bufio.NewReader(nc), "/")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = s.Drain(ctx, DrainOptions{MinIdle: -1})
	require.NoError(t, err)
}

// The last look at a connection before it is closed for being idle was over when
// somebody called it off, as a shutdown does, and the request on its way was cut.
func TestTheLastLookIsNotCalledOff(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		s := &Server{Native: NativeHandlerFunc(echo), IdleTimeout: time.Second}
		v := serveOne(t, s)
		synctest.Wait()
		time.Sleep(time.Second + lastLook/2)
		s.SetKeepAlivesEnabled(false)
		for _, c := range s.live() {
			c.drainSoon(CloseDisabled)
		}
		synctest.Wait()
		v.Send(get("/"))
		expectEcho(v.Talk, "/", "close")
		v.ExpectEOF()
	})
}

// A read that blocks, for a body or for what follows a request at work, leaves the
// poller's word behind that octets have come, and under TLS the next wait was a
// blocking one: an idle connection held a goroutine and its buffers.
func TestAConnectionOverTLSWaitsWithoutGoroutine(t *testing.T) {
	needPoller(t)
	for _, parallel := range []int{1, 2} {
		s := &Server{Parallel: parallel, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})}
		addr, client, _ := alpnServer(t, s)
		tcp, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer tcp.Close()
		cut := &cutWriter{Conn: tcp}
		nc := tls.Client(cut, client)
		r := bufio.NewReader(nc)
		for range 20 {
			_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
			require.NoError(t, err)
			time.Sleep(time.Millisecond) // the handler waits for it
			_, err = io.WriteString(nc, "hello")
			require.NoError(t, err)
			_, body := answerOf(t, r)
			require.Equal(t, "hello", body)
			parkedConn(t, s)
			fetch(t, nc, r, "/")
			parkedConn(t, s)
		}
		cut.at = 3 // in the middle of a record's header, and then of a record
		cut.pause = func() { parkedConn(t, s) }
		fetch(t, nc, r, "/")
		cut.at = 30
		fetch(t, nc, r, "/")
	}
}

// cutWriter cuts each write in two.
type cutWriter struct {
	net.Conn
	at    int // 0: it does not
	pause func()
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.at == 0 {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:c.at])
	if err != nil {
		return n, err
	}
	time.Sleep(10 * time.Millisecond) // they have come
	c.pause()
	m, err := c.Conn.Write(p[c.at:])
	return n + m, err
}

// requireSoon waits for what must not wait for a timeout.
func requireSoon(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits, and nobody is going to wake it")
	}
}
