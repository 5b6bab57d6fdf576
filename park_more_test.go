package h1

// Connections at the poller under what goes wrong: systems that refuse them,
// handlers that panic, clients that never read, ends from any side.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// needPoller skips a test of what only happens at the poller.
func needPoller(t *testing.T) {
	t.Helper()
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 10*time.Second, time.Millisecond, what)
}

// parkedConn waits until the server has a single connection, and that one waits
// at the poller.
func parkedConn(t *testing.T, s *Server) *Conn {
	t.Helper()
	var c *Conn
	eventually(t, "the connection waits", func() bool {
		live := s.live()
		if len(live) != 1 {
			return false
		}
		c = live[0]
		return c.pk.Parked()
	})
	return c
}

// resumed counts how often a connection is resumed.
type resumed struct{ n atomic.Int32 }

func (r *resumed) resume()     { r.n.Add(1) }
func (r *resumed) handedOver() {}
func (r *resumed) lingering()  {}

// takenListener adds each connection to the poller before the server gets it.
// The system takes a descriptor once, so the server's try is refused.
type takenListener struct{ net.Listener }

func (l takenListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	set, err := (*ConnConfig)(nil).resolve(ServerRole)
	if err != nil {
		return nil, err
	}
	first := newConn(nc, ServerRole, set)
	first.pk.owner = new(resumed)
	if !first.mayPark() || !first.park() {
		return nil, errors.New("the poller did not take the connection the first time")
	}
	return nc, nil
}

func TestAConnectionThatTheSystemRefusesIsServedByAGoroutine(t *testing.T) {
	needPoller(t)
	cert, roots := certificate(t)
	for _, scheme := range []string{"plain", "TLS"} {
		t.Run(scheme, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ends := make(chan ConnInfo, 1)
			s := &Server{Handler: echoPath, OnConn: onClosed(ends)}
			taken := net.Listener(takenListener{l})
			if scheme == "TLS" {
				taken = tlsListener{taken, &tls.Config{Certificates: []tls.Certificate{cert}}}
			}
			start(t, s, taken)
			var nc net.Conn = dial(t, l)
			if scheme == "TLS" {
				nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
			}
			r := bufio.NewReader(nc)
			for i := range 3 {
				_, body := fetch(t, nc, r, fmt.Sprintf("/%d", i))
				require.Equal(t, fmt.Sprintf("/%d", i), body)
			}
			for info := range s.Conns() {
				require.Equal(t, "goroutine", info.Waiting)
			}
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, CloseShutdown, (<-ends).Reason)
		})
	}
}

// refusing is a descriptor that the poller cannot have; what happens meanwhile
// happens while it is being added.
type refusing struct {
	syscall.RawConn
	meanwhile func()
}

func (r refusing) Control(func(uintptr)) error {
	r.meanwhile()
	return errors.New("refused")
}

// A connection that was to be woken while the system refused it was once
// resumed by two goroutines: by the one that had woken it, and by the one that
// served it instead of the poller.
func TestARefusedConnectionIsResumedOnce(t *testing.T) {
	needPoller(t)
	set, err := (*ConnConfig)(nil).resolve(ServerRole)
	require.NoError(t, err)
	_, far := wiretest.Pair()
	var owner, after resumed
	c := newConn(far, ServerRole, set)
	c.pk.owner = &owner
	c.pk.on.Store(true)
	c.pk.rc = refusing{meanwhile: func() { c.last(CloseShutdown) }}
	if !c.park() {
		owner.resume() // as the Server does
	}
	sentinel := &Conn{pk: parking{owner: &after}}
	sentinel.woke()
	eventually(t, "what was submitted is served", func() bool { return after.n.Load() == 1 })
	require.EqualValues(t, 1, owner.n.Load())
}

// The sweep takes a parked connection for a moment to look at it. A shutdown in
// that moment finds nobody to wake, and once nobody woke it afterwards.
func TestAShutdownDuringALookIsNotLost(t *testing.T) {
	set, err := (*ConnConfig)(nil).resolve(ServerRole)
	require.NoError(t, err)
	_, far := wiretest.Pair()
	var owner resumed
	c := newConn(far, ServerRole, set)
	c.pk.owner = &owner
	c.pk.on.Store(true)
	require.True(t, c.pk.Park())
	require.True(t, c.pk.Unpark(), "as overdue does")
	c.last(CloseShutdown)
	c.parkAgain()
	eventually(t, "it is resumed", func() bool { return owner.n.Load() == 1 })
}

