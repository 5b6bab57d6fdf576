package h1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// get is a request without body.
func get(target string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + lines(fields...) + "\r\n"
}

// post is a request with a body of known length.
func post(target, body string, fields ...string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + lines(fields...) + "\r\n" + body
}

func lines(fields ...string) string {
	if len(fields) == 0 {
		return ""
	}
	return strings.Join(fields, "\r\n") + "\r\n"
}

// echo answers with the request's target.
func echo(x *Exchange) { _ = x.Reply(200, "", x.Target()) }

// expectEcho reads echo's answer. option is what it says of the connection.
func expectEcho(k *wiretest.Talk, target, option string) {
	fields := []string{"Content-Length: " + strconv.Itoa(len(target))}
	if option != "" {
		fields = append(fields, "Connection: "+option)
	}
	k.ExpectHead("HTTP/1.1 200 OK", fields...)
	k.Expect(target)
}

// served is a server-side connection being served, and the client's end of it.
type served struct {
	*wiretest.Talk
	near *wiretest.Conn
	s    *Server
	last ConnInfo      // as told by the last event; to be read once done
	done chan struct{} // closed when the connection is over
}

// serveOne serves one in-memory connection. Its client end is closed at the
// test's end at the latest, and the server has to be done with it then.
func serveOne(t *testing.T, s *Server) *served {
	return serveSized(t, s, 1<<20)
}

// serveSized is serveOne with room for so many octets on the way.
func serveSized(t *testing.T, s *Server, room int) *served {
	near, far := wiretest.PairSize(room)
	v := &served{Talk: wiretest.NewTalk(t, near), near: near, s: s, done: make(chan struct{})}
	v.Patience = 24 * time.Hour
	told := s.OnConn
	s.OnConn = func(e ConnEvent, info ConnInfo) {
		if info.Remote == near.LocalAddr() { // a Server may have others
			v.last = info
		}
		if told != nil {
			told(e, info)
		}
	}
	go func() {
		defer close(v.done)
		_ = s.ServeConn(far)
	}()
	t.Cleanup(func() {
		_ = near.Close()
		<-v.done
	})
	return v
}

// over closes the client's end and returns what is known of the connection
// once the server is done with it.
func (v *served) over() ConnInfo {
	_ = v.near.Close()
	<-v.done
	return v.last
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// bubble is inBubble without a name. What h1 does in the background for a
// moment gets time to end.
func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Second) })
		f(t)
	})
}

func TestAConnAnswersAsLongAsNextGives(t *testing.T) {
	near, far := wiretest.Pair()
	var events []string
	c, err := NewServerConn(far, &ConnConfig{OnConn: func(e ConnEvent, info ConnInfo) {
		events = append(events, e.String()+" "+strconv.FormatInt(info.Requests, 10)+" "+info.Reason.String())
	}})
	require.NoError(t, err)
	k := wiretest.NewTalk(t, near)
	k.Send(get("/1") + get("/2"))
	for _, target := range []string{"/1", "/2"} {
		x, err := c.Next()
		require.NoError(t, err)
		require.Equal(t, target, string(x.Target()))
		require.NoError(t, x.Reply(200, "", []byte(target)))
	}
	k.SendFIN()
	_, err = c.Next()
	require.Equal(t, io.EOF, err)
	_, err = c.Next()
	require.Equal(t, io.EOF, err, "and so it stays")
	expectEcho(k, "/1", "")
	expectEcho(k, "/2", "")
	k.ExpectEOF()
	require.NoError(t, c.Close(), "it is closed already")
	info := c.Info()
	require.Equal(t, ClosePeerEOF, info.Reason)
	require.True(t, info.Closing)
	require.NoError(t, info.Err)
	require.EqualValues(t, len(get("/1")+get("/2")), info.BytesIn)
	require.EqualValues(t, 2, info.Requests)
	require.Equal(t, ServerRole, info.Role)
	require.Empty(t, cmp.Diff([]string{
		"opened 0 none", "request 1 none", "request 2 none", "idle 2 none", "closed 2 peer_eof",
	}, events))
}

