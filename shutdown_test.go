package h1

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"
	"github.com/h1go/h1/internal/wiretest/load"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
)

// drained is what a Drain that runs beside the test came to.
type drained struct {
	DrainReport
	err error
}

// drainAside begins a Drain in a bubble and waits until all is quiet again.
func drainAside(s *Server, ctx context.Context, o DrainOptions) <-chan drained {
	done := make(chan drained, 1)
	go func() {
		report, err := s.Drain(ctx, o)
		done <- drained{report, err}
	}()
	synctest.Wait()
	return done
}

// serveMem serves on a listener in memory.
func serveMem(t *testing.T, s *Server) *aServer {
	l := wiretest.Listen()
	return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(context.Background()) })
}

func requireReport(t *testing.T, want DrainReport, got drained) {
	t.Helper()
	require.NoError(t, got.err)
	if diff := cmp.Diff(want, got.DrainReport, cmpopts.IgnoreFields(DrainReport{}, "Took")); diff != "" {
		t.Fatal(diff)
	}
}

func TestADrainTellsEachClientBeforeItCloses(t *testing.T) {
	inBubble(t, "a request within MinIdle is answered with close, silence ends the connection", func(t *testing.T) {
		a := serveMem(t, &Server{Native: NativeHandlerFunc(echo)})
		busy, silent, fresh := a.talk(t), a.talk(t), a.talk(t)
		for _, k := range []*wiretest.Talk{busy, silent} {
			k.Send(get("/"))
			expectEcho(k, "/", "")
		}
		time.Sleep(10 * time.Second) // idle for long already: the time counts from the drain's begin
		begin := time.Now()
		done := drainAside(a.Server, t.Context(), DrainOptions{})
		busy.ExpectSilence(499 * time.Millisecond)
		busy.Send(get("/2"))
		expectEcho(busy, "/2", "close")
		busy.ExpectEOF()
		busy.SendFIN()
		silent.ExpectEOF()
		fresh.ExpectEOF()
		require.Equal(t, 500*time.Millisecond+lastLook, time.Since(begin))
		got := <-done
		requireReport(t, DrainReport{Told: 1, Idle: 2}, got)
		require.Equal(t, time.Since(begin), got.Took)
	})
	inBubble(t, "a client that was promised persistence gets its next request answered", func(t *testing.T) {
		release := make(chan struct{})
		v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path)
			if r.URL.Path == "/stream" {
				_ = http.NewResponseController(w).Flush()
				<-release
			}
		})})
		v.Send(get("/stream"))
		v.ExpectHead("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
		done := drainAside(v.s, t.Context(), DrainOptions{})
		time.Sleep(10 * time.Second)
		close(release)
		v.Expect("7\r\n/stream\r\n0\r\n\r\n")
		time.Sleep(400 * time.Millisecond)
		v.Send(get("/next"))
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("/next")
		v.ExpectEOF()
		v.SendFIN()
		requireReport(t, DrainReport{Told: 1}, <-done)
	})
	inBubble(t, "a head of which a part had come is waited for", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		v.Send(get("/")[:3])
		synctest.Wait()
		done := drainAside(v.s, t.Context(), DrainOptions{})
		v.ExpectSilence(10 * time.Second)
		v.Send(get("/")[3:])
		expectEcho(v.Talk, "/", "close")
		v.ExpectEOF()
		v.SendFIN()
		requireReport(t, DrainReport{Told: 1}, <-done)
	})
	inBubble(t, "requests read before the client was told are answered, and the last of them tells", func(t *testing.T) {
		release := make(chan struct{})
		v := serveOne(t, &Server{Parallel: 4, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			_, _ = io.WriteString(w, r.URL.Path)
		})})
		v.Send(get("/1") + get("/2") + post("/3", "body") + get("/4"))
		synctest.Wait()
		done := drainAside(v.s, t.Context(), DrainOptions{})
		close(release)
		for _, path := range []string{"/1", "/2", "/3"} {
			require.NotContains(t, v.ExpectHead("HTTP/1.1 200 OK"), "close", path)
			v.Expect(path)
		}
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("/4")
		v.ExpectEOF()
		v.SendFIN()
		requireReport(t, DrainReport{Told: 1}, <-done)
	})
}