// Between a park and the look at what has changed meanwhile, the connection may
// be resumed, read half a head or answer, and be parked for something else. Who
// parked it once took it back then and went on as if nothing had been: half a
// head was lost, or one was read on that was answered.
func TestAConnectionThatWasParkedIsNotTakenBack(t *testing.T) {
	set, err := (*ConnConfig)(nil).resolve(ServerRole)
	require.NoError(t, err)
	for name, w := range map[string]wait{"idle": waitIdle, "in the middle of a head": waitHead} {
		t.Run(name, func(t *testing.T) {
			_, far := wiretest.Pair()
			var owner resumed
			c := newConn(far, ServerRole, set)
			c.pk.owner = &owner
			before := c.outlook()
			c.m.raise(levelNow, CloseServerClosed) // by somebody who finds nobody to wake
			require.True(t, c.leave(w, before), "it is not the caller's any more")
			eventually(t, "somebody is resumed to look", func() bool { return owner.n.Load() == 1 })
		})
	}
}

// Each answer is read before the next request is sent, so nearly every request
// wakes a connection that was parked. A wake-up that got lost would leave the
// client waiting.
func TestServedConnectionsParkAndWakeManyTimes(t *testing.T) {
	needPoller(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, &Server{Native: NativeHandlerFunc(echo)}, l)
	const conns = 4
	cycles := 100_000 / conns
	switch {
	case testing.Short():
		cycles /= 25
	case wiretest.Race: // takes three times as long
		cycles = 40_000 / conns
	}
	request, answer := []byte(get("/")), []byte("\r\n\r\n/")
	var all sync.WaitGroup
	for range conns {
		nc := dial(t, l)
		all.Go(func() {
			p := make([]byte, 512)
			for i := range cycles {
				if i%1000 == 0 { // a machine under load takes its time for all of them
					_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
				}
				if _, err := nc.Write(request); err != nil {
					t.Error(err)
					return
				}
				for n := 0; !bytes.HasSuffix(p[:n], answer); {
					m, err := nc.Read(p[n:])
					if n += m; err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

func TestCloseEndsThousandsOfWaitingConnections(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		const conns = 1500
		ends := make(chan ConnInfo, conns)
		var states sync.Map
		s := &Server{Handler: echoPath, OnConn: onClosed(ends), ConnState: func(nc net.Conn, state http.ConnState) { states.Store(nc, state) }}
		start(t, s, l)
		var clients []net.Conn
		for range conns {
			nc := dial(t, l)
			clients = append(clients, nc)
			fetch(t, nc, bufio.NewReader(nc), "/")
		}
		require.NoError(t, s.Close())
		for range conns {
			require.Equal(t, CloseServerClosed, (<-ends).Reason)
		}
		for _, nc := range clients {
			_, err := nc.Read(make([]byte, 1))
			require.Error(t, err)
		}
		eventually(t, "the server knows no connection any more", func() bool { return len(s.live()) == 0 })
		states.Range(func(_, state any) bool {
			require.Equal(t, http.StateClosed, state)
			return true
		})
	})
}

// A server leaves an idle connection whose age is over to its idle timeout, and
// says close when it is used again.
func TestAgedConnectionsAreHeardOnceMore(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 40)
		s := &Server{Handler: echoPath, KeepAlive: KeepAlive{MaxAge: 20 * time.Millisecond}, OnConn: onClosed(ends)}
		start(t, s, l)
		conns := make([]net.Conn, cap(ends))
		for i := range conns {
			conns[i] = dial(t, l)
		}
		eventually(t, "all are accepted, which is when their age begins", func() bool { return s.Stats().Accepted == int64(len(conns)) })
		time.Sleep(100 * time.Millisecond)
		require.Empty(t, ends)
		for _, nc := range conns {
			res, _ := fetch(t, nc, bufio.NewReader(nc), "/")
			require.True(t, res.Close)
			_ = nc.Close()
			require.Equal(t, CloseMaxAge, (<-ends).Reason)
		}
	})
}

func TestASweepEndsOnlyWhatIsOverdue(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		const each = 20
		ends := make(chan ConnInfo, 2*each)
		start(t, &Server{Handler: echoPath, ReadHeaderTimeout: 100 * time.Millisecond, OnConn: onClosed(ends)}, l)
		idle := make([]net.Conn, each)
		slow := make([]*net.TCPConn, each)
		for i := range each {
			idle[i], slow[i] = dial(t, l), dial(t, l)
			fetch(t, idle[i], bufio.NewReader(idle[i]), "/")
			_, err := io.WriteString(slow[i], "GET / HTTP/1.1\r\n")
			require.NoError(t, err)
		}
		for _, nc := range slow {
			res, _ := answerOf(t, bufio.NewReader(nc))
			require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
			require.NoError(t, nc.CloseWrite())
		}
		for range each {
			require.Equal(t, CloseHeadTimeout, (<-ends).Reason)
		}
		for _, nc := range idle {
			_, body := fetch(t, nc, bufio.NewReader(nc), "/still")
			require.Equal(t, "/still", body)
		}
		require.Empty(t, ends)
	})
}

