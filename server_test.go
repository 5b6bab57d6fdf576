package h1

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// kept are the goroutines that the process keeps for all servers.
var kept = []string{"internal/poll", "(*dispatcher).work"}

// ending is one way for a connection to end.
type ending struct {
	name   string
	server Server
	native NativeHandlerFunc // echo when neither it nor the server's Handler is set
	client func(v *served)
	reason CloseReason
	err    error // in ConnInfo.Err
}

// Each way for a connection to end gives its reason, to OnConn and afterwards.
var endings = []*ending{
	{
		name:   "the client says close",
		client: func(v *served) { v.Send(get("/", "Connection: close")); expectEcho(v.Talk, "/", "close") },
		reason: ClosePeerAsked,
	}, {
		name:   "the native handler calls CloseAfter",
		native: func(x *Exchange) { x.CloseAfter(); echo(x) },
		client: func(v *served) { v.Send(get("/")); expectEcho(v.Talk, "/", "close") },
		reason: CloseLocalAsked,
	}, {
		name:   "the native handler sets Connection",
		native: func(x *Exchange) { _ = x.SetField("connection", "x, Close"); echo(x) },
		client: func(v *served) { v.Send(get("/")); expectEcho(v.Talk, "/", "close, x") },
		reason: CloseLocalAsked,
	}, {
		name: "the http.Handler sets Connection",
		server: Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, "/")
		})},
		client: func(v *served) { v.Send(get("/")); expectEcho(v.Talk, "/", "close") },
		reason: CloseLocalAsked,
	}, {
		name:   "the native handler calls Conn.Close",
		native: func(x *Exchange) { _ = x.Conn().Close(); echo(x) },
		client: func(v *served) { v.Send(get("/")) },
		reason: CloseLocalAsked,
	}, {
		name:   "a tunnel that the handler ends",
		native: func(x *Exchange) {},
		client: func(v *served) {
			v.Send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
			v.ExpectHead("HTTP/1.1 200 OK")
		},
		reason: CloseLocalAsked,
	}, {
		name:   "HTTP/1.0",
		client: func(v *served) { v.Send("GET / HTTP/1.0\r\n\r\n"); expectEcho(v.Talk, "/", "close") },
		reason: CloseHTTP10,
	}, {
		name:   "the number of requests",
		server: Server{KeepAlive: KeepAlive{MaxRequests: 1}},
		client: func(v *served) { v.Send(get("/")); expectEcho(v.Talk, "/", "close") },
		reason: CloseMaxRequests,
	}, {
		name:   "age",
		server: Server{KeepAlive: KeepAlive{MaxAge: time.Nanosecond, IdleTimeout: -1}},
		client: func(v *served) {},
		reason: CloseMaxAge,
	}, {
		name:   "idleness",
		server: Server{IdleTimeout: time.Second},
		client: func(v *served) {},
		reason: CloseIdle,
	}, {
		name: "Shutdown while idle",
		client: func(v *served) {
			v.Send(get("/"))
			expectEcho(v.Talk, "/", "")
			synctest.Wait()
			_ = v.s.Shutdown(context.Background())
		},
		reason: CloseShutdown,
	}, {
		name:   "Shutdown during an exchange",
		native: func(x *Exchange) { time.Sleep(time.Second); echo(x) },
		client: func(v *served) {
			v.Send(get("/"))
			synctest.Wait()
			go func() { _ = v.s.Shutdown(context.Background()) }()
			expectEcho(v.Talk, "/", "close")
		},
		reason: CloseShutdown,
	}, {
		name: "Close",
		client: func(v *served) {
			synctest.Wait()
			_ = v.s.Close()
		},
		reason: CloseServerClosed,
	}, {
		name: "SetKeepAlivesEnabled(false) while idle",
		client: func(v *served) {
			v.Send(get("/"))
			expectEcho(v.Talk, "/", "")
			synctest.Wait()
			v.s.SetKeepAlivesEnabled(false)
		},
		reason: CloseDisabled,
	}, {
		// The connection used to be closed before its first request.
		name: "SetKeepAlivesEnabled(false) from the start",
		client: func(v *served) {
			v.s.SetKeepAlivesEnabled(false)
			v.Send(get("/"))
			expectEcho(v.Talk, "/", "close")
		},
		reason: CloseDisabled,
	}, {
		name:   "SetKeepAlivesEnabled(false) during an exchange",
		native: func(x *Exchange) { time.Sleep(time.Second); echo(x) },
		client: func(v *served) {
			v.Send(get("/"))
			synctest.Wait()
			v.s.SetKeepAlivesEnabled(false)
			expectEcho(v.Talk, "/", "close")
		},
		reason: CloseDisabled,
	}, {
		name:   "KeepAlive.Disable for a native handler's request",
		server: Server{KeepAlive: KeepAlive{Disable: func(r RequestHead) bool { return string(r.Field("User-Agent")) == "old" }}},
		client: func(v *served) {
			v.Send(get("/kept"))
			expectEcho(v.Talk, "/kept", "")
			v.Send("GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: old\r\n\r\n")
			expectEcho(v.Talk, "/", "close")
		},
		reason: CloseDisabled,
	}, {
		name: "KeepAlive.Disable for a net/http handler's request",
		server: Server{
			KeepAlive: KeepAlive{Disable: func(r RequestHead) bool { return string(r.Method()) == "DELETE" }},
			Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "/") }),
		},
		client: func(v *served) {
			v.Send("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")
			expectEcho(v.Talk, "/", "close")
		},
		reason: CloseDisabled,
	}, {
		name:   "a body until close",
		native: func(x *Exchange) { _, _ = x.WriteString("abc"); _ = x.Flush() },
		client: func(v *served) {
			v.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
			v.Expect("abc")
		},
		reason: CloseUntilClose,
	}, {
		name:   "an unread body",
		server: Server{Limits: Limits{DrainBytes: 1}},
		client: func(v *served) { v.Send(post("/", "abc")); expectEcho(v.Talk, "/", "close") },
		reason: CloseUndrained,
	}, {
		name:   "a body that is shorter than its declared length",
		native: func(x *Exchange) { x.SetContentLength(4); _, _ = x.WriteString("abc") },
		client: func(v *served) {
			v.Send(get("/") + get("/smuggled"))
			v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 4")
			v.Expect("abc")
		},
		reason: CloseIncomplete,
		err:    fault.BodyLength,
	}, {
		name: "a bad request",
		client: func(v *served) {
			v.Send("GET  / HTTP/1.1\r\n\r\n")
			v.ExpectHead("HTTP/1.1 400 Bad Request", "Connection: close")
			v.Expect("h1: sent an invalid request target\n")
		},
		reason: CloseBadPeer,
		err:    fault.BadTarget,
	}, {
		name: "a head that does not come",
		client: func(v *served) {
			v.Send("GET")
			v.ExpectHead("HTTP/1.1 408 Request Timeout", "Connection: close")
			v.Expect("h1: took too long to send a head\n")
		},
		reason: CloseHeadTimeout,
		err:    fault.HeadTimeout,
	}, {
		name:   "a body that does not come",
		native: readAll,
		client: func(v *served) {
			v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n")
			v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
			v.Expect("0 body_timeout")
		},
		reason: CloseBodyTimeout,
		err:    fault.BodyTimeout,
	}, {
		name:   "the client's FIN",
		client: func(v *served) { v.SendFIN() },
		reason: ClosePeerEOF,
	}, {
		name:   "the client's FIN in a head",
		client: func(v *served) { v.Send("GET"); v.SendFIN() },
		reason: ClosePeerEOF,
		err:    io.ErrUnexpectedEOF,
	}, {
		name:   "the client's FIN in a body",
		native: readAll,
		client: func(v *served) {
			v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx")
			v.SendFIN()
			v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
			v.Expect("1 unexpected_eof")
		},
		reason: ClosePeerEOF,
		err:    io.ErrUnexpectedEOF,
	}, {
		name:   "a reset",
		client: func(v *served) { synctest.Wait(); _ = v.near.Reset() },
		reason: CloseReadFailed,
		err:    fault.ReadFailed,
	}, {
		name:   "a reset before the answer",
		native: func(x *Exchange) { time.Sleep(time.Second); echo(x) },
		client: func(v *served) { v.Send(get("/")); synctest.Wait(); _ = v.near.Reset() },
		reason: CloseWriteFailed,
		err:    fault.WriteFailed,
	}, {
		name: "an answer that is not taken",
		native: func(x *Exchange) {
			for {
				if _, err := x.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		},
		client: func(v *served) { v.Send(get("/")); time.Sleep(time.Hour) },
		reason: CloseWriteTimeout,
		err:    fault.WriteTimeout,
	}, {
		name:   "a panic",
		server: Server{ErrorLog: log.New(io.Discard, "", 0)},
		native: func(x *Exchange) { panic("oops") },
		client: func(v *served) { v.Send(get("/")) },
		reason: CloseHandlerPanic,
		err:    fault.BadResponse,
	}, {
		name: "http.ErrAbortHandler",
		server: Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			panic(http.ErrAbortHandler)
		})},
		client: func(v *served) { v.Send(get("/")) },
		reason: CloseHandlerPanic,
		err:    fault.BadResponse,
	}, {
		name:   "runtime.Goexit in the handler",
		native: func(x *Exchange) { runtime.Goexit() },
		client: func(v *served) { v.Send(get("/")) },
		reason: CloseHandlerPanic,
		err:    fault.BadResponse,
	}, {
		name: "Hijack",
		native: func(x *Exchange) {
			nc, _, _ := x.Hijack()
			_ = nc.Close()
		},
		client: func(v *served) { v.Send(get("/")) },
		reason: CloseHijacked,
	},
}