func TestKeepAlivesSwitchedOffDrainsToo(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		a := serveMem(t, &Server{Native: NativeHandlerFunc(echo), KeepAlive: KeepAlive{MinIdle: time.Second}})
		told, silent := a.talk(t), a.talk(t)
		for _, k := range []*wiretest.Talk{told, silent} {
			k.Send(get("/"))
			expectEcho(k, "/", "")
		}
		synctest.Wait()
		a.SetKeepAlivesEnabled(false)
		begin := time.Now()
		told.ExpectSilence(900 * time.Millisecond)
		told.Send(get("/2"))
		expectEcho(told, "/2", "close")
		silent.ExpectEOF()
		require.Equal(t, time.Second+lastLook, time.Since(begin))
	})
}

func TestDrainPhases(t *testing.T) {
	inBubble(t, "it goes on as before until load balancers have noticed", func(t *testing.T) {
		s := &Server{KeepAlive: KeepAlive{MinIdle: -1}}
		s.Handler = s.ReadyHandler()
		a := serveMem(t, s)
		k := a.talk(t)
		k.Send(get("/"))
		k.ExpectHead("HTTP/1.1 200 OK")
		k.Expect("ready\n")
		require.True(t, s.Ready())
		done := drainAside(s, t.Context(), DrainOptions{ReadyDelay: 3 * time.Second})
		require.False(t, s.Ready())
		time.Sleep(3*time.Second - time.Nanosecond)
		for _, k := range []*wiretest.Talk{k, a.talk(t)} {
			k.Send(get("/"))
			require.NotContains(t, k.ExpectHead("HTTP/1.1 503 Service Unavailable"), "Connection")
			k.Expect("draining\n")
		}
		k.ExpectEOF()
		requireReport(t, DrainReport{Idle: 2}, <-done)
		_, err := a.dial()
		require.Error(t, err)
	})
	inBubble(t, "what its context does not wait for is cut, and counted", func(t *testing.T) {
		release := make(chan struct{})
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) { <-release })})
		v.Send(get("/"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := <-drainAside(v.s, ctx, DrainOptions{ReadyDelay: time.Hour})
		require.Equal(t, context.DeadlineExceeded, got.err)
		require.Equal(t, 1, got.Cut)
		v.ExpectEOF()
		close(release)
	})
	inBubble(t, "MinIdle may be its own, and others end for their own reasons", func(t *testing.T) {
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			_, _, err := x.Hijack()
			require.NoError(t, err)
		})}
		a := serveMem(t, s)
		silent, taken := a.talk(t), a.talk(t)
		synctest.Wait()
		begin := time.Now()
		done := drainAside(s, t.Context(), DrainOptions{MinIdle: 10 * time.Second})
		taken.Send(get("/"))
		silent.ExpectEOF()
		require.Equal(t, 10*time.Second+lastLook, time.Since(begin))
		requireReport(t, DrainReport{Idle: 1, Finished: 1}, <-done)
	})
}

