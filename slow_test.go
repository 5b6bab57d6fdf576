package h1

// Slow peers: a slow but steady one is waited for, a trickle is not.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/sockinfo"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// readAllHTTP is readAll for net/http.
func readAllHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text := strconv.Itoa(len(body))
	if f, ok := errors.AsType[*fault.Error](err); ok {
		text += " " + f.Code.String()
	}
	_, _ = io.WriteString(w, text)
}

// drip sends n pieces of a body, one each interval, or until the connection is
// over.
func drip(v *served, piece string, interval time.Duration, n int) {
	for range n {
		select {
		case <-time.After(interval):
		case <-v.done:
			return
		}
		if _, err := io.WriteString(v.near, piece); err != nil {
			return
		}
	}
}

func TestASlowBody(t *testing.T) {
	slow := func(s *Server, test func(t *testing.T, v *served)) func(t *testing.T) {
		return func(t *testing.T) {
			if s.Native == nil && s.Handler == nil {
				s.Native = NativeHandlerFunc(readAll)
			}
			test(t, serveOne(t, s))
		}
	}
	head := func(n int) string {
		return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n"
	}
	inBubble(t, "that is steady is read to its end", slow(&Server{}, func(t *testing.T, v *served) {
		v.Send(head(600 * 300))
		drip(v, strings.Repeat("x", 300), time.Second, 600)
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("180000")
	}))
	inBubble(t, "with pauses within what it has in store is read to its end", slow(&Server{}, func(t *testing.T, v *served) {
		v.Send(head(5 * 20000))
		drip(v, strings.Repeat("x", 20000), 19*time.Second, 1)
		drip(v, strings.Repeat("x", 20000), 59*time.Second, 4)
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("100000")
	}))
	// slowhttptest's slow bodies: a few octets now and then.
	inBubble(t, "that is a trickle is given up", slow(&Server{}, func(t *testing.T, v *served) {
		v.Send(head(1 << 20))
		begin := time.Now()
		go drip(v, strings.Repeat("x", 24), 10*time.Second, 100) // each buys 100 ms
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("48 body_timeout")
		require.Equal(t, 20200*time.Millisecond, time.Since(begin))
		v.ExpectEOF()
		require.Equal(t, CloseBodyTimeout, v.over().Reason)
	}))
	inBubble(t, "of chunks that are a trickle is given up", slow(&Server{Handler: http.HandlerFunc(readAllHTTP)}, func(t *testing.T, v *served) {
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		begin := time.Now()
		go drip(v, "1\r\nx\r\n", 5*time.Second, 100) // six octets
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("4 body_timeout")
		require.Equal(t, 20*time.Second+4*25*time.Millisecond, time.Since(begin))
	}))
	inBubble(t, "of which much came at first is given up after a minute of trickling", slow(&Server{}, func(t *testing.T, v *served) {
		v.Send(head(1 << 20))
		v.Send(strings.Repeat("x", 1<<19))
		synctest.Wait()
		begin := time.Now()
		go drip(v, "x", 20*time.Second, 100)
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		require.InDelta(t, 60, time.Since(begin).Seconds(), 0.1)
	}))
	inBubble(t, "is not blamed for a slow handler", slow(&Server{Native: NativeHandlerFunc(func(x *Exchange) {
		for range 10 {
			time.Sleep(30 * time.Second)
			_, _ = io.ReadFull(x, make([]byte, 10))
		}
		readAll(x)
	})}, func(t *testing.T, v *served) {
		v.Send(head(101))
		v.Send(strings.Repeat("x", 100))
		time.Sleep(300 * time.Second)
		v.Send("x")
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("1")
	}))
	inBubble(t, "has the rate that was asked for", slow(&Server{Limits: Limits{MinReadRate: Rate{BytesPerSecond: 1000, Grace: 2200 * time.Millisecond}}}, func(t *testing.T, v *served) {
		v.Send(head(1 << 20))
		begin := time.Now()
		go drip(v, strings.Repeat("x", 500), time.Second, 100)
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("1500 body_timeout")
		require.Equal(t, 3700*time.Millisecond, time.Since(begin))
	}))
	lift := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		readAllHTTP(w, r)
	}
	inBubble(t, "may be a trickle when the handler says so", slow(&Server{Handler: http.HandlerFunc(lift)}, func(t *testing.T, v *served) {
		v.Send(head(10))
		drip(v, "x", 59*time.Second, 9)
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("9 body_timeout")
		require.Equal(t, time.Minute, time.Since(begin), "silence is still limited")
	}))
	inBubble(t, "may be a trickle for that request only", slow(&Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lift" {
			lift(w, r)
			return
		}
		readAllHTTP(w, r)
	})}, func(t *testing.T, v *served) {
		v.Send(post("/lift", "x"))
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("1")
		v.Send(head(10))
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("0 body_timeout")
		require.Equal(t, 20*time.Second, time.Since(begin))
	}))
}

