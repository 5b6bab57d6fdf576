package h1

// The close in stages: whatever a client does, it gets to see the last answer,
// and no connection lingers for longer, or at a greater cost, than it has to.

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/sockinfo"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

const uploadSize = 50 << 20

// refuseUpload answers 413 without a look at the body.
func refuseUpload(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "too large", http.StatusRequestEntityTooLarge)
}

// limitUpload reads a part of the body and finds out then.
func limitUpload(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
	if errors.As(err, new(*http.MaxBytesError)) {
		refuseUpload(w, r)
	}
}

// nativeBegins begins its answer before the body is looked at, and cannot say
// close any more.
func nativeBegins(x *Exchange) {
	x.SetStatus(http.StatusRequestEntityTooLarge)
	x.SetContentLength(10)
	_, _ = x.WriteString("too ")
	_ = x.Flush()
	_, _ = x.WriteString("large\n")
}

// uploadHead is the head of a request with a body of uploadSize.
var uploadHead = "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(uploadSize) + "\r\n\r\n"

// A client that sends 50 MB of which the server wants none sees the refusal,
// whichever way it sends and reads.
func TestAnEarlyRefusalIsAlwaysSeen(t *testing.T) {
	servers := map[string]*Server{
		"http.Error":     {Handler: http.HandlerFunc(refuseUpload)},
		"MaxBytesReader": {Handler: http.HandlerFunc(limitUpload)},
		"native":         {Native: NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(413, "text/plain", []byte("too large\n")) })},
		"native, begun":  {Native: NativeHandlerFunc(nativeBegins)},
	}
	clients := map[string]func(t *testing.T, addr string) int{
		"writes all, then reads":                uploadThenRead,
		"writes until that fails, then reads":   uploadThenRead, // the same client, cut sooner: LingerBytes
		"reads while it writes":                 uploadBesideReading,
		"is net/http's":                         uploadByNetHTTP,
		"is behind a slow link":                 func(t *testing.T, addr string) int { return uploadThenRead(t, slowLink(t, addr)) },
		"is net/http's, behind a slow link":     func(t *testing.T, addr string) int { return uploadByNetHTTP(t, slowLink(t, addr)) },
		"is curl, which does not ask for a 100": uploadByCurl,
	}
	rounds := 3
	if wiretest.Race {
		rounds = 1
	}
	for what, s := range servers {
		for who, upload := range clients {
			t.Run(what+"/"+who, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				own := &Server{Handler: s.Handler, Native: s.Native}
				if strings.HasPrefix(who, "writes until") {
					own.Limits.LingerBytes = 1 << 20
				}
				start(t, own, l)
				for range rounds {
					require.Equal(t, http.StatusRequestEntityTooLarge, upload(t, l.Addr().String()))
				}
			})
		}
	}
}

// uploadThenRead reads nothing before it has sent all, or cannot send on.
func uploadThenRead(t *testing.T, addr string) int {
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, uploadHead)
	require.NoError(t, err)
	piece := make([]byte, 1<<20)
	for range uploadSize / len(piece) {
		if _, err = nc.Write(piece); err != nil {
			break
		}
	}
	return statusOf(t, nc)
}

func statusOf(t *testing.T, nc net.Conn) int {
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(20*time.Second)))
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "too large\n", string(body))
	return res.StatusCode
}

func uploadBesideReading(t *testing.T, addr string) int {
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	go func() {
		_, _ = io.WriteString(nc, uploadHead)
		_, _ = io.Copy(nc, io.LimitReader(nothing{}, uploadSize))
	}()
	return statusOf(t, nc)
}

func uploadByNetHTTP(t *testing.T, addr string) int {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest("POST", "http://"+addr+"/up", io.LimitReader(nothing{}, uploadSize))
	require.NoError(t, err)
	req.ContentLength = uploadSize
	res, err := tr.RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "too large\n", string(body))
	return res.StatusCode
}

func uploadByCurl(t *testing.T, addr string) int {
	name, _ := someFile(t, uploadSize)
	// curl's own exit code tells of the upload that was cut.
	out, err := exec.Command(wiretest.Program(t, "curl"), "-q", "-sS", "--noproxy", "*", "--max-time", "20", "-H", "Expect:",
		"--data-binary", "@"+name, "-o", filepath.Join(t.TempDir(), "answer"), "-w", "%{http_code}", "http://"+addr+"/up").Output()
	require.NoError(t, err)
	status, err := strconv.Atoi(string(out))
	require.NoError(t, err)
	return status
}

// slowLink passes octets on 50 ms late, each way, and ends of streams after them.
func slowLink(t *testing.T, addr string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var links sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		links.Wait()
	})
	links.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				_ = near.Close()
				return
			}
			links.Go(func() {
				var both sync.WaitGroup
				both.Go(func() { relayLate(far.(*net.TCPConn), near) })
				both.Go(func() { relayLate(near.(*net.TCPConn), far) })
				both.Wait()
				_, _ = near.Close(), far.Close()
			})
		}
	})
	return l.Addr().String()
}