// A closed listener resets the connections that the system has completed and
// nobody has accepted; their clients may have sent a request already.
func TestConnectionsThatWaitToBeAcceptedAreServed(t *testing.T) {
	for name, wrap := range map[string]func(s *Server, l net.Listener) error{
		"TCP": (*Server).Serve,
		"TLS": func(s *Server, l net.Listener) error { return s.ServeTLS(l, "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			cert, roots := certificate(t)
			stuck, release := make(chan struct{}, 100), make(chan struct{})
			s := &Server{Native: NativeHandlerFunc(echo), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
				ConnState: func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew { // told by the goroutine that accepts
						stuck <- struct{}{}
						<-release
					}
				}}
			served := make(chan error, 1)
			go func() { served <- wrap(s, l) }()
			var conns []net.Conn
			for i := range 10 {
				nc, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				t.Cleanup(func() { _ = nc.Close() })
				if i == 0 {
					<-stuck
				}
				if name == "TLS" {
					nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
				}
				conns = append(conns, nc)
			}
			done := make(chan error, 1)
			go func() { done <- s.Shutdown(context.Background()) }()
			eventually(t, "it stops", s.stopping.Load)
			close(release)
			for _, nc := range conns {
				k := wiretest.NewTalk(t, nc)
				k.Send(get("/"))
				expectEcho(k, "/", "close")
				require.NoError(t, nc.Close())
			}
			require.NoError(t, <-done)
			require.Equal(t, http.ErrServerClosed, <-served)
			_, err = l.Accept() // to dial would be to ask who has the port now
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// An idle wait that was over used to end the connection at once, so that a
// request was reset whose octets had arrived but had not been told of yet, as
// happens on a busy machine.
func TestARequestThatHasArrivedIsAnsweredThoughTheWaitIsOver(t *testing.T) {
	needPoller(t)
	for name, end := range map[string]func(c *Conn){
		"by its idle timeout": func(c *Conn) { c.m.born -= int64(2 * time.Minute) },
		"by a drain":          func(c *Conn) { c.set.drain.Store(&drainPlan{}); c.m.raise(levelDrain, CloseShutdown) },
		"to make room":        func(c *Conn) { c.m.raise(levelNoMore, CloseReclaimed) },
	} {
		for over, serve := range map[string]func(*testing.T, *Server) *aServer{"TCP": serveTCP, "TLS": serveTLS} {
			t.Run(name+" over "+over, func(t *testing.T) {
				s := &Server{Native: NativeHandlerFunc(echo)}
				a := serve(t, s)
				k := a.talk(t)
				k.Send(get("/"))
				expectEcho(k, "/", "")
				c := s.live()[0]
				eventually(t, "it is taken from the poller, as the sweep does", func() bool { return c.pk.on.Load() && c.pk.Unpark() })
				k.Send(get("/2"))
				eventually(t, "the octets arrive", func() bool { return c.pk.Signaled() })
				c.pk.Clear() // the poller has not told of them yet
				end(c)
				c.woke()
				k.ExpectHead("HTTP/1.1 200 OK")
				k.Expect("/2")
			})
		}
	}
}

// serveTLS is serveTCP over TLS.
func serveTLS(t *testing.T, s *Server) *aServer {
	cert, roots := certificate(t)
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, s, l, func(l net.Listener) error { return s.ServeTLS(l, "", "") }, func() (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	})
}

// Where a connection blocks a goroutine the same holds for octets that come
// while its deadline is being noticed.
func TestAConnectionThatBlocksIsReadOnceMore(t *testing.T) {
	inBubble(t, "", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), IdleTimeout: time.Second})
		synctest.Wait()
		time.Sleep(time.Second + lastLook/2)
		v.Send(get("/"))
		expectEcho(v.Talk, "/", "")
		v.ExpectSilence(time.Second)
		v.ExpectEOF()
	})
}

// The measure of a shutdown: connections in steady use by a client that looks
// for FIN before each request, obeys `Connection: close` and retries nothing
// get each request answered. bench/cmd/shutdown measures the same, in full and
// beside other servers.
func TestShutdownUnderLoadLosesNothing(t *testing.T) {
	work := func(x *Exchange) {
		time.Sleep(300 * time.Microsecond)
		_ = x.Reply(200, "text/plain", []byte("done\n"))
	}
	cert, roots := certificate(t)
	for _, c := range []struct {
		name   string
		server *Server
		tls    bool
		conns  int
		least  time.Duration
		most   time.Duration
	}{
		{"native", &Server{Native: NativeHandlerFunc(work)}, false, 100, 10 * time.Millisecond, 46 * time.Millisecond},
		{"net/http", &Server{Handler: slowly}, false, 100, 10 * time.Millisecond, 46 * time.Millisecond},
		{"TLS", &Server{Handler: slowly}, true, 50, 10 * time.Millisecond, 46 * time.Millisecond},
		{"saturated", &Server{Handler: slowly}, false, 400, time.Millisecond, 7 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			c.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
			serve := c.server.Serve
			dial := func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
			if c.tls {
				serve = func(l net.Listener) error { return c.server.ServeTLS(l, "", "") }
				dial = func() (net.Conn, error) {
					return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
				}
			}
			served := make(chan error, 1)
			go func() { served <- serve(l) }()
			running := load.Load{Conns: c.conns, Dial: dial, MinPause: c.least, MaxPause: c.most, Methods: []string{"POST"}}.Start()
			running.Begun()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			// A client that the scheduler holds up for longer than MinIdle would find its
			// connection closed, and not be told.
			report, err := c.server.Drain(ctx, DrainOptions{MinIdle: 10 * time.Second})
			require.NoError(t, err)
			got := running.Wait()
			t.Log(got.String(), report)
			require.Zero(t, got.Failed(), got.String())
			require.Equal(t, c.conns, got.Told)
			require.Equal(t, c.conns, report.Told)
			require.Equal(t, http.ErrServerClosed, <-served)
		})
	}
}

// slowly works for 0.3 ms.
var slowly = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	time.Sleep(300 * time.Microsecond)
	_, _ = io.WriteString(w, "done\n")
})

func TestReadyHandlerIsForAnyServer(t *testing.T) {
	s := &Server{}
	require.NoError(t, s.Shutdown(t.Context()), "it never served")
	w := httptest.NewRecorder()
	s.ReadyHandler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 503, w.Code)
}