func TestEachEndHasItsReason(t *testing.T) {
	for _, e := range endings {
		inBubble(t, e.name, func(t *testing.T) {
			s := &Server{
				Handler: e.server.Handler, Native: e.server.Native, KeepAlive: e.server.KeepAlive, Limits: e.server.Limits,
				IdleTimeout: e.server.IdleTimeout, ErrorLog: e.server.ErrorLog,
			}
			if s.Native == nil && s.Handler == nil {
				s.Native = NativeHandlerFunc(echo)
				if e.native != nil {
					s.Native = e.native
				}
			}
			var logged bytes.Buffer
			s.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			var ends int
			s.OnConn = func(event ConnEvent, info ConnInfo) {
				if event == EventClosed || event == EventHijacked {
					ends++
				}
			}
			v := serveOne(t, s)
			e.client(v)
			switch e.reason {
			case CloseReadFailed, CloseWriteFailed, CloseWriteTimeout:
			default:
				v.ExpectEOF()
			}
			info := v.over()
			require.Equal(t, e.reason, info.Reason)
			require.True(t, info.Closing)
			require.Equal(t, 1, ends)
			st := s.Stats()
			require.Equal(t, CloseCounts{e.reason: 1}, st.Closed)
			require.Equal(t, []int64{1, 0}, []int64{st.Accepted, st.Open})
			require.Equal(t, []int64{info.Requests, info.BytesIn, info.BytesOut}, []int64{st.Requests, st.BytesIn, st.BytesOut})
			require.Equal(t, []string{e.reason.String()}, loggedEnds(t, &logged))
			if e.err != nil {
				require.ErrorIs(t, info.Err, e.err)
			} else {
				require.NoError(t, info.Err)
			}
		})
	}
}