// The poller takes a TLS connection after its handshake, when the server has
// long counted it in. With no plain connection beside it nobody looked at its
// timeouts once.
func TestIdleTLSConnectionsAreClosedInTime(t *testing.T) {
	ends := make(chan ConnInfo, 1)
	dial := overTLS(t, &Server{Handler: echoPath, IdleTimeout: time.Second, OnConn: onClosed(ends)})
	nc := dial()
	fetch(t, nc, bufio.NewReader(nc), "/")
	_, err := nc.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.Equal(t, CloseIdle, (<-ends).Reason)
}

// A TLS record can only be read whole, so a connection with a part of one blocks
// a goroutine, though it is at the poller. A shutdown passed it by once.
func TestShutdownEndsATLSConnectionWithAPartOfARecord(t *testing.T) {
	ends := make(chan ConnInfo, 1)
	s := &Server{Handler: echoPath, OnConn: onClosed(ends)}
	nc := overTLS(t, s)()
	fetch(t, nc, bufio.NewReader(nc), "/")
	_, err := nc.NetConn().Write([]byte("\x17\x03\x03"))
	require.NoError(t, err)
	c := parkedConn(t, s)
	eventually(t, "the record has begun", func() bool {
		if !c.pk.Unpark() {
			return false
		}
		defer c.parkAgain()
		return records(c.nc).head == len("\x17\x03\x03")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.Equal(t, CloseShutdown, (<-ends).Reason)
}

// Whoever has a Conn may close it while it waits. At the poller no read fails
// then, and the server went on waiting for it once.
func TestAWaitingConnectionMayBeEndedByAnyone(t *testing.T) {
	ways := map[string]func(*Conn){
		"Close":                  func(c *Conn) { _ = c.Close() },
		"CloseAfter":             func(c *Conn) { c.CloseAfter() },
		"the net.Conn is closed": func(c *Conn) { _ = c.NetConn().Close() },
	}
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		for name, end := range ways {
			t.Run(name, func(t *testing.T) {
				l := listen()
				conns := make(chan *Conn, 1)
				s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
					echo(x)
					conns <- x.Conn()
				})}
				start(t, s, l)
				nc := dial(t, l)
				fetch(t, nc, bufio.NewReader(nc), "/")
				c := <-conns
				if strings.Contains(t.Name(), "/poll/") {
					require.Same(t, c, parkedConn(t, s))
				}
				end(c)
				_, err := nc.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err)
				eventually(t, "the server knows no connection any more", func() bool { return len(s.live()) == 0 })
			})
		}
	})
}

func TestConnStateTellsTheSameWhicheverWayItWaits(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		states := make(chan http.ConnState, 100)
		s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hijack" {
				return
			}
			if nc, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = nc.Close()
			}
		}), ConnState: func(_ net.Conn, state http.ConnState) { states <- state }}
		start(t, s, l)
		expect := func(want ...http.ConnState) {
			t.Helper()
			for _, state := range want {
				require.Equal(t, state, <-states)
			}
		}
		nc := dial(t, l)
		expect(http.StateNew)
		r := bufio.NewReader(nc)
		for range 2 {
			fetch(t, nc, r, "/")
			expect(http.StateActive, http.StateIdle)
		}
		_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHo") // and a pause, in which nothing is told
		require.NoError(t, err)
		before := int64(2*len(get("/")) + len("GET / HTTP/1.1\r\nHo"))
		eventually(t, "a part of the head is there", func() bool { return s.live()[0].bytesIn.Load() == before })
		_, err = io.WriteString(nc, "st: a\r\n\r\n"+get("/2"))
		require.NoError(t, err)
		answerOf(t, r)
		answerOf(t, r)
		expect(http.StateActive, http.StateActive, http.StateIdle)
		require.NoError(t, nc.Close())
		expect(http.StateClosed)

		nc = dial(t, l)
		_, err = io.WriteString(nc, get("/hijack"))
		require.NoError(t, err)
		expect(http.StateNew, http.StateActive, http.StateHijacked)
		require.NoError(t, s.Close())
		require.Empty(t, states)
	})
}