func TestARefusedRequestIsAnErrorOfNext(t *testing.T) {
	near, far := wiretest.Pair()
	c, err := NewServerConn(far, nil)
	require.NoError(t, err)
	k := wiretest.NewTalk(t, near)
	k.Send("GET / HTTP/1.1\r\nHost : \x1b[31m\r\n\r\n")
	k.SendFIN()
	_, err = c.Next()
	require.ErrorIs(t, err, fault.SpaceBeforeColon)
	require.NotContains(t, err.Error(), "\x1b", "what the peer sent is escaped")
	require.Contains(t, err.Error(), `\x1b`)
	require.ErrorIs(t, c.Info().Err, fault.SpaceBeforeColon)
	k.ExpectHead("HTTP/1.1 400 Bad Request", "Connection: close")
}

func TestAConnRefusesTheOtherSidesCalls(t *testing.T) {
	near, _ := wiretest.Pair()
	c, err := NewClientConn(near, nil)
	require.NoError(t, err)
	_, err = c.Next()
	require.ErrorIs(t, err, fault.WrongState)
}

func TestAnUnknownTransferCodingMakesNoConn(t *testing.T) {
	_, far := wiretest.Pair()
	_, err := NewServerConn(far, &ConnConfig{TransferCodings: []string{"nonsense"}})
	require.ErrorContains(t, err, "nonsense")
	_, err = NewListener(wiretest.Listen(), &ConnConfig{TransferCodings: []string{"nonsense"}})
	require.ErrorContains(t, err, "nonsense")
}

func TestCloseAfter(t *testing.T) {
	inBubble(t, "ends an idle wait", func(t *testing.T) {
		near, far := wiretest.Pair()
		c, err := NewServerConn(far, nil)
		require.NoError(t, err)
		go func() {
			synctest.Wait()
			c.CloseAfter()
		}()
		_, err = c.Next()
		require.Equal(t, io.EOF, err)
		require.Equal(t, CloseLocalAsked, c.Reason())
		wiretest.NewTalk(t, near).ExpectEOF()
	})
	inBubble(t, "lets the exchange under way finish", func(t *testing.T) {
		near, far := wiretest.Pair()
		c, err := NewServerConn(far, nil)
		require.NoError(t, err)
		k := wiretest.NewTalk(t, near)
		k.Send(get("/1") + get("/2"))
		x, err := c.Next()
		require.NoError(t, err)
		c.CloseAfter()
		echo(x)
		k.SendFIN()
		_, err = c.Next()
		require.Equal(t, io.EOF, err)
		expectEcho(k, "/1", "close")
		k.ExpectEOF()
	})
	inBubble(t, "does not cut a head that has begun", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		v.Send(get("/1")[:10])
		synctest.Wait()
		for _, c := range v.s.live() {
			c.CloseAfter()
		}
		synctest.Wait()
		v.Send(get("/1")[10:])
		expectEcho(v.Talk, "/1", "close")
		v.ExpectEOF()
		require.Equal(t, CloseLocalAsked, v.over().Reason)
	})
}

func TestTheNumberOfRequestsIsLimited(t *testing.T) {
	s := &Server{Native: NativeHandlerFunc(echo), KeepAlive: KeepAlive{MaxRequests: 3, Advertise: true, AdvertiseTimeout: 10 * time.Second}}
	v := serveOne(t, s)
	v.Send(get("/1"))
	v.ExpectHead("HTTP/1.1 200 OK", "Connection: keep-alive", "Keep-Alive: timeout=10, max=2")
	v.Expect("/1")
	v.Send(get("/2"))
	v.ExpectHead("HTTP/1.1 200 OK", "Connection: keep-alive", "Keep-Alive: timeout=10, max=1")
	v.Expect("/2")
	v.Send(get("/3") + get("/4"))
	head := v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
	require.NotContains(t, head, "Keep-Alive")
	v.Expect("/3")
	v.ExpectEOF()
	info := v.over()
	require.Equal(t, CloseMaxRequests, info.Reason)
	require.EqualValues(t, 3, info.Requests)
}