// slowClose is a connection whose Close takes so long that whoever read or wrote
// is told of it first.
type slowClose struct{ *wiretest.Conn }

func (c slowClose) Close() error {
	defer synctest.Wait()
	return c.Conn.Close()
}

// The read that a close ends fails, and could be taken for what had ended the
// connection, when it was noticed before the close was told of.
func TestTheReadThatACloseEndsIsNotItsError(t *testing.T) {
	closed := func(t *testing.T, s *Server, wire string) ConnInfo {
		near, far := wiretest.PairSize(16 << 10)
		defer near.Close()
		ends := make(chan ConnInfo, 1)
		s.OnConn = onClosed(ends)
		go func() { _ = s.ServeConn(slowClose{far}) }()
		_, err := io.WriteString(near, wire)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, s.Close())
		return <-ends
	}
	for name, tt := range map[string]struct {
		native func(x *Exchange)
		wire   string
	}{
		"while it waits for a request": {echo, ""},
		"in a head":                    {echo, "GET"},
		"in a body":                    {readAll, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx"},
		"in an answer":                 {func(x *Exchange) { _, _ = x.Write(make([]byte, 1<<20)) }, get("/")},
	} {
		inBubble(t, name, func(t *testing.T) {
			info := closed(t, &Server{Native: NativeHandlerFunc(tt.native)}, tt.wire)
			require.Equal(t, CloseServerClosed, info.Reason)
			require.NoError(t, info.Err)
		})
	}
}

