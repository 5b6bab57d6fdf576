package h1

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// crowd is a server in memory with a limit of connections, whose handler of
// /slow takes ten seconds.
func crowd(t *testing.T, s *Server) *aServer {
	s.Native = NativeHandlerFunc(func(x *Exchange) {
		if string(x.Path()) == "/slow" {
			time.Sleep(10 * time.Second)
		}
		echo(x)
	})
	l := wiretest.Listen()
	return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(t.Context()) })
}

func exchange(k *wiretest.Talk, path, connection string) {
	k.Send(get(path))
	expectEcho(k, path, connection)
}

func TestTheLongestIdleMakesRoomForOneMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 3})
		k := [...]*wiretest.Talk{a.talk(t), a.talk(t), a.talk(t)}
		for _, i := range []int{0, 1, 2, 0} { // so the second is idle for longest
			exchange(k[i], "/", "")
			time.Sleep(time.Second)
		}
		more := a.talk(t)
		begin := time.Now()
		exchange(more, "/more", "")
		require.LessOrEqual(t, time.Since(begin), lastLook)
		k[1].ExpectEOF()
		for _, still := range []*wiretest.Talk{k[0], k[2], more} {
			exchange(still, "/", "")
		}
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseReclaimed: 1}, a.Stats().Closed)
		require.EqualValues(t, 3, a.Stats().Open)
	})
}

// One that lingers carries no request, so it makes room before any that is idle.
// It was overlooked when it began to linger after the last look at all
// connections: one that had been idle for longest lost its place instead.
func TestLingeringMakesRoomWheneverItBegan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 3})
		k := [...]*wiretest.Talk{a.talk(t), a.talk(t), a.talk(t)}
		for i := range k {
			exchange(k[i], "/", "")
			time.Sleep(time.Second)
		}
		exchange(a.talk(t), "/first", "")
		k[0].ExpectEOF()
		k[2].Send("bad\r\n\r\n")
		k[2].ExpectLine("HTTP/1.1 400 Bad Request")
		synctest.Wait() // it lingers once all of the answer has gone out
		exchange(a.talk(t), "/more", "")
		exchange(k[1], "/", "")
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseReclaimed: 1, CloseBadPeer: 1}, a.Stats().Closed)
	})
}

// slowFIN is a listener whose connections take a while to return from CloseWrite,
// when the client has long seen the FIN.
type slowFIN struct{ net.Listener }

func (l slowFIN) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowFINConn{nc.(*wiretest.Conn)}, nil
}

type slowFINConn struct{ *wiretest.Conn }

func (c slowFINConn) CloseWrite() error {
	defer time.Sleep(100 * time.Millisecond)
	return c.Conn.CloseWrite()
}

// A client sees the FIN of a connection that lingers, and opens another. For a
// moment the server did not know of the lingering yet, or the one that was asked to
// go had not left, and an idle connection was closed in its place or beside it.
func TestLingeringSparesTheIdleFromFINToLeave(t *testing.T) {
	for name, tt := range map[string]struct {
		listen func(net.Listener) net.Listener
		leave  time.Duration // how long the server takes to see a connection off
	}{
		"at once":                        {func(l net.Listener) net.Listener { return l }, 0},
		"while the FIN is being sent":    {func(l net.Listener) net.Listener { return slowFIN{l} }, 0},
		"while it is on its way to end":  {func(l net.Listener) net.Listener { return l }, 100 * time.Millisecond},
		"while both take their time too": {func(l net.Listener) net.Listener { return slowFIN{l} }, 100 * time.Millisecond},
	} {
		inBubble(t, name, func(t *testing.T) {
			l := wiretest.Listen()
			s := &Server{MaxConns: 2, Native: NativeHandlerFunc(echo), ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					time.Sleep(tt.leave)
				}
			}}
			a := startOn(t, s, tt.listen(l), s.Serve, func() (net.Conn, error) { return l.Dial(t.Context()) })
			idle, lingers := a.talk(t), a.talk(t)
			exchange(idle, "/", "")
			time.Sleep(time.Second)
			lingers.Send("bad\r\n\r\n")
			lingers.ExpectLine("HTTP/1.1 400 Bad Request")
			_, err := io.ReadAll(lingers)
			require.NoError(t, err)
			exchange(a.talk(t), "/more", "")
			exchange(idle, "/", "")
			synctest.Wait()
			require.Equal(t, CloseCounts{CloseBadPeer: 1}, a.Stats().Closed)
		})
	}
}