func TestKeepAliveIsAdvertised(t *testing.T) {
	tests := []struct {
		name  string
		k     KeepAlive
		value string
	}{
		{"not unless asked for", KeepAlive{}, ""},
		{"with the defaults", KeepAlive{Advertise: true}, "timeout=70, max=99999"},
		{"below a short idle timeout", KeepAlive{Advertise: true, IdleTimeout: 5 * time.Second}, "timeout=4, max=99999"},
		{"without a count", KeepAlive{Advertise: true, MaxRequests: -1}, "timeout=70"},
		{"without a time", KeepAlive{Advertise: true, AdvertiseTimeout: -1}, "max=99999"},
		{"not when there is nothing to say", KeepAlive{Advertise: true, AdvertiseTimeout: -1, MaxRequests: -1}, ""},
		{"without a time when idleness has no end", KeepAlive{Advertise: true, IdleTimeout: -1}, "max=99999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), KeepAlive: tt.k})
			v.Send(get("/"))
			if tt.value == "" {
				require.NotContains(t, v.ExpectHead("HTTP/1.1 200 OK"), "eep-")
				return
			}
			v.ExpectHead("HTTP/1.1 200 OK", "Connection: keep-alive", "Keep-Alive: "+tt.value)
		})
	}
}

func TestIdleness(t *testing.T) {
	idle := func(s *Server, want time.Duration, reason CloseReason) func(t *testing.T) {
		return func(t *testing.T) {
			v := serveOne(t, s)
			for range 2 { // before the first request, and after it
				begin := time.Now()
				if want < 0 {
					v.ExpectSilence(100 * time.Hour)
				} else {
					v.ExpectSilence(want - time.Nanosecond)
				}
				_ = begin
				v.Send(get("/"))
				expectEcho(v.Talk, "/", "")
			}
			begin := time.Now()
			if want < 0 {
				v.ExpectSilence(100 * time.Hour)
			} else {
				v.ExpectEOF()
				require.Equal(t, want+lastLook, time.Since(begin))
			}
			if want >= 0 {
				require.Equal(t, reason, v.over().Reason)
			}
		}
	}
	native := NativeHandlerFunc(echo)
	inBubble(t, "ends after 75 s", idle(&Server{Native: native, KeepAlive: KeepAlive{MaxAge: -1}}, 75*time.Second, CloseIdle))
	inBubble(t, "ends as KeepAlive says", idle(&Server{Native: native, KeepAlive: KeepAlive{IdleTimeout: time.Minute}}, time.Minute, CloseIdle))
	inBubble(t, "ends as the Server says", idle(&Server{Native: native, IdleTimeout: time.Second, KeepAlive: KeepAlive{IdleTimeout: time.Minute}}, time.Second, CloseIdle))
	inBubble(t, "has no end when negative", idle(&Server{Native: native, IdleTimeout: -1, KeepAlive: KeepAlive{MaxAge: -1}}, -1, CloseNone))
}

// The idle time used to be counted from the last read, so that a connection
// whose handler had worked for longer than the idle timeout was closed as soon
// as it had answered.
func TestIdlenessBeginsWithTheEndOfTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(2 * time.Minute)
			echo(x)
		})})
		v.Send(get("/1"))
		expectEcho(v.Talk, "/1", "")
		v.ExpectSilence(75*time.Second - time.Nanosecond)
		v.Send(get("/2"))
		expectEcho(v.Talk, "/2", "")
		begin := time.Now()
		v.ExpectEOF()
		require.Equal(t, 75*time.Second+lastLook, time.Since(begin))
	})
}