// A TLS record of 16 KiB is given to the reader when all of it is there; a
// client that needs longer for it than a minute is slow and no trickle.
func TestASlowTLSRecordIsRead(t *testing.T) {
	cert, _ := certificate(t)
	bubble(t, func(t *testing.T) {
		l := wiretest.Listen()
		s := &Server{Native: NativeHandlerFunc(readAll), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		go func() { _ = s.ServeTLS(l, "", "") }()
		defer s.Close()
		raw, err := l.Dial(t.Context())
		require.NoError(t, err)
		wire := &slowWire{Conn: raw}
		nc := tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
		k := wiretest.NewTalk(t, nc)
		k.Patience = time.Hour
		k.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n")
		wire.rate = 250
		begin := time.Now()
		k.Send(strings.Repeat("x", 50000))
		k.ExpectHead("HTTP/1.1 200 OK")
		k.Expect("50000")
		require.Greater(t, time.Since(begin), 3*time.Minute)

		wire.rate = 0
		k.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n")
		wire.rate = 100
		begin = time.Now()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = nc.Write(make([]byte, 50000))
		}()
		k.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		k.Expect("0 body_timeout")
		require.InDelta(t, 20./(1-100./240), time.Since(begin).Seconds(), 3)
		_ = raw.Close()
		<-sent
	})
}

// slowWire writes at that many octets each second.
type slowWire struct {
	net.Conn
	rate int
}