// A connection without a request so far is as idle as any other.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 2})
		used, silent := a.talk(t), a.talk(t)
		time.Sleep(time.Minute)
		exchange(used, "/", "")
		more := a.talk(t)
		exchange(more, "/", "")
		silent.ExpectEOF()
		exchange(used, "/", "")
	})
}

func TestAcceptingWaitsWhileNobodyIsIdle(t *testing.T) {
	inBubble(t, "until one is idle for MinIdle", func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 2, KeepAlive: KeepAlive{MinIdle: 300 * time.Millisecond}})
		first, second := a.talk(t), a.talk(t)
		begin := time.Now()
		first.Send(get("/slow"))
		time.Sleep(100 * time.Millisecond)
		second.Send(get("/slow"))
		synctest.Wait()
		more := a.talk(t)
		more.Send(get("/more"))
		expectEcho(first, "/slow", "")
		expectEcho(second, "/slow", "")
		expectEcho(more, "/more", "")
		require.InDelta(t, 10300*time.Millisecond, time.Since(begin), float64(100*time.Millisecond))
		first.ExpectEOF()
		exchange(second, "/", "")
	})
	// MinIdle is for drains: nobody is to wait for long while others are idle.
	inBubble(t, "for half a second of MinIdle at the most", func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 1, KeepAlive: KeepAlive{MinIdle: time.Hour}})
		exchange(a.talk(t), "/", "")
		begin := time.Now()
		exchange(a.talk(t), "/more", "")
		require.InDelta(t, idleEnough, time.Since(begin), float64(2*lookAgain))
	})
	inBubble(t, "until one ends", func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 1})
		first := a.talk(t)
		first.Send("G")
		more := a.talk(t)
		more.Send(get("/more"))
		more.ExpectSilence(10 * time.Second)
		begin := time.Now()
		first.SendFIN()
		expectEcho(more, "/more", "")
		require.Zero(t, time.Since(begin))
	})
	// Clients that pause less than MinIdle are not cut in a pause: one of them is
	// told to come again.
	inBubble(t, "until one has been told", func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 2})
		busy := [...]*wiretest.Talk{a.talk(t), a.talk(t)}
		for _, k := range busy {
			exchange(k, "/", "")
		}
		more := a.talk(t)
		more.Send(get("/more"))
		time.Sleep(100 * time.Millisecond)
		exchange(busy[0], "/", "close")
		busy[0].ExpectEOF()
		busy[0].SendFIN()
		expectEcho(more, "/more", "")
		exchange(busy[1], "/", "")
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseReclaimed: 1}, a.Stats().Closed)
	})
	// Who was told to make room may be busy for long; others are asked then.
	inBubble(t, "for whoever is first", func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 2})
		slow, quick := a.talk(t), a.talk(t)
		exchange(slow, "/", "")
		exchange(quick, "/", "")
		more := a.talk(t)
		more.Send(get("/more"))
		time.Sleep(100 * time.Millisecond)
		slow.Send(get("/slow"))
		time.Sleep(100 * time.Millisecond)
		exchange(quick, "/", "close")
		begin := time.Now()
		quick.ExpectEOF()
		quick.SendFIN()
		expectEcho(more, "/more", "")
		require.Zero(t, time.Since(begin))
		expectEcho(slow, "/slow", "close")
	})
}

// stormy counts what the clients of a storm saw.
type stormy struct {
	answers, told, crossed atomic.Int64
}

// client makes requests one after the other, each on the connection of the
// one before if that is still open. A connection that the server closed while it
// was idle may cross the next request, which is then made again.
func (w *stormy) client(t *testing.T, dial func() (net.Conn, error), requests int, pause time.Duration) {
	var nc net.Conn
	var r *bufio.Reader
	for n := 0; n < requests; n++ {
		if nc == nil {
			var err error
			nc, err = dial()
			if !assertNoError(t, err) {
				return
			}
			r = bufio.NewReader(nc)
		}
		_, err := io.WriteString(nc, get("/"+strconv.Itoa(n)))
		var res *http.Response
		if err == nil {
			res, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			_ = nc.Close()
			nc = nil
			w.crossed.Add(1)
			n--
			continue
		}
		body, err := io.ReadAll(res.Body)
		if !assertNoError(t, err) {
			return
		}
		if string(body) != "/"+strconv.Itoa(n) {
			t.Errorf("request %d was answered with %q", n, body)
		}
		w.answers.Add(1)
		if res.Close {
			w.told.Add(1)
			_ = nc.Close()
			nc = nil
		}
		time.Sleep(pause)
	}
	if nc != nil { // it is held, for as long as the server lets it
		_, _ = r.ReadByte()
		_ = nc.Close()
	}
}