func TestAge(t *testing.T) {
	inBubble(t, "makes the next exchange the last", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), KeepAlive: KeepAlive{MaxAge: time.Minute}})
		time.Sleep(30 * time.Second)
		v.Send(get("/1"))
		expectEcho(v.Talk, "/1", "")
		v.Send(get("/2")[:1]) // its first octet came before
		time.Sleep(15 * time.Second)
		v.Send(get("/2")[1:])
		expectEcho(v.Talk, "/2", "")
		v.Send(get("/3")[:1])
		time.Sleep(15 * time.Second)
		v.Send(get("/3")[1:])
		expectEcho(v.Talk, "/3", "close")
		v.ExpectEOF()
		require.Equal(t, CloseMaxAge, v.over().Reason)
	})
	inBubble(t, "leaves an idle connection what it was promised", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), KeepAlive: KeepAlive{MaxAge: time.Minute, Advertise: true, MaxRequests: -1}})
		time.Sleep(50 * time.Second)
		v.Send(get("/1"))
		v.ExpectHead("HTTP/1.1 200 OK", "Keep-Alive: timeout=70")
		v.Expect("/1")
		v.ExpectSilence(70 * time.Second)
		v.Send(get("/2")) // it is still heard, and told
		expectEcho(v.Talk, "/2", "close")
		v.ExpectEOF()
		require.Equal(t, CloseMaxAge, v.over().Reason)
	})
	inBubble(t, "ends an idle connection that has no idle timeout", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), IdleTimeout: -1, KeepAlive: KeepAlive{MaxAge: time.Minute}})
		begin := time.Now()
		time.Sleep(30 * time.Second)
		v.Send(get("/1"))
		expectEcho(v.Talk, "/1", "")
		v.ExpectEOF()
		require.Equal(t, 105*time.Second+lastLook, time.Since(begin))
		require.Equal(t, CloseMaxAge, v.over().Reason)
	})
	inBubble(t, "is an hour, or up to a tenth less", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), IdleTimeout: -1})
		begin := time.Now()
		v.ExpectEOF()
		require.LessOrEqual(t, time.Since(begin), time.Hour+lastLook)
		require.Greater(t, time.Since(begin), 54*time.Minute)
	})
}

func TestAHeadHasToComeInTime(t *testing.T) {
	expect408 := func(t *testing.T, v *served) {
		v.ExpectHead("HTTP/1.1 408 Request Timeout", "Connection: close")
		v.Expect("h1: took too long to send a head\n")
		v.ExpectEOF()
		require.Equal(t, CloseHeadTimeout, v.over().Reason)
	}
	inBubble(t, "20 s from its first octet", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		time.Sleep(70 * time.Second)
		v.Send("GET ")
		begin := time.Now()
		expect408(t, v)
		require.Equal(t, 20*time.Second, time.Since(begin))
	})
	inBubble(t, "however slowly it comes (slowloris)", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), ReadHeaderTimeout: 5 * time.Second})
		request := get("/")
		for i := range 5 {
			v.Send(request[i : i+1])
			v.ExpectSilence(time.Second - time.Nanosecond)
		}
		v.Send(request[5:6])
		expect408(t, v)
	})
	// CVE-2019-5737: Node's head timeout held for the first request only.
	inBubble(t, "on the second request too (CVE-2019-5737)", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		v.Send(get("/1"))
		expectEcho(v.Talk, "/1", "")
		time.Sleep(time.Minute)
		v.Send("GET /2")
		begin := time.Now()
		expect408(t, v)
		require.Equal(t, 20*time.Second, time.Since(begin))
	})
	inBubble(t, "even when it begins with line ends", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		v.Send("\r\n\r\nG")
		begin := time.Now()
		expect408(t, v)
		require.Equal(t, 20*time.Second, time.Since(begin))
	})
	// CVE-2026-56853: net/http armed no timeout while it looked for the preface of
	// HTTP/2.
	inBubble(t, "even when it looks like HTTP/2's preface (CVE-2026-56853)", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo)})
		v.Send("PRI * HTTP/2.")
		begin := time.Now()
		expect408(t, v)
		require.Equal(t, 20*time.Second, time.Since(begin))
	})
	inBubble(t, "ReadTimeout takes its place", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), ReadTimeout: time.Second})
		v.Send("GET ")
		begin := time.Now()
		expect408(t, v)
		require.Equal(t, time.Second, time.Since(begin))
	})
	inBubble(t, "but never when negative", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), ReadHeaderTimeout: -1})
		v.Send(get("/")[:5])
		v.ExpectSilence(100 * time.Hour)
		v.Send(get("/")[5:])
		expectEcho(v.Talk, "/", "close") // of age
	})
	// The time of a pipelined head used to begin with the read that brought its
	// first octet, though nobody looked at it while a handler worked.
	inBubble(t, "and a handler's time is not counted", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(time.Minute)
			echo(x)
		})})
		v.Send(get("/1") + get("/2")[:10])
		v.ExpectSilence(time.Minute - time.Nanosecond)
		expectEcho(v.Talk, "/1", "")
		v.ExpectSilence(19 * time.Second)
		v.Send(get("/2")[10:])
		expectEcho(v.Talk, "/2", "")
	})
}

