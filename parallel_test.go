package h1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// serving is a Server at work on one end of a Pair; near is the client's end.
func serving(t *testing.T, s *Server) (near *wiretest.Conn, served <-chan error) {
	t.Helper()
	near, far := wiretest.Pair()
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(far) }()
	t.Cleanup(func() { _ = near.Close() })
	return near, done
}

// inOrder reads n answers, each of which names its request.
func inOrder(t *testing.T, near io.Reader, n int) {
	t.Helper()
	in := bufio.NewReader(near)
	for i := range n {
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err, "answer %d", i)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("/%d", i), string(body))
	}
}

func numberedGets(n int) []string {
	var wires []string
	for i := range n {
		wires = append(wires, get(fmt.Sprintf("/%d", i)))
	}
	return wires
}

// sleeper answers with the request's path after a while.
func sleeper(d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		_, _ = io.WriteString(w, r.URL.Path)
	})
}

func TestPipelinedRequestsAreWorkedOnSideBySide(t *testing.T) {
	const n = 16
	for _, c := range []struct {
		name     string
		parallel int
		segments []string
		want     time.Duration
	}{
		{"in one segment", n, []string{strings.Join(numberedGets(n), "")}, 10 * time.Millisecond},
		{"each in its own", n, numberedGets(n), 10 * time.Millisecond},
		{"octet by octet", n, strings.Split(strings.Join(numberedGets(n), ""), ""), 10 * time.Millisecond},
		{"four at once", 4, numberedGets(n), 40 * time.Millisecond},
		{"one at once", 1, numberedGets(n), 160 * time.Millisecond},
		{"by default", 0, numberedGets(n), 160 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, served := serving(t, &Server{Handler: sleeper(10 * time.Millisecond), Parallel: c.parallel})
				began := time.Now()
				require.NoError(t, wiretest.WriteSegments(near, c.segments))
				inOrder(t, near, n)
				require.Equal(t, c.want, time.Since(began))
				require.NoError(t, near.CloseWrite())
				require.NoError(t, <-served)
			})
		})
	}
}

// The first answers do not wait for the last handler.
func TestAnAnswerWhoseTurnHasComeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/2" {
				time.Sleep(time.Second)
			}
			_, _ = io.WriteString(w, r.URL.Path)
		})
		near, served := serving(t, &Server{Handler: handler, Parallel: 8})
		require.NoError(t, wiretest.WriteSegments(near, numberedGets(4)))
		began := time.Now()
		inOrder(t, near, 2)
		require.Less(t, time.Since(began), 2*time.Millisecond)
		_ = near.Close()
		<-served
	})
}

// RFC 9112 section 9.3.2: what is not safe, or has a body, is worked on alone.
func TestUnsafeRequestsAreBarriers(t *testing.T) {
	for _, barrier := range []string{
		post("/x", ""), post("/x", "hello"), "DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n", "BREW /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok",
		"GET /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n",
		"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", // no URL: answered with 400
	} {
		line, _, _ := strings.Cut(barrier, "\r\n")
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now, most atomic.Int32
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n := now.Add(1)
					defer now.Add(-1)
					if r.URL.Path == "/x" {
						require.EqualValues(t, 1, n, "nobody works beside it")
					}
					most.Store(max(most.Load(), n))
					time.Sleep(10 * time.Millisecond)
					if r.URL.Path == "/x" {
						require.EqualValues(t, 1, now.Load(), "nobody began in the meantime")
					}
				})
				near, served := serving(t, &Server{Handler: handler, Parallel: 8})
				// Two before, two after; the handlers of each two work side by side.
				wire := get("/a") + get("/b") + barrier + get("/c") + get("/d")
				require.NoError(t, wiretest.WriteSegments(near, []string{wire}))
				require.NoError(t, near.CloseWrite())
				require.NoError(t, <-served)
				require.EqualValues(t, 2, most.Load())
			})
		})
	}
}

// Nothing after a request that is refused is worked on, and its answer comes
// after those before it.
func TestNothingAfterAFaultIsWorkedOn(t *testing.T) {
	for _, bad := range []string{
		"GET /x HTTP/1.1\r\n\r\n", // no Host
		"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
		"\x16\x03\x01\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			var after atomic.Int32
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/after" {
					after.Add(1)
				}
				sleeper(time.Millisecond).ServeHTTP(w, r)
			})
			near, served := serving(t, &Server{Handler: handler, Parallel: 8})
			_, err := io.WriteString(near, get("/0")+get("/1")+bad+get("/after"))
			require.NoError(t, err)
			in := bufio.NewReader(near)
			inOrder(t, in, 2)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.GreaterOrEqual(t, res.StatusCode, 400)
			_ = near.Close()
			<-served
			require.Zero(t, after.Load())
		})
	}
}