func assertNoError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// Ten times as many clients as there are places, each of which keeps what it
// has: all are served, and nobody is cut in an exchange.
func TestAStormOfTenTimesMaxConnsIsServed(t *testing.T) {
	const limit, clients, requests = 20, 200, 3
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		var mu sync.Mutex
		var open, most, cut int
		s := &Server{MaxConns: limit, KeepAlive: KeepAlive{MinIdle: 20 * time.Millisecond}, OnConn: func(e ConnEvent, info ConnInfo) {
			mu.Lock()
			defer mu.Unlock()
			switch e {
			case EventOpened:
				open++
			case EventClosed:
				open--
				if info.Err != nil && info.Reason != CloseServerClosed {
					cut++
				}
			}
			most = max(most, open)
		}}
		s.Native = NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(time.Millisecond)
			echo(x)
		})
		start(t, s, l)
		var w stormy
		var storm sync.WaitGroup
		for i := range clients {
			storm.Go(func() {
				w.client(t, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }, requests, time.Duration(i%3)*10*time.Millisecond)
			})
		}
		require.Eventually(t, func() bool { return w.answers.Load() == clients*requests || t.Failed() }, time.Minute, 10*time.Millisecond)
		_ = s.Close() // for those who hold on
		storm.Wait()
		st := s.Stats()
		t.Logf("told %d, crossed %d, %v", w.told.Load(), w.crossed.Load(), st.Closed)
		require.EqualValues(t, clients*requests, st.Requests, "whatever was begun was answered")
		require.LessOrEqual(t, most, limit+1)
		require.Zero(t, cut)
		require.Positive(t, st.Closed[CloseReclaimed])
	})
}

func TestShutdownIsNotHeldUpByWhoWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := crowd(t, &Server{MaxConns: 1})
		slow, more := a.talk(t), a.talk(t)
		slow.Send(get("/slow"))
		more.Send(get("/more"))
		time.Sleep(time.Second)
		require.NoError(t, a.Shutdown(t.Context()))
		expectEcho(slow, "/slow", "close")
		require.ErrorIs(t, <-a.served, http.ErrServerClosed)
	})
}

func TestASourcesSurplusIsTurnedAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var executed atomic.Int64
	s := &Server{MaxConnsPerSource: 2, Native: NativeHandlerFunc(func(x *Exchange) {
		executed.Add(1)
		echo(x)
	})}
	start(t, s, l)
	const refused = "HTTP/1.1 503 Service Unavailable\r\n"
	try := func() (net.Conn, string) {
		nc := dial(t, l)
		_, _ = io.WriteString(nc, get("/"))
		head, _ := bufio.NewReader(nc).ReadString('\n')
		return nc, head
	}
	first, head := try()
	require.Equal(t, "HTTP/1.1 200 OK\r\n", head)
	_, head = try()
	require.Equal(t, "HTTP/1.1 200 OK\r\n", head)
	for range 2 {
		_, head = try()
		require.Equal(t, refused, head)
	}
	require.EqualValues(t, 2, executed.Load())
	_ = first.Close()
	require.Eventually(t, func() bool {
		nc, head := try()
		_ = nc.Close()
		return head == "HTTP/1.1 200 OK\r\n"
	}, 10*time.Second, 10*time.Millisecond, "its place is free again")
	require.GreaterOrEqual(t, s.Stats().Closed[CloseRefused], int64(1))
}