func TestAnIdleTimeoutDoesNotCutARequestThatHasBegun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), IdleTimeout: 10 * time.Second})
		time.Sleep(10*time.Second - time.Nanosecond)
		v.Send(get("/")[:1])
		time.Sleep(19 * time.Second)
		v.Send(get("/")[1:])
		expectEcho(v.Talk, "/", "")
	})
}

// readAll answers with what became of the body.
func readAll(x *Exchange) {
	body, err := io.ReadAll(x)
	text := strconv.Itoa(len(body))
	if f, ok := errors.AsType[*fault.Error](err); ok {
		text += " " + f.Code.String()
	}
	_ = x.Reply(200, "", []byte(text))
}

func TestABodyHasToComeInTime(t *testing.T) {
	inBubble(t, "a minute for each read", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(readAll), Limits: Limits{MinReadRate: Rate{BytesPerSecond: -1}}})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
		for _, pause := range []time.Duration{time.Minute - time.Nanosecond, time.Second, time.Second} {
			v.ExpectSilence(pause)
			v.Send("x")
		}
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("3 body_timeout")
		require.Equal(t, time.Minute, time.Since(begin))
		v.ExpectEOF()
		require.Equal(t, CloseBodyTimeout, v.over().Reason)
	})
	inBubble(t, "ReadTimeout for the whole", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(readAll), ReadTimeout: 3 * time.Second})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\n")
		time.Sleep(time.Second)
		v.Send("Content-Length: 5\r\n\r\n")
		time.Sleep(time.Second)
		v.Send("x")
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("1 body_timeout")
		require.Equal(t, time.Second, time.Since(begin))
	})
	inBubble(t, "but never when negative", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(readAll), StallTimeout: -1})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
		v.ExpectSilence(100 * time.Hour)
		v.Send("xxxxx")
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("5")
	})
	inBubble(t, "as the handler says, sooner", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			x.SetReadDeadline(time.Now().Add(time.Second))
			readAll(x)
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
		begin := time.Now()
		v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
		v.Expect("0 body_timeout")
		require.Equal(t, time.Second, time.Since(begin))
	})
	// As with net/http, where a handler of long uploads lifts the server's
	// general limit by its ResponseController.
	inBubble(t, "as the handler says, later than ReadTimeout", func(t *testing.T) {
		v := serveOne(t, &Server{ReadTimeout: time.Second, Native: NativeHandlerFunc(func(x *Exchange) {
			x.SetReadDeadline(time.Now().Add(time.Hour))
			readAll(x)
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
		for range 2 {
			time.Sleep(50 * time.Second)
			v.Send("x")
		}
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("2")
	})
}

func TestAnAnswerHasToBeTakenInTime(t *testing.T) {
	write := func(s *Server, want time.Duration) func(t *testing.T) {
		return func(t *testing.T) {
			failed := make(chan error, 1)
			var took time.Duration
			s.Native = NativeHandlerFunc(func(x *Exchange) {
				begin := time.Now()
				for {
					if _, err := x.Write(make([]byte, 32<<10)); err != nil {
						took = time.Since(begin)
						failed <- err
						return
					}
				}
			})
			v := serveOne(t, s)
			v.Send(get("/"))
			err := <-failed
			require.ErrorIs(t, err, fault.WriteTimeout)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			require.Equal(t, want, took)
			info := v.over()
			require.Equal(t, CloseWriteTimeout, info.Reason)
			require.ErrorIs(t, info.Err, fault.WriteTimeout)
		}
	}
	inBubble(t, "a minute for each write", write(&Server{}, time.Minute))
	inBubble(t, "StallTimeout for each write", write(&Server{StallTimeout: time.Second}, time.Second))
	inBubble(t, "WriteTimeout for the whole", write(&Server{WriteTimeout: 5 * time.Second}, 5*time.Second))
}

// The write timeout of a pipelined request used to begin with the read that
// brought it, though the handler before it had worked since.
func TestWriteTimeoutBeginsWithEachRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := serveOne(t, &Server{WriteTimeout: 10 * time.Second, Native: NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(8 * time.Second)
			echo(x)
		})})
		v.Send(get("/1") + get("/2") + get("/3"))
		expectEcho(v.Talk, "/1", "")
		expectEcho(v.Talk, "/2", "")
		expectEcho(v.Talk, "/3", "")
	})
}