// loggedEnds are the reasons that a server's slog records give for ends.
func loggedEnds(t *testing.T, logged io.Reader) (reasons []string) {
	for d := json.NewDecoder(logged); ; {
		var r struct {
			Level, Msg string
			Conn       struct{ Reason string }
		}
		err := d.Decode(&r)
		if err == io.EOF {
			return reasons
		}
		require.NoError(t, err)
		if r.Msg == "h1: connection ended" {
			require.Equal(t, "DEBUG", r.Level)
			reasons = append(reasons, r.Conn.Reason)
		}
	}
}

func TestEachReasonOfAServerIsTested(t *testing.T) {
	tested := map[CloseReason]bool{
		CloseNone: true, ClosePeerHint: true, CloseUnasked: true, ClosePoolFull: true, CloseCancelled: true, CloseLearned: true, CloseBlackHole: true, // a client's
		CloseReclaimed:     true, // TestTheLongestIdleMakeRoomWhenDescriptorsRunOut
		CloseTLSFailed:     true, // TestTLSHandshakeFailures
		CloseRefused:       true, // TestWhoIsTurnedAwayIsTold
		CloseOtherProtocol: true, // TestAnotherProtocolIsHandedOn
	}
	for _, e := range endings {
		tested[e.reason] = true
	}
	for r := range closeReasons {
		require.True(t, tested[r], r.String())
		require.NotEmpty(t, r.String())
		require.NotEmpty(t, r.Explain())
	}
}

// aServer is a server on a listener of its own kind.
type aServer struct {
	*Server
	dial   func() (net.Conn, error)
	served chan error // what Serve returned
}

// startOn serves on l until the test ends.
func startOn(t *testing.T, s *Server, l net.Listener, serve func(net.Listener) error, dial func() (net.Conn, error)) *aServer {
	a := &aServer{Server: s, dial: dial, served: make(chan error, 1)}
	go func() { a.served <- serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return a
}

// serveTCP serves on a loopback TCP port.
func serveTCP(t *testing.T, s *Server) *aServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
}

// talk opens a connection to the server.
func (a *aServer) talk(t *testing.T) *wiretest.Talk {
	nc, err := a.dial()
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	return wiretest.NewTalk(t, nc)
}