func (w *slowWire) Write(p []byte) (int, error) {
	if w.rate == 0 {
		return w.Conn.Write(p)
	}
	for n := 0; n < len(p); n += w.rate {
		time.Sleep(time.Second)
		if _, err := w.Conn.Write(p[n:min(n+w.rate, len(p))]); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// sip reads n octets each second, until the end or size of them.
func sip(r io.Reader, n, size int) (total int) {
	for total < size {
		time.Sleep(time.Second)
		m, err := io.ReadFull(r, make([]byte, min(n, size-total)))
		if total += m; err != nil {
			break
		}
	}
	return total
}

func TestASlowReader(t *testing.T) {
	const size = 4 << 20
	type result struct {
		took time.Duration
		err  error
	}
	// The answer is one single write, for which the room is far too small.
	slow := func(s *Server, rate int, before func(x *Exchange), test func(t *testing.T, v *served, got int, r result)) func(t *testing.T) {
		return func(t *testing.T) {
			written := make(chan result, 1)
			s.Native = NativeHandlerFunc(func(x *Exchange) {
				if before != nil {
					before(x)
				}
				begin := time.Now()
				x.SetContentLength(size)
				_, err := x.Write(make([]byte, size))
				written <- result{time.Since(begin), err}
			})
			v := serveSized(t, s, 64<<10)
			v.Send(get("/"))
			v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: "+strconv.Itoa(size))
			got := 0
			if rate > 0 {
				got = sip(v, rate, size)
			}
			test(t, v, got, <-written)
		}
	}
	whole := func(t *testing.T, v *served, got int, r result) {
		require.NoError(t, r.err)
		require.Greater(t, r.took, 3*time.Minute)
		require.Equal(t, size, got)
		require.Equal(t, ClosePeerEOF, v.over().Reason)
	}
	cutAfter := func(seconds float64) func(t *testing.T, v *served, got int, r result) {
		return func(t *testing.T, v *served, got int, r result) {
			require.ErrorIs(t, r.err, fault.WriteTimeout)
			require.InDelta(t, seconds, r.took.Seconds(), 2)
			require.Equal(t, CloseWriteTimeout, v.over().Reason)
		}
	}
	inBubble(t, "that is steady gets all of one large write", slow(&Server{}, 20<<10, nil, whole))
	inBubble(t, "at no great rate gets all of it", slow(&Server{KeepAlive: KeepAlive{MaxAge: -1, IdleTimeout: -1}}, 300, nil, whole))
	inBubble(t, "that trickles does not", slow(&Server{}, 100, nil, cutAfter(95)))
	inBubble(t, "that does not read at all does not", slow(&Server{}, 0, nil, cutAfter(60)))
	inBubble(t, "has the rate that was asked for", slow(&Server{Limits: Limits{MinWriteRate: Rate{BytesPerSecond: 10000}}}, 5000, nil, cutAfter((20+64<<10/10000)/(1-5000./10000))))
	inBubble(t, "has no rate where there is none", slow(&Server{Limits: Limits{MinWriteRate: Rate{BytesPerSecond: -1}}}, 2000, nil, whole))
	inBubble(t, "may take its time when the handler says so", slow(&Server{Limits: Limits{MinWriteRate: Rate{BytesPerSecond: 1 << 20}}}, 8192,
		func(x *Exchange) { x.SetWriteDeadline(time.Time{}) }, whole))
	inBubble(t, "has until the handler's own deadline", slow(&Server{}, 8192,
		func(x *Exchange) { x.SetWriteDeadline(time.Now().Add(90 * time.Second)) }, cutAfter(90)))
	// The deadline used to wait for the write that it was to end.
	inBubble(t, "is cut by a deadline that is set meanwhile", slow(&Server{}, 8192,
		func(x *Exchange) {
			time.AfterFunc(30*time.Second, func() { x.SetWriteDeadline(time.Now().Add(time.Second)) })
		}, cutAfter(31)))
	inBubble(t, "lives by a deadline that is moved meanwhile", slow(&Server{}, 8192, func(x *Exchange) {
		x.SetWriteDeadline(time.Now().Add(30 * time.Second))
		time.AfterFunc(20*time.Second, func() { x.SetWriteDeadline(time.Now().Add(time.Hour)) })
	}, whole))
}

// Systems hold megabytes of an answer, and let the server write more only when a
// good part of that has gone: its writes wait for long though all goes well.
func TestASlowReaderBehindLargeBuffers(t *testing.T) {
	const size, rate = 4 << 20, 500 << 10
	cert, _ := certificate(t)
	name, _ := someFile(t, size)
	handlers := map[string]http.HandlerFunc{
		"one write": func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, size)) },
		"a file":    func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) },
	}
	dials := map[string]func(s *Server, l net.Listener) (net.Conn, error){
		"TCP": func(s *Server, l net.Listener) (net.Conn, error) {
			go func() { _ = s.Serve(bigBuffers{l}) }()
			return narrowDial(l)
		},
		"TLS": func(s *Server, l net.Listener) (net.Conn, error) {
			go func() { _ = s.ServeTLS(bigBuffers{l}, "", "") }()
			nc, err := narrowDial(l)
			if err != nil {
				return nil, err
			}
			return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil
		},
	}
	for how, dial := range dials {
		for what, handler := range handlers {
			t.Run(what+" over "+how, func(t *testing.T) {
				t.Parallel()
				const patience = 1500 * time.Millisecond
				read := func() (longest time.Duration, err error) {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					require.NoError(t, err)
					ends := make(chan ConnInfo, 1)
					s := &Server{
						Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
						StallTimeout: patience, Limits: Limits{MinWriteRate: Rate{BytesPerSecond: rate / 8}},
						OnConn: onClosed(ends),
					}
					defer s.Close()
					nc, err := dial(s, l)
					require.NoError(t, err)
					defer nc.Close()
					_, err = io.WriteString(nc, get("/"))
					require.NoError(t, err)
					longest, got, err := readSlowly(nc, size/3, rate/20)
					if err == nil {
						_, err = io.Copy(io.Discard, io.LimitReader(nc, int64(size-got)))
					}
					nc.Close()
					if end := <-ends; end.Reason == CloseWriteTimeout {
						err = end.Err
					}
					return longest, err
				}
				longest, err := read()
				for tries := 1; err != nil && longest > patience/2 && tries < 10; tries++ {
					t.Logf("%v, but the reader itself stood still for %v: once more", err, longest)
					longest, err = read()
				}
				require.NoError(t, err, "the reader never stood still for more than %v", longest)
			})
		}
	}
}