// relayLate goes on reading when it can write no more, as a link does.
func relayLate(to *net.TCPConn, from net.Conn) {
	type parcel struct {
		octets []byte
		due    time.Time
	}
	way := make(chan parcel, 64)
	go func() {
		defer close(way)
		for {
			p := make([]byte, 256<<10)
			n, err := from.Read(p)
			way <- parcel{p[:n], time.Now().Add(50 * time.Millisecond)}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.octets)
	}
	_ = to.CloseWrite()
}

// lingerers opens n connections that are refused and that do not close.
func lingerers(t *testing.T, l net.Listener, n int) (all []*net.TCPConn) {
	for range n {
		nc := dial(t, l)
		_, err := io.WriteString(nc, "bad\r\n\r\n")
		require.NoError(t, err)
		all = append(all, nc)
	}
	for _, nc := range all {
		answer, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.Contains(t, string(answer), "400 Bad Request")
	}
	return all
}

func TestLingeringConnectionsHoldNoGoroutine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system has no poller of ours")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	const n = 50
	ends := make(chan ConnInfo, 100*n)
	s := &Server{Handler: echoPath, OnConn: onClosed(ends)}
	start(t, s, l)
	clients := lingerers(t, l, n)
	for tries := 0; len(s.live()) <= n/2; tries++ { // on a slow machine the first have ended by now
		require.Less(t, tries, 100, "they linger")
		clients = append(clients, lingerers(t, l, n)...)
	}
	for info := range s.Conns() {
		require.Equal(t, "poll", info.Waiting)
	}
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "blockToDiscard")
	// The clients' systems have acknowledged all, and the clients are silent.
	begin := time.Now()
	for range clients {
		require.Equal(t, CloseBadPeer, (<-ends).Reason)
	}
	if _, told := sockinfo.Unacked(clients[0]); told {
		require.Less(t, time.Since(begin), quietUnacked)
	}
}

// The peer's FIN is the best evidence: nothing is waited for after it.
func TestLingeringEndsWithThePeersFIN(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 1)
		start(t, &Server{Handler: echoPath, OnConn: onClosed(ends)}, l)
		var took []time.Duration
		for range 30 {
			nc := lingerers(t, l, 1)[0]
			begin := time.Now()
			require.NoError(t, nc.Close())
			<-ends
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		t.Logf("from the client's close to the server's: median %v, most %v", took[15], took[29])
		require.Less(t, took[15], 500*time.Millisecond)
	})
}

func TestServerCloseEndsLingering(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		ends := make(chan ConnInfo, 10)
		s := &Server{Handler: echoPath, OnConn: onClosed(ends)}
		start(t, s, l)
		lingerers(t, l, 10)
		begin := time.Now()
		require.NoError(t, s.Close())
		for range 10 {
			<-ends
		}
		require.Less(t, time.Since(begin), quietUnacked)
	})
}

// A connection that lingers carries no request, so it makes room before one that
// is only idle (nginx does so since 1.19.7).
func TestLingeringConnectionsMakeRoomFirst(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		s := &Server{Handler: echoPath, MaxConns: 3}
		start(t, s, l)
		idle := dial(t, l)
		r := bufio.NewReader(idle)
		fetch(t, idle, r, "/1")
		lingerers(t, l, 2)
		for i := range 2 { // takes the places of those that linger
			nc := dial(t, l)
			_, body := fetch(t, nc, bufio.NewReader(nc), "/"+strconv.Itoa(i))
			require.Equal(t, "/"+strconv.Itoa(i), body)
		}
		_, body := fetch(t, idle, r, "/2")
		require.Equal(t, "/2", body, "the idle one was left alone")
		require.Zero(t, s.Stats().Closed[CloseReclaimed], "they ended for the reason that made them linger")
		require.EqualValues(t, 2, s.Stats().Closed[CloseBadPeer])
	})
}

// A client that goes on sending what nobody wants does not hold up a drain.
func TestADrainDoesNotWaitLongForLingering(t *testing.T) {
	for name, before := range map[string]bool{"that began before": true, "that begins then": false} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			working, goOn := make(chan bool, 1), make(chan bool, 1)
			s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				working <- true
				<-goOn
				refuseUpload(w, r)
			})}
			start(t, s, l)
			nc := dial(t, l)
			_, err = io.WriteString(nc, uploadHead)
			require.NoError(t, err)
			<-working
			over := make(chan bool)
			go func() {
				defer close(over)
				for {
					if _, err := nc.Write(make([]byte, 100)); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
			if before {
				goOn <- true
				require.Equal(t, 413, statusOf(t, nc))
			} else {
				time.AfterFunc(50*time.Millisecond, func() { goOn <- true })
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			begin := time.Now()
			require.NoError(t, s.Shutdown(ctx))
			require.Less(t, time.Since(begin), 10*time.Second) // of 30
			<-over
		})
	}
}