func TestAnUnreadBody(t *testing.T) {
	ignore := func(x *Exchange) { _ = x.Reply(200, "", []byte("ok")) }
	expect := func(v *served, option string) {
		fields := []string{}
		if option != "" {
			fields = append(fields, "Connection: "+option)
		}
		head := v.ExpectHead("HTTP/1.1 200 OK", fields...)
		if option == "" && strings.Contains(head, "Connection") {
			panic("unexpected: " + head)
		}
		v.Expect("ok")
	}
	inBubble(t, "is drained", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(ignore)})
		v.Send(post("/", strings.Repeat("x", 200<<10)) + get("/2"))
		expect(v, "")
		expect(v, "")
	})
	inBubble(t, "costs the connection when it is longer than DrainBytes", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(ignore), Limits: Limits{DrainBytes: 10}})
		v.Send(post("/", strings.Repeat("x", 11)) + get("/smuggled"))
		expect(v, "close")
		v.ExpectEOF()
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
	inBubble(t, "costs the connection when its chunks are longer than DrainBytes", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(ignore), Limits: Limits{DrainBytes: 10}})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nxxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\n" + get("/smuggled"))
		expect(v, "close")
		v.ExpectEOF()
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
	inBubble(t, "is waited for no longer than DrainTime", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(ignore)})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
		begin := time.Now()
		expect(v, "close")
		require.Equal(t, time.Second, time.Since(begin))
		v.ExpectEOF()
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
	// The drain's time used to begin with the last read, so that a handler that
	// worked for longer than DrainTime cost the connection.
	inBubble(t, "is waited for after a slow handler as well", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(time.Minute)
			ignore(x)
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
		time.Sleep(time.Minute + time.Second/2)
		v.Send(strings.Repeat("x", 99) + get("/2"))
		expect(v, "")
		expect(v, "")
	})
	// The bound used to be forgotten once the head was sent.
	inBubble(t, "that comes in a trickle is given up in time", func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			_, _ = x.WriteString("ok")
			_ = x.Flush()
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nx")
		v.ExpectHead("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
		v.Expect("2\r\nok\r\n")
		for range 3 {
			time.Sleep(300 * time.Millisecond)
			v.Send("x")
		}
		begin := time.Now()
		v.Expect("0\r\n\r\n")
		v.ExpectEOF()
		require.LessOrEqual(t, time.Since(begin), time.Second)
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
}

func TestALingeringCloseIsBounded(t *testing.T) {
	refused := func(t *testing.T, l Limits) *served {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(echo), Limits: l})
		v.Send("bad\x00\r\n\r\n")
		v.ExpectHead("HTTP/1.1 400 Bad Request", "Connection: close")
		v.Expect("h1: sent an invalid method\n")
		v.ExpectEOF() // FIN
		return v
	}
	inBubble(t, "by 5 s", func(t *testing.T) {
		v := refused(t, Limits{})
		begin := time.Now()
		<-v.done
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
	inBubble(t, "by LingerTime, whatever the client goes on sending", func(t *testing.T) {
		v := refused(t, Limits{LingerTime: time.Second})
		begin := time.Now()
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			v.Send(get("/smuggled"))
		}
		<-v.done
		require.Equal(t, time.Second, time.Since(begin))
	})
	inBubble(t, "by LingerBytes", func(t *testing.T) {
		v := refused(t, Limits{LingerBytes: 1000})
		v.Send(strings.Repeat("x", 999))
		synctest.Wait()
		select {
		case <-v.done:
			require.Fail(t, "too early")
		default:
		}
		v.Send("x")
		begin := time.Now()
		<-v.done
		require.Zero(t, time.Since(begin))
	})
	inBubble(t, "by the client's FIN", func(t *testing.T) {
		v := refused(t, Limits{})
		begin := time.Now()
		v.SendFIN()
		<-v.done
		require.Zero(t, time.Since(begin))
	})
	inBubble(t, "is left out when LingerTime is negative", func(t *testing.T) {
		v := refused(t, Limits{LingerTime: -1})
		begin := time.Now()
		<-v.done
		require.Zero(t, time.Since(begin))
	})
}