// readSlowly reads size octets, a piece every 50 ms. It tells what it got, and the
// longest time from one piece to the next.
func readSlowly(nc net.Conn, size, piece int) (longest time.Duration, got int, err error) {
	p := make([]byte, piece)
	last := time.Now()
	for time.Sleep(100 * time.Millisecond); got < size && err == nil; time.Sleep(50 * time.Millisecond) {
		var n int
		n, err = io.ReadFull(nc, p)
		got += n
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
	return longest, got, err
}

// bigBuffers is a listener whose connections hold much of what is sent.
type bigBuffers struct{ net.Listener }

func (l bigBuffers) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		_ = nc.(*net.TCPConn).SetWriteBuffer(1 << 20)
	}
	return nc, err
}

// narrowDial opens a connection whose own end holds little.
func narrowDial(l net.Listener) (net.Conn, error) {
	nc, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		_ = nc.(*net.TCPConn).SetReadBuffer(32 << 10)
	}
	return nc, err
}

// A few octets that a transfer coding makes very many of are a bomb.
func TestABombIsDefused(t *testing.T) {
	bomb := func(codings []string, size int) string {
		var text bytes.Buffer
		w, err := encodeStack(codings, &text)
		require.NoError(t, err)
		_, err = io.CopyN(w, nothing{}, int64(size))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " + strings.Join(codings, ", ") + ", chunked\r\n\r\n" +
			strconv.FormatInt(int64(text.Len()), 16) + "\r\n" + text.String() + "\r\n0\r\n\r\n"
	}
	tests := []struct {
		name    string
		codings []string
		size    int
		limits  Limits
		bomb    bool
	}{
		{"gzip", []string{"gzip"}, 16 << 20, Limits{}, true},
		{"deflate", []string{"deflate"}, 16 << 20, Limits{}, true},
		{"gzip in gzip", []string{"gzip", "gzip"}, 32 << 20, Limits{}, true},
		{"a MiB is no harm", []string{"gzip", "gzip"}, 1 << 20, Limits{}, false},
		{"where it is wanted", []string{"gzip"}, 8 << 20, Limits{InflateRatio: -1}, false},
		{"over a limit of one's own", []string{"gzip"}, 8 << 20, Limits{InflateRatio: 500}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan int64, 1)
			v := serveOne(t, &Server{TransferCodings: []string{"gzip", "deflate"}, Limits: tt.limits,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n, err := io.Copy(io.Discard, r.Body)
					got <- n
					if err != nil {
						require.ErrorIs(t, err, fault.BodyTooLarge)
						w.WriteHeader(http.StatusRequestEntityTooLarge)
					}
				})})
			v.Send(bomb(tt.codings, tt.size) + get("/smuggled"))
			if !tt.bomb {
				v.ExpectHead("HTTP/1.1 200 OK")
				require.EqualValues(t, tt.size, <-got)
				return
			}
			v.ExpectHead("HTTP/1.1 413 Request Entity Too Large", "Connection: close")
			v.ExpectEOF()
			require.Less(t, <-got, int64(2<<20))
			info := v.over()
			require.Equal(t, CloseBadPeer, info.Reason)
			require.ErrorIs(t, info.Err, fault.BodyTooLarge)
		})
	}
}