// Whole megabytes go through connections that wait at the poller between
// exchanges, while other goroutines move their deadlines about.
func TestLargeBodiesWhileDeadlinesMove(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			go func() {
				for range 200 {
					by := time.Now().Add(20 * time.Second)
					if control.SetReadDeadline(by) != nil || control.SetWriteDeadline(by) != nil {
						return // the handler has returned
					}
					runtime.Gosched()
				}
			}()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(body)
		})}, l)
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		var all sync.WaitGroup
		for worker := range 6 {
			nc := dial(t, l)
			all.Go(func() {
				r := bufio.NewReader(nc)
				for i := range 4 {
					body := large[worker+i:]
					_, err := fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					if err != nil {
						t.Error(err)
						return
					}
					res, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(body, got) {
						t.Errorf("%d of %d octets came back: %v", len(got), len(body), err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// The goroutines that serve woken connections are shared: a handler that ends
// one badly must not take others with it.
func TestPanicsLeaveTheServerServing(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		const rounds = 2 * maxResting
		ends := make(chan ConnInfo, rounds)
		var logged lockedBuffer
		start(t, &Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/panic":
					panic("on purpose")
				case "/abort":
					panic(http.ErrAbortHandler)
				case "/goexit":
					runtime.Goexit()
				}
				_, _ = io.WriteString(w, r.URL.Path)
			}),
			ErrorLog: log.New(&logged, "", 0),
			OnConn:   onClosed(ends),
		}, l)
		bystander := dial(t, l)
		beside := bufio.NewReader(bystander)
		paths := []string{"/panic", "/abort", "/goexit"}
		for i := range rounds {
			nc := dial(t, l)
			r := bufio.NewReader(nc)
			fetch(t, nc, r, "/first")
			_, err := io.WriteString(nc, get(paths[i%len(paths)]))
			require.NoError(t, err)
			_, err = r.ReadByte()
			require.Equal(t, io.EOF, err, "no answer that could be taken for a whole one")
			require.Equal(t, CloseHandlerPanic, (<-ends).Reason)
			_, body := fetch(t, bystander, beside, "/bystander")
			require.Equal(t, "/bystander", body)
		}
		require.Equal(t, (rounds+2)/len(paths), strings.Count(logged.String(), "on purpose"), "ErrAbortHandler is not logged")
	})
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A client that pipelines on and on without reading made servers hold its
// answers without end (CVE-2013-4450). Here the answers that the network does not
// take stop the reading, and a stall ends the connection.
func TestAClientThatNeverReadsIsNotReadFor(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 1)
		answer := bytes.Repeat([]byte("x"), 1000)
		start(t, &Server{
			Native:       NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(200, "text/plain", answer) }),
			StallTimeout: 250 * time.Millisecond,
			OnConn:       onClosed(ends),
		}, l)
		nc := dial(t, l)
		require.NoError(t, nc.SetReadBuffer(8<<10))
		burst := []byte(strings.Repeat(get("/"), 100))
		sent := 0
		for {
			n, err := nc.Write(burst)
			sent += n
			if err != nil {
				require.False(t, isTimeout(err), "the server ends it, after %d octets", sent)
				break
			}
		}
		info := <-ends
		require.Equal(t, CloseWriteTimeout, info.Reason)
		require.ErrorIs(t, info.Err, fault.WriteTimeout)
		require.Less(t, info.BytesIn, int64(sent), "the server left requests unread")
		held := info.Requests*int64(len(answer)) - info.BytesOut
		require.Less(t, held, int64(64<<10), "answers are held back, of %d requests", info.Requests)
		require.Less(t, info.BytesIn-info.Requests*int64(len(get("/"))), int64(64<<10), "requests are held")
	})
}