// The answer that turns a connection away is a message like any other.
func TestWhoIsTurnedAwayIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := crowd(t, &Server{MaxConnsPerSource: 1, Source: func(net.Conn) string { return "all" }})
		first := a.talk(t)
		exchange(first, "/", "")
		second, third := a.talk(t), a.talk(t)
		res, err := http.ReadResponse(bufio.NewReader(second), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		require.True(t, res.Close)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "h1: there are too many connections from there\n", string(body))
		third.ExpectEOF() // twice as many as allowed
		second.SendFIN()
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseRefused: 2}, a.Stats().Closed)
		exchange(first, "/", "")
		first.SendFIN()
		first.ExpectEOF()
		synctest.Wait()
		exchange(a.talk(t), "/", "")
		synctest.Wait()
		require.Len(t, a.room.of, 1)
		require.Equal(t, map[sourceKey]int{{name: "all"}: 1}, a.room.sources)
	})
}

// ServeConn returns when the connection is over, also for one too many.
func TestServeConnTurnsAwayToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &Server{Native: NativeHandlerFunc(echo), MaxConnsPerSource: 1, Source: func(net.Conn) string { return "all" }}
		first := serveOne(t, s)
		exchange(first.Talk, "/", "")
		second := serveOne(t, s)
		second.ExpectHead("HTTP/1.1 503 Service Unavailable", "Connection: close")
		select {
		case <-second.done:
			t.Error("the client has not closed yet")
		default:
		}
		_ = second.near.Close()
		<-second.done
		require.Equal(t, CloseCounts{CloseRefused: 1}, s.Stats().Closed)
		exchange(first.Talk, "/", "")
	})
}

// A source that floods must not make others lose their place.
func TestASurplusReclaimsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := wiretest.Listen()
		source := make(chan string, 10)
		s := &Server{MaxConns: 2, MaxConnsPerSource: 1, Source: func(net.Conn) string { return <-source }, Native: NativeHandlerFunc(echo)}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(t.Context()) })
		source <- "quiet"
		source <- "flood"
		quiet, flood := a.talk(t), a.talk(t)
		exchange(quiet, "/", "")
		time.Sleep(time.Minute)
		exchange(flood, "/", "")
		for range 5 {
			source <- "flood"
			a.talk(t).ExpectEOF()
		}
		exchange(quiet, "/", "")
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseRefused: 5}, s.Stats().Closed)
	})
}

func TestASurplusOverTLSIsClosed(t *testing.T) {
	cert, roots := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	s := &Server{MaxConnsPerSource: 1, Handler: echoPath}
	start(t, s, l)
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	first, err := tls.Dial("tcp", l.Addr().String(), config)
	require.NoError(t, err)
	defer func() { _ = first.Close() }()
	_, err = tls.Dial("tcp", l.Addr().String(), config)
	require.Error(t, err)
	_, body := fetch(t, first, bufio.NewReader(first), "/kept")
	require.Equal(t, "/kept", body)
	eventually(t, "it is counted, a moment after it is closed", func() bool { return s.Stats().Closed[CloseRefused] == 1 })
}

type addrConn struct {
	net.Conn
	remote net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.remote }

func TestSourcesAreAddressesOrNetworks(t *testing.T) {
	of := func(addr net.Addr) sourceKey { return (&Server{}).sourceOf(addrConn{remote: addr}) }
	tcp := func(addr string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", addr)
		require.NoError(t, err)
		return a
	}
	tests := []struct {
		a, b net.Addr
		same bool
	}{
		{tcp("192.0.2.1:1"), tcp("192.0.2.1:2"), true},
		{tcp("192.0.2.1:1"), tcp("192.0.2.2:1"), false},
		{tcp("192.0.2.1:1"), tcp("[::ffff:192.0.2.1]:1"), true},
		{tcp("[2001:db8::1]:1"), tcp("[2001:db8::2:0:0:1]:1"), true},
		{tcp("[2001:db8::1]:1"), tcp("[2001:db8:0:1::1]:1"), false},
		{tcp("[fe80::1%lo]:1"), tcp("[fe80::2]:1"), true},
		{tcp("192.0.2.1:1"), namedAddr("192.0.2.1:9"), true},
	}
	for _, tt := range tests {
		require.Equal(t, tt.same, of(tt.a) == of(tt.b), "%v %v", tt.a, tt.b)
		require.NotZero(t, of(tt.a))
	}
	for _, unlimited := range []net.Addr{nil, namedAddr("mem:7"), &net.UnixAddr{Name: "/s", Net: "unix"}} {
		require.Zero(t, of(unlimited), "%v", unlimited)
	}
}