func TestServerOverEachListener(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	cert, roots := certificate(t)
	client := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	listeners := map[string]func(t *testing.T, s *Server) *aServer{
		"TCP": serveTCP,
		"Unix": func(t *testing.T, s *Server) *aServer {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return net.Dial("unix", path) })
		},
		"TLS by ServeTLS": func(t *testing.T, s *Server) *aServer {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
			serve := func(l net.Listener) error { return s.ServeTLS(l, "", "") }
			return startOn(t, s, l, serve, func() (net.Conn, error) { return tls.Dial("tcp", l.Addr().String(), client) })
		},
		"TLS by its listener": func(t *testing.T, s *Server) *aServer {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
			require.NoError(t, err)
			return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return tls.Dial("tcp", l.Addr().String(), client) })
		},
		"memory": func(t *testing.T, s *Server) *aServer {
			l := wiretest.Listen()
			return startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(context.Background()) })
		},
	}
	for name, listen := range listeners {
		for kind, s := range map[string]*Server{
			"native": {Native: NativeHandlerFunc(func(x *Exchange) {
				body, _ := io.ReadAll(x)
				_ = x.Reply(200, "", append(body, '!'))
			})},
			"net/http": {Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, strings.HasPrefix(name, "TLS"), r.TLS != nil)
				require.NotEmpty(t, r.RemoteAddr+"x")
				require.NotNil(t, r.Context().Value(http.LocalAddrContextKey))
				_, _ = io.Copy(w, r.Body)
				_, _ = io.WriteString(w, "!")
			})},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var states states
				s.ConnState = states.note
				a := listen(t, s)
				k := a.talk(t)
				for range 2 {
					k.Send(post("/", "hello"))
					k.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 6")
					k.Expect("hello!")
				}
				k.Send(post("/", "bye", "Connection: close"))
				k.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 4", "Connection: close")
				k.Expect("bye!")
				k.ExpectEOF()
				require.NoError(t, s.Shutdown(context.Background()))
				require.Equal(t, http.ErrServerClosed, <-a.served)
				require.Equal(t, "new active idle active idle active closed", states.String())
			})
		}
	}
}

// states is what ConnState was told.
type states struct {
	mu   sync.Mutex
	list []string
}

func (s *states) note(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, state.String())
}

func (s *states) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.list, " ")
}

func TestTLSHandshakeFailures(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	cert, _ := certificate(t)
	tests := []struct {
		name, send, answer string
	}{
		{"plain HTTP is told so", get("/"), "HTTP/1.0 400 Bad Request"},
		{"nonsense gets nothing", "nonsense", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
			require.NoError(t, err)
			var states states
			var logged syncBuffer
			over := make(chan ConnInfo, 1)
			s := &Server{Native: NativeHandlerFunc(echo), ConnState: states.note, ErrorLog: log.New(&logged, "", 0),
				OnConn: func(e ConnEvent, info ConnInfo) {
					if e == EventClosed {
						over <- info
					}
				}}
			a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
			k := a.talk(t)
			k.Send(tt.send)
			answer, _ := io.ReadAll(k)
			require.True(t, strings.HasPrefix(string(answer), tt.answer), "%q", answer)
			info := <-over
			require.Equal(t, CloseTLSFailed, info.Reason)
			require.Error(t, info.Err)
			require.NoError(t, s.Shutdown(context.Background()))
			require.Equal(t, "new closed", states.String())
			require.Contains(t, logged.String(), "TLS handshake")
		})
	}
}