func TestListenerGivesConns(t *testing.T) {
	wiretest.NoLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	hl, err := NewListener(l, &ConnConfig{KeepAlive: KeepAlive{MaxRequests: 1}})
	require.NoError(t, err)
	require.Equal(t, l.Addr(), hl.Addr())
	served := make(chan CloseReason, 1)
	go func() {
		c, err := hl.Accept()
		if err != nil {
			return
		}
		for {
			x, err := c.Next()
			if err != nil {
				served <- c.Reason()
				return
			}
			echo(x)
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	k := wiretest.NewTalk(t, nc)
	k.Send(get("/1"))
	expectEcho(k, "/1", "close")
	k.ExpectEOF()
	require.NoError(t, nc.Close())
	require.Equal(t, CloseMaxRequests, <-served)
	require.NoError(t, hl.Close())
	_, err = hl.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestThousandsOfRequestsInOneWrite(t *testing.T) {
	const n = 3000
	var wire, want strings.Builder
	for i := range n {
		target := "/" + strconv.Itoa(i)
		switch i % 5 {
		case 0:
			wire.WriteString(get(target))
		case 1:
			wire.WriteString(post(target, "body of "+target))
		case 2:
			wire.WriteString("POST " + target + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n1;x\r\n!\r\n0\r\nT: v\r\n\r\n")
		case 3:
			wire.WriteString(post(target+"?unread", "body of "+target))
		case 4:
			wire.WriteString("POST " + target + "?unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
		}
		want.WriteString(okWire(target, ""))
	}
	answer := func(x *Exchange) {
		if string(x.Query()) != "unread" {
			_, _ = io.Copy(io.Discard, x)
		}
		_ = x.Reply(200, "text/plain", x.Path())
	}
	for name, handler := range map[string]*Server{
		"native": {Native: NativeHandlerFunc(answer)},
		"net/http": {Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "unread" {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, r.URL.Path)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			v := serveOne(t, handler)
			go func() {
				_, _ = io.WriteString(v.near, wire.String()+"BAD REQUEST LINE\r\n"+get("/smuggled"))
				_ = v.near.CloseWrite()
			}()
			got, err := io.ReadAll(v.near)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(want.String()+refusedWire(t, "bad_version"), maskDates(string(got))))
			info := v.over()
			require.EqualValues(t, n, info.Requests)
			require.Equal(t, CloseBadPeer, info.Reason)
		})
	}
}

func TestPipelinedAnswersLeaveTogether(t *testing.T) {
	bubble(t, func(t *testing.T) { // in real time a slow machine may pass the millisecond that answers are held
		near, far := wiretest.Pair()
		counted := wiretest.Faults{}.Wrap(far)
		k := wiretest.NewTalk(t, near)
		k.Send(strings.Repeat(get("/"), 16))
		k.SendFIN()
		require.NoError(t, (&Server{Native: NativeHandlerFunc(echo)}).ServeConn(counted))
		_, writes := counted.Calls()
		require.Equal(t, 1, writes)
		for range 16 {
			expectEcho(k, "/", "")
		}
		k.ExpectEOF()
	})
}

func TestPipelinedAnswersKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			pause, _ := time.ParseDuration(string(x.Query()))
			time.Sleep(pause)
			echo(x)
		})})
		targets := []string{"/1?9s", "/2?1ms", "/3", "/4?2s", "/5"}
		for _, target := range targets {
			v.Send(get(target))
		}
		for _, target := range targets {
			expectEcho(v.Talk, target, "")
		}
	})
}

// A client that pipelines without reading must not make the server hold its
// answers, or read on for ever.
func TestAPipelineFloodIsNotRead(t *testing.T) { // CVE-2013-4450
	bubble(t, func(t *testing.T) {
		near, far := wiretest.PairSize(64 << 10)
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(200, "", make([]byte, 1000)) })}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.ServeConn(far)
		}()
		go func() {
			for {
				if _, err := io.WriteString(near, get("/")); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		for info := range s.Conns() {
			require.Less(t, info.Requests, int64(200))
			require.Less(t, info.BytesIn, int64(64<<10))
		}
		begin := time.Now()
		<-done
		require.LessOrEqual(t, time.Since(begin), time.Minute+5*time.Second)
		_ = near.Close()
	})
}