// A line end between two requests is passed over (RFC 9112 section 2.2). It used
// to begin the time of a head, so that a client that was only idle got a 408.
func TestLineEndsBetweenRequestsBeginNone(t *testing.T) {
	server := func() *Server { return &Server{Native: NativeHandlerFunc(echo)} }
	for name, pieces := range map[string][]string{
		"with the body":    {post("/1", "x") + "\r\n"},
		"behind it":        {post("/1", "x"), "\r\n"},
		"in two pieces":    {post("/1", "x"), "\r", "\n"},
		"cut at the CR":    {post("/1", "x") + "\r", "\n"},
		"and a second one": {post("/1", "x") + "\r\n", "\r\n"},
	} {
		inBubble(t, name, func(t *testing.T) {
			var states states
			s := server()
			s.ConnState = states.note
			v := serveOne(t, s)
			for _, piece := range pieces {
				v.Send(piece)
				synctest.Wait()
			}
			expectEcho(v.Talk, "/1", "")
			v.ExpectSilence(70 * time.Second)
			require.Equal(t, "new active idle", states.String())
			v.Send(get("/2"))
			expectEcho(v.Talk, "/2", "")
		})
	}
	// go#51614: a few octets and then silence outlived the idle timeout.
	inBubble(t, "and do not prolong the idle time (go#51614)", func(t *testing.T) {
		v := serveOne(t, server())
		begin := time.Now()
		for range 4 {
			time.Sleep(10 * time.Second)
			v.Send("\r\n")
		}
		v.ExpectEOF()
		require.InDelta(t, 75, time.Since(begin).Seconds(), 0.01)
		require.Equal(t, CloseIdle, v.over().Reason)
	})
	inBubble(t, "but only so many", func(t *testing.T) {
		v := serveOne(t, server())
		v.Send("\r\n\r\n")
		synctest.Wait()
		v.Send("\r\n\r\n")
		synctest.Wait()
		v.Send("\r\n")
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 408 Request Timeout", "Connection: close")
		require.Equal(t, 20*time.Second, time.Since(begin))
	})
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 1)
		s := server()
		s.IdleTimeout, s.ReadHeaderTimeout, s.OnConn = 4*time.Second, 20*time.Millisecond, onClosed(ends)
		start(t, s, l)
		k := wiretest.NewTalk(t, dial(t, l))
		k.Send(post("/1", "x") + "\r\n")
		expectEcho(k, "/1", "")
		k.Send("\r\n")
		time.Sleep(100 * time.Millisecond)
		k.Send(get("/2"))
		expectEcho(k, "/2", "")
		k.Send("\r\n")
		k.ExpectEOF()
		require.Equal(t, CloseIdle, (<-ends).Reason)
	})
}

// Linux takes up to 4 MiB of what is written, and a few hundred clients that did
// not read cost a gigabyte that no figure of this process showed.
func TestAClientThatDoesNotReadCostsTheSystemLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: other systems hold less, and do not tell")
	}
	name, _ := someFile(t, 16<<20)
	for what, handler := range map[string]http.HandlerFunc{
		"one write": func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 16<<20)) },
		"a file":    func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) },
		"small answers": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, 2000))
		},
	} {
		t.Run(what, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			far := make(chan *net.TCPConn, 1)
			s := &Server{Handler: handler, ConnState: func(nc net.Conn, state http.ConnState) {
				if state == http.StateNew {
					far <- nc.(*net.TCPConn)
				}
			}}
			start(t, s, l)
			nc := dial(t, l)
			require.NoError(t, nc.SetReadBuffer(4<<10))
			_, err = io.WriteString(nc, strings.Repeat(get("/"), 5000))
			require.NoError(t, err)
			server, held, still := <-far, int64(-1), 0
			for still < 50 { // until it grows no more
				time.Sleep(10 * time.Millisecond)
				now, ok := sockinfo.Unacked(server)
				require.True(t, ok)
				if still++; now != held {
					held, still = now, 0
				}
			}
			t.Logf("the system holds %d octets", held)
			require.Greater(t, held, int64(unsent/2))
			require.Less(t, held, int64(512<<10))
		})
	}
}

// A client that does not come to an end with its handshake is as slow as one
// that does not with its head.
func TestATLSHandshakeHasToComeInTime(t *testing.T) {
	cert, _ := certificate(t)
	for name, octet := range map[string]string{"silence": "", "a trickle": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"} {
		inBubble(t, name, func(t *testing.T) {
			l := wiretest.Listen()
			ends := make(chan ConnInfo, 1)
			s := &Server{Native: NativeHandlerFunc(echo), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
				ErrorLog: log.New(io.Discard, "", 0), OnConn: onClosed(ends)}
			go func() { _ = s.ServeTLS(l, "", "") }()
			defer s.Close()
			nc, err := l.Dial(t.Context())
			require.NoError(t, err)
			begin := time.Now()
			for i := range octet {
				_, err := nc.Write([]byte{octet[i]})
				require.NoError(t, err)
				time.Sleep(1900 * time.Millisecond)
			}
			_, err = nc.Read(make([]byte, 1))
			require.Error(t, err)
			require.InDelta(t, 20, time.Since(begin).Seconds(), 0.1)
			info := <-ends
			require.Equal(t, CloseTLSFailed, info.Reason)
			require.NoError(t, nc.Close())
		})
	}
}