// syncBuffer is a bytes.Buffer for a logger that runs beside the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestShutdown(t *testing.T) {
	inBubble(t, "closes idle connections and lets those under way finish", func(t *testing.T) {
		l := wiretest.Listen()
		release := make(chan struct{})
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			if string(x.Target()) == "/slow" {
				<-release
			}
			echo(x)
		})}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(context.Background()) })
		fresh, idle, slow, begun := a.talk(t), a.talk(t), a.talk(t), a.talk(t)
		idle.Send(get("/"))
		expectEcho(idle, "/", "")
		slow.Send(get("/slow") + get("/behind"))
		begun.Send(get("/")[:5])
		synctest.Wait()
		called := make(chan struct{})
		s.RegisterOnShutdown(func() { close(called) })

		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		fresh.ExpectEOF()
		idle.ExpectEOF()
		<-called
		synctest.Wait()
		require.Empty(t, done)
		require.Equal(t, http.ErrServerClosed, <-a.served)
		_, err := a.dial()
		require.Error(t, err)

		begun.Send(get("/")[5:])
		expectEcho(begun, "/", "close")
		begun.ExpectEOF()
		close(release)
		expectEcho(slow, "/slow", "")
		expectEcho(slow, "/behind", "close") // it was read before the client could know
		slow.ExpectEOF()
		begun.SendFIN()
		slow.SendFIN()
		require.NoError(t, <-done)
		require.NoError(t, s.Shutdown(context.Background()), "again")
		require.Equal(t, http.ErrServerClosed, s.Serve(wiretest.Listen()))
	})
	inBubble(t, "waits no longer than its context", func(t *testing.T) {
		release := make(chan struct{})
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) { <-release })})
		v.Send(get("/"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, v.s.Shutdown(ctx))
		require.NoError(t, v.s.Close())
		v.ExpectEOF()
		close(release)
	})
	// net/http: Shutdown neither closes nor waits for hijacked connections.
	inBubble(t, "does not wait for hijacked connections", func(t *testing.T) {
		release := make(chan struct{})
		var states states
		v := serveOne(t, &Server{ConnState: states.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			<-release
			_, _ = io.WriteString(nc, "still there")
			_ = nc.Close()
		})})
		v.Send(get("/"))
		synctest.Wait()
		require.Equal(t, "new active hijacked", states.String())
		require.NoError(t, v.s.Shutdown(context.Background()))
		require.NoError(t, v.s.Close())
		close(release)
		v.Expect("still there")
		v.ExpectEOF()
		v.over()
		require.Equal(t, "new active hijacked", states.String())
	})
}

// Over TCP, where connections wait at the poller, the same holds.
func TestShutdownOverTCP(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	for range 20 {
		entered, release := make(chan struct{}), make(chan struct{})
		s := &Server{KeepAlive: KeepAlive{MinIdle: -1}, Native: NativeHandlerFunc(func(x *Exchange) {
			if string(x.Target()) == "/slow" {
				close(entered)
				<-release
			}
			echo(x)
		})}
		a := serveTCP(t, s)
		var idle []*wiretest.Talk
		for range 10 {
			k := a.talk(t)
			k.Send(get("/"))
			expectEcho(k, "/", "")
			idle = append(idle, k)
		}
		slow := a.talk(t)
		slow.Send(get("/slow"))
		<-entered
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		for _, k := range idle {
			k.ExpectEOF()
		}
		close(release)
		expectEcho(slow, "/slow", "close")
		slow.ExpectEOF()
		slow.SendFIN()
		require.NoError(t, <-done)
		require.Equal(t, http.ErrServerClosed, <-a.served)
	}
}

func TestServerCloseCutsEverything(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	entered, release := make(chan struct{}), make(chan struct{})
	s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		close(entered)
		<-release
		require.Error(t, x.Reply(200, "", nil))
	})}
	a := serveTCP(t, s)
	idle, busy := a.talk(t), a.talk(t)
	busy.Send(get("/"))
	<-entered
	require.NoError(t, s.Close())
	idle.ExpectEOF()
	busy.ExpectEOF()
	close(release)
	require.Equal(t, http.ErrServerClosed, <-a.served)
	require.NoError(t, s.Shutdown(context.Background()), "the handler's end is waited for")
	for range s.Conns() {
		require.Fail(t, "no connection is left")
	}
	require.Equal(t, http.ErrServerClosed, s.ListenAndServe())
	require.Equal(t, http.ErrServerClosed, s.ListenAndServeTLS("", ""))
}