// A handler that ends the connection at its turn ends the others' work: their
// contexts are cancelled, and what they write goes nowhere.
func TestAnEndInTheMiddleOfAPipeline(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(w http.ResponseWriter)
		want string // what of the third answer comes
	}{
		{"close", func(w http.ResponseWriter) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, "/2")
		}, "200"},
		{"abort", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "/2")
			panic(http.ErrAbortHandler)
		}, ""},
		{"panic", func(http.ResponseWriter) { panic("at the disco") }, ""},
		{"a length not kept", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "/2")
		}, "200"},
	} {
		for _, slow := range []int{0, 2} { // whose handler takes longest: the end comes before its turn, or at it
			t.Run(fmt.Sprintf("%s, %d slow", c.name, slow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var lost atomic.Int32
					handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == fmt.Sprintf("/%d", slow) {
							time.Sleep(10 * time.Millisecond)
						}
						switch r.URL.Path {
						case "/2":
							c.end(w)
						case "/3", "/4":
							<-r.Context().Done()
							require.ErrorIs(t, r.Context().Err(), context.Canceled)
							_, err := io.WriteString(w, "late")
							require.Error(t, err)
							require.Error(t, http.NewResponseController(w).Flush())
							_, _, err = http.NewResponseController(w).Hijack()
							require.Error(t, err)
							lost.Add(1)
						default:
							_, _ = io.WriteString(w, r.URL.Path)
						}
					})
					var logged bytes.Buffer
					s := &Server{Handler: handler, Parallel: 8, ErrorLog: log.New(&logged, "", 0)}
					near, served := serving(t, s)
					require.NoError(t, wiretest.WriteSegments(near, []string{strings.Join(numberedGets(5), "")}))
					in := bufio.NewReader(near)
					inOrder(t, in, 2)
					rest, _ := io.ReadAll(in)
					require.NoError(t, near.Close())
					<-served
					require.EqualValues(t, 2, lost.Load(), "the server waits for them")
					require.Equal(t, c.name == "panic", strings.Contains(logged.String(), "at the disco"))
					if c.want == "" {
						require.Empty(t, rest)
						return
					}
					require.True(t, strings.HasPrefix(string(rest), "HTTP/1.1 "+c.want), "%q", rest)
					require.Equal(t, 1, strings.Count(string(rest), "HTTP/1.1"))
				})
			})
		}
	}
}

// A hijacker gets what the others' requests were, as it does where handlers run
// one after the other, and nobody reads from its connection any more.
func TestAHijackInTheMiddleOfAPipeline(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/0":
					if early {
						time.Sleep(10 * time.Millisecond)
					}
					_, _ = io.WriteString(w, r.URL.Path)
				case "/1":
					if !early {
						time.Sleep(10 * time.Millisecond) // its turn comes while it works
					}
					nc, rw, err := http.NewResponseController(w).Hijack()
					require.NoError(t, err)
					defer func() { _ = nc.Close() }()
					rest := get("/2") + get("/3") + "and more"
					got := make([]byte, len(rest))
					_, err = io.ReadFull(rw, got)
					require.NoError(t, err)
					require.Equal(t, rest, string(got))
					_, _ = io.WriteString(nc, "mine")
				default:
					<-r.Context().Done()
				}
			})
			near, served := serving(t, &Server{Handler: handler, Parallel: 8})
			_, err := io.WriteString(near, strings.Join(numberedGets(4), ""))
			require.NoError(t, err)
			inOrder(t, bufio.NewReader(io.LimitReader(near, int64(answerSize(t)))), 1)
			_, err = io.WriteString(near, "and more")
			require.NoError(t, err)
			rest, _ := io.ReadAll(near)
			require.Equal(t, "mine", string(rest))
			<-served
		})
	}
}

// answerSize is how long the answer to /0 is.
func answerSize(t *testing.T) int {
	return sizeOfAnswers(t, &Server{Handler: sleeper(0)}, get("/0"))
}