func TestSilenceIsCountedFromTheLastOctet(t *testing.T) {
	refused := func(t *testing.T, s *Server) *served {
		s.Native = NativeHandlerFunc(echo)
		v := serveOne(t, s)
		v.Send("bad\x00\r\n\r\n")
		v.ExpectHead("HTTP/1.1 400 Bad Request", "Connection: close")
		v.Expect("h1: sent an invalid method\n")
		v.ExpectEOF() // FIN
		return v
	}
	inBubble(t, "5 s of it are enough", func(t *testing.T) {
		v := refused(t, &Server{})
		for range 3 {
			time.Sleep(4 * time.Second)
			v.Send("x")
		}
		begin := time.Now()
		<-v.done
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
	inBubble(t, "and 30 s in all", func(t *testing.T) {
		v := refused(t, &Server{})
		begin := time.Now()
		go drip(v, "x", 4*time.Second, 100)
		<-v.done
		require.Equal(t, 30*time.Second, time.Since(begin))
	})
}

// A client that says close and sends something all the same, as old ones send a
// line end behind a body that they do not count, gets its answer. A connection
// that is not at the poller does not know of such octets.
func TestOctetsBehindTheLastRequestDoNotCostItsAnswer(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system has no poller of ours")
	}
	for name, request := range map[string]string{
		"HTTP/1.0":          "POST /up HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
		"Connection: close": post("/up", "x", "Connection: close"),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			working, sent := make(chan bool), make(chan bool)
			start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				working <- true
				<-sent
				_, _ = w.Write(make([]byte, 1<<20))
			})}, l)
			nc := dial(t, l)
			_, err = io.WriteString(nc, request)
			require.NoError(t, err)
			<-working
			_, err = io.WriteString(nc, "\r\n")
			require.NoError(t, err)
			time.Sleep(10 * time.Millisecond) // for it to arrive
			sent <- true
			time.Sleep(100 * time.Millisecond) // for the server to close, were it to
			res, body := answerOf(t, bufio.NewReader(nc))
			require.Equal(t, 200, res.StatusCode)
			require.Len(t, body, 1<<20)
		})
	}
}

// Plain HTTP on a TLS port used to be answered and then reset, as most of the
// request was unread.
func TestPlainHTTPOnATLSPortReadsItsRefusal(t *testing.T) {
	cert, _ := certificate(t)
	for name, serve := range map[string]func(s *Server, l net.Listener) error{
		"ServeTLS":     func(s *Server, l net.Listener) error { return s.ServeTLS(l, "", "") },
		"tls.Listener": func(s *Server, l net.Listener) error { return s.Serve(tls.NewListener(l, s.TLSConfig)) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var logged lockedBuffer
			ends := make(chan ConnInfo, 1)
			s := &Server{Handler: echoPath, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
				ErrorLog: log.New(&logged, "", 0), OnConn: onClosed(ends)}
			go func() { _ = serve(s, l) }()
			t.Cleanup(func() { _ = s.Close() })
			wiretest.Steadily(t, quietAcked/4, func() error {
				nc := dial(t, l)
				answer, err := sendAndRead(nc)
				require.NoError(t, nc.Close())
				info := <-ends
				require.Equal(t, CloseTLSFailed, info.Reason)
				require.ErrorIs(t, info.Err, fault.TLSFailed)
				if err == nil {
					require.Contains(t, answer, "HTTP/1.0 400 Bad Request")
				}
				return err
			})
		})
	}
}

// sendAndRead sends all of a large request in plain text before it reads.
func sendAndRead(nc net.Conn) (string, error) {
	_, err := io.WriteString(nc, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n")
	for range 50 {
		if err == nil {
			_, err = nc.Write(make([]byte, 100_000))
		}
	}
	if err != nil {
		return "", err
	}
	answer, err := io.ReadAll(nc)
	return string(answer), err
}

func TestATLSConnectionLingersToo(t *testing.T) {
	cert, _ := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{Handler: http.HandlerFunc(refuseUpload), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	wiretest.Steadily(t, quietAcked/4, func() error {
		nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer nc.Close()
		_, err = io.WriteString(nc, uploadHead)
		require.NoError(t, err)
		if _, err = io.Copy(nc, io.LimitReader(nothing{}, uploadSize)); err != nil {
			return err // all of it is taken
		}
		require.Equal(t, 413, statusOf(t, nc))
		return nil
	})
}

// nothing is octets without end.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