func TestConnsListsTheLiveOnes(t *testing.T) {
	a := serveTCP(t, &Server{Native: NativeHandlerFunc(echo)})
	k := a.talk(t)
	k.Send(get("/1") + get("/2"))
	expectEcho(k, "/1", "")
	expectEcho(k, "/2", "")
	n := 0
	for info := range a.Conns() {
		n++
		require.EqualValues(t, 2, info.Requests)
		require.Equal(t, ServerRole, info.Role)
		require.False(t, info.Closing)
		require.NotZero(t, info.BytesOut)
		require.NotZero(t, info.ID)
	}
	require.Equal(t, 1, n)
	for range a.Conns() {
		break
	}
}

func TestSeveralServersShareTheirHandlersGoroutines(t *testing.T) {
	wiretest.NoLeaks(t, kept...)
	var running atomic.Int32
	all := make(chan struct{})
	const n = 8
	a := serveTCP(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		if running.Add(1) == n {
			close(all)
		}
		<-all // every handler has to run for any to end
		echo(x)
	})})
	var talks []*wiretest.Talk
	for range n {
		k := a.talk(t)
		k.Send(get("/"))
		talks = append(talks, k)
	}
	for _, k := range talks {
		expectEcho(k, "/", "")
	}
	require.NoError(t, a.Close())
}

func TestAcceptErrorsThatStayEndServe(t *testing.T) {
	l := wiretest.Listen()
	require.NoError(t, l.Close())
	require.ErrorIs(t, (&Server{}).Serve(l), net.ErrClosed)
}

func TestAServerWithAnUnknownCodingDoesNotServe(t *testing.T) {
	l := wiretest.Listen()
	s := &Server{TransferCodings: []string{"nonsense"}}
	require.ErrorContains(t, s.Serve(l), "nonsense")
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, far := wiretest.Pair()
	require.ErrorContains(t, s.ServeConn(far), "nonsense")
	_, err = far.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestContextsAreMadeByTheHooks(t *testing.T) {
	type key string
	var seen context.Context
	l := wiretest.Listen()
	s := &Server{
		BaseContext: func(got net.Listener) context.Context {
			require.Equal(t, net.Listener(l), got)
			return context.WithValue(context.Background(), key("base"), 1)
		},
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, key("conn"), nc)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r.Context() }),
	}
	a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(context.Background()) })
	k := a.talk(t)
	k.Send(get("/"))
	k.ExpectHead("HTTP/1.1 200 OK")
	require.Equal(t, 1, seen.Value(key("base")))
	require.IsType(t, &wiretest.Conn{}, seen.Value(key("conn")))
	require.Same(t, s, seen.Value(ServerContextKey))
	require.NotNil(t, seen.Value(http.LocalAddrContextKey))
	require.Contains(t, ServerContextKey.String(), "h1-server")
}

func TestAPanicIsLogged(t *testing.T) {
	var logged syncBuffer
	v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Native: NativeHandlerFunc(func(x *Exchange) {
		if string(x.Target()) == "/2" {
			panic("oops")
		}
		echo(x)
	})})
	v.Send(get("/1") + get("/2") + get("/3"))
	expectEcho(v.Talk, "/1", "")
	_, err := io.ReadAll(v)
	require.NoError(t, err)
	v.over()
	require.Contains(t, logged.String(), "oops")
	require.Contains(t, logged.String(), "TestAPanicIsLogged", "the stack")
	require.NotContains(t, logged.String(), "/3")
}

func TestErrorsAreWhatCallersTestFor(t *testing.T) {
	errs := make(chan error, 1)
	v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		_, err := io.ReadAll(x)
		errs <- err
	})})
	v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx")
	v.SendFIN()
	err := <-errs
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, fault.UnexpectedEOF)
	f, ok := errors.AsType[*fault.Error](err)
	require.True(t, ok)
	require.Equal(t, fault.Client, f.By)
	require.Empty(t, cmp.Diff("h1: client closed the connection while reading the request body: unexpected EOF", err.Error()))
}