// CVE-2013-4450: a client pipelines without end and reads nothing. What the
// server keeps for it stays within the limits, and it stops reading.
func TestAFloodOfPipelinedRequestsIsNotRead(t *testing.T) {
	const size = 10_000
	var ran atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran.Add(1)
		_, _ = w.Write(make([]byte, size))
	})
	near, served := serving(t, &Server{Handler: handler, Parallel: 16, Limits: Limits{HeldBytes: 10 * size}})
	flooding := make(chan struct{})
	go func() {
		defer close(flooding)
		wire := strings.Repeat(get("/"), 1000)
		for {
			if _, err := io.WriteString(near, wire); err != nil {
				return
			}
		}
	}()
	require.Eventually(t, func() bool { return near.Pending() == 1<<20 }, 30*time.Second, time.Millisecond)
	time.Sleep(20 * time.Millisecond) // for one that would not stop
	// One MiB of answers fits into the connection; beside it there are those that
	// are held, and the handlers that wait.
	require.LessOrEqual(t, ran.Load(), int64(1<<20/size+10+16+1))
	_ = near.Close()
	<-flooding
	<-served
}

// Handlers that write more than may be held wait for their turn, and lose
// nothing.
func TestAHandlerThatWritesMuchWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written [4]atomic.Int64
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var i int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
			if i == 0 {
				time.Sleep(time.Second)
			}
			for range 100 {
				n, err := w.Write(bytes.Repeat([]byte{'0' + byte(i)}, 1000))
				require.NoError(t, err)
				written[i].Add(int64(n))
			}
		})
		near, served := serving(t, &Server{Handler: handler, Parallel: 4, Limits: Limits{HeldBytes: 50_000}})
		require.NoError(t, wiretest.WriteSegments(near, numberedGets(4)))
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 50_000, written[1].Load()+written[2].Load()+written[3].Load())
		in := bufio.NewReader(near)
		for i := range 4 {
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, strings.Repeat(string(rune('0'+i)), 100_000), string(body))
		}
		require.NoError(t, near.CloseWrite())
		require.NoError(t, <-served)
	})
}

func TestAClientThatGoesAwayCancelsAllHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		all.Add(4)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			all.Done()
			<-r.Context().Done()
		})
		near, served := serving(t, &Server{Handler: handler, Parallel: 8})
		require.NoError(t, wiretest.WriteSegments(near, numberedGets(4)))
		all.Wait()
		_ = near.Reset()
		<-served
	})
}

// The limit on requests counts those that began early: none of them goes
// without its answer.
func TestNoHandlerBeginsPastTheLimitOnRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int32
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran.Add(1)
			sleeper(time.Millisecond).ServeHTTP(w, r)
		})
		near, served := serving(t, &Server{Handler: handler, Parallel: 8, KeepAlive: KeepAlive{MaxRequests: 3}})
		require.NoError(t, wiretest.WriteSegments(near, []string{strings.Join(numberedGets(6), "")}))
		inOrder(t, near, 3)
		_ = near.Close()
		<-served
		require.EqualValues(t, 3, ran.Load())
	})
}

// sundry is a handler that does by its target all that one may do.
func sundry(w http.ResponseWriter, r *http.Request) {
	var ms int
	_, _ = fmt.Sscanf(r.URL.Query().Get("ms"), "%d", &ms)
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Path", r.URL.Path)
	w.Header()["Date"] = nil
	time.Sleep(time.Duration(ms) * time.Millisecond)
	switch r.URL.Path {
	case "/hints":
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
	case "/chunks":
		for i := range 5 {
			_, _ = fmt.Fprintf(w, "piece %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	case "/large":
		_, _ = w.Write(bytes.Repeat([]byte("0123456789abcdef"), 200))
	case "/length":
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
		_, _ = io.WriteString(w, "too much")
	case "/trailer":
		w.Header().Set("Trailer", "X-T")
		_, _ = io.WriteString(w, "x")
		w.Header().Set("X-T", "t")
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/missing":
		http.NotFound(w, r)
	case "/deadline":
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour))
		_ = http.NewResponseController(w).EnableFullDuplex()
	case "/copy":
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("copied ", 400)))
	case "/close":
		w.Header().Set("Connection", "close")
	}
	if r.URL.Path != "/length" {
		_, _ = fmt.Fprintf(w, "%s %s %q", r.Method, r.URL, body)
	}
}

// sundryWire is n requests picked by seed.
func sundryWire(seed uint64, n int) string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	paths := []string{"/", "/hints", "/chunks", "/large", "/length", "/trailer", "/none", "/missing", "/deadline", "/copy", "/", "/", "/"}
	var wire strings.Builder
	for range n {
		target := fmt.Sprintf("%s?ms=%d", paths[rnd.IntN(len(paths))], rnd.IntN(20))
		if rnd.IntN(10) == 0 {
			wire.WriteString("\r\n") // RFC 9112 section 2.2 allows it
		}
		switch r := rnd.IntN(40); {
		case r < 28:
			wire.WriteString(get(target))
		case r < 31:
			fmt.Fprintf(&wire, "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\n", target)
		case r < 35:
			wire.WriteString(post(target, "some body"))
		case r < 37:
			fmt.Fprintf(&wire, "PUT %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", target)
		case r < 39:
			wire.WriteString(get("/close?ms=3"))
		default:
			wire.WriteString("GET /bad HTTP/1.1\r\nHost : h\r\n\r\n")
		}
	}
	return wire.String()
}

// answersTo is all that a server answers to wire, cut as cuts say.
func answersTo(t *testing.T, s *Server, wire string, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 2))
	near, served := serving(t, s)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(wire) > 0 {
			n := min(len(wire), 1+rnd.IntN(300))
			if _, err := io.WriteString(near, wire[:n]); err != nil {
				return
			}
			wire = wire[n:]
			if rnd.IntN(3) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		_ = near.CloseWrite()
	}()
	answers, err := io.ReadAll(near)
	if err != nil && !errors.Is(err, io.EOF) {
		answers = append(answers, "\nthen: "+err.Error()...)
	}
	_ = near.Close()
	<-served
	<-sent
	return differing.ReplaceAllString(string(answers), "")
}

// differing are the addresses of in-memory connections, and when a refusal was
// sent.
var differing = regexp.MustCompile(`mem:\d+|Date: .*`)

// However the handlers' times fall, the client sees what it would have seen had
// they run one after the other.
func sameAsInTurn(t *testing.T, seed uint64, n int) {
	synctest.Test(t, func(t *testing.T) {
		wire := sundryWire(seed, n)
		want := answersTo(t, &Server{Handler: http.HandlerFunc(sundry)}, wire, seed)
		for _, s := range []*Server{
			{Parallel: 2}, {Parallel: 16}, {Parallel: 16, Limits: Limits{HeldBytes: 2000}}, {Parallel: 16, Limits: Limits{HeldBytes: -1}},
		} {
			s.Handler = http.HandlerFunc(sundry)
			if diff := cmp.Diff(strings.Split(want, "\r\n"), strings.Split(answersTo(t, s, wire, seed), "\r\n")); diff != "" {
				t.Fatalf("Parallel %d, HeldBytes %d: %s", s.Parallel, s.Limits.HeldBytes, diff)
			}
		}
	})
}

func TestAnswersAreThoseOfHandlersInTurn(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sameAsInTurn(t, seed, 24) })
	}
}

func FuzzAnswersAreThoseOfHandlersInTurn(f *testing.F) {
	f.Add(uint64(1), uint8(8))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { sameAsInTurn(t, seed, int(n%64)) })
}

// Over TCP the connection waits at the poller between requests, and is read in
// between by whoever serves it.
func TestSideBySideOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	const n, rounds = 16, 3
	var begun atomic.Int32
	var all [rounds]chan struct{} // closed when all handlers of a round are at work
	for i := range all {
		all[i] = make(chan struct{})
	}
	start(t, &Server{Parallel: n, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := int(begun.Add(1))
		round := all[(begin-1)/n]
		if begin%n == 0 {
			close(round)
		}
		select {
		case <-round:
			_, _ = io.WriteString(w, r.URL.Path)
		case <-r.Context().Done(): // the client has waited for too long
		}
	})}, l)
	nc := dial(t, l)
	for range rounds { // with rests between
		for _, wire := range numberedGets(n) {
			_, err := io.WriteString(nc, wire)
			require.NoError(t, err)
		}
		inOrder(t, nc, n)
	}
}

// What was read before the client was told of a shutdown is answered, the last of
// it with close.
func TestAShutdownAnswersWhatIsWorkedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 6
		s := &Server{Handler: sleeper(10 * time.Millisecond), Parallel: 3}
		near, served := serving(t, s)
		require.NoError(t, wiretest.WriteSegments(near, []string{strings.Join(numberedGets(n), "")}))
		time.Sleep(time.Millisecond)
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		answers, err := io.ReadAll(near)
		require.NoError(t, err)
		inOrder(t, strings.NewReader(string(answers)), n)
		require.Equal(t, 1, strings.Count(string(answers), "Connection: close"))
		_ = near.Close()
		require.NoError(t, <-stopped)
		<-served
	})
}
