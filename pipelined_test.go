package h1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// origins is a server of which the test plays each connection. serve is called
// for each that is dialled, with its number from 0.
type origins struct {
	t      *testing.T
	serve  func(n int, nc *wiretest.Conn)
	dialed atomic.Int32
	all    sync.WaitGroup
}

func (o *origins) dial(context.Context, string, string) (net.Conn, error) {
	near, far := wiretest.Pair()
	n := int(o.dialed.Add(1)) - 1
	o.all.Go(func() { o.serve(n, far); _ = far.Close() })
	return near, nil
}

// transport pipelines to the origins.
func (o *origins) transport(p Pipelining) *Transport {
	return &Transport{DialContext: o.dial, Pipelining: p, DisableCompression: true}
}

// asked reads a request and gives its path.
func asked(in *bufio.Reader) (string, error) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return req.URL.Path, err
}

// answerText is an answer that names its request.
func answerText(path string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
}

// answerAll answers each request with its path, after a while, until the
// connection ends.
func answerAll(_ int, nc *wiretest.Conn) {
	for in := bufio.NewReader(nc); ; {
		path, err := asked(in)
		if err != nil {
			return
		}
		time.Sleep(time.Millisecond)
		if _, err := io.WriteString(nc, answerText(path)); err != nil {
			return
		}
	}
}

// fetched is what became of a request.
type fetched struct {
	body string
	err  error
}

// askPath asks for a path and checks that an answer is that request's own.
func askPath(t *testing.T, ctx context.Context, tr *Transport, path string) fetched {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://origin.test"+path, nil)
	require.NoError(t, err)
	res, err := tr.RoundTrip(req)
	if err != nil {
		return fetched{err: err}
	}
	body, err := io.ReadAll(res.Body)
	require.NoError(t, res.Body.Close())
	if err == nil {
		require.Equal(t, path, string(body), "never another's answer")
	}
	return fetched{string(body), err}
}

// inLine sends n requests, one after the other, and gives where their fates come.
func inLine(t *testing.T, ctx context.Context, tr *Transport, n int) []chan fetched {
	var fates []chan fetched
	for i := range n {
		fates = append(fates, make(chan fetched, 1))
		go func() { fates[i] <- askPath(t, ctx, tr, fmt.Sprintf("/%d", i)) }()
		synctest.Wait()
	}
	return fates
}

func (o *origins) close(tr *Transport) {
	tr.CloseIdleConnections()
	o.all.Wait()
}

func TestRequestsShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 16
		var order []string
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			for range n { // all are there before one is answered
				path, err := asked(in)
				require.NoError(t, err)
				order = append(order, path)
			}
			for _, path := range order {
				_, err := io.WriteString(nc, answerText(path))
				require.NoError(t, err)
			}
			answerAll(0, nc)
		}}
		tr := o.transport(Pipelining{Depth: n})
		for i, fate := range inLine(t, context.Background(), tr, n) {
			require.NoError(t, (<-fate).err)
			require.Equal(t, fmt.Sprintf("/%d", i), order[i])
		}
		require.NoError(t, askPath(t, context.Background(), tr, "/later").err)
		require.EqualValues(t, 1, o.dialed.Load())
		o.close(tr)
	})
}

// What several goroutines ask leaves in one write, and nobody waits for a
// reader that will not send it.
func TestABurstOfRequestsLeavesTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // how many share a write is the scheduler's affair
	const goroutines, each = 32, 50
	const most = goroutines * each / 4
	writes := most
	for tries := 0; writes >= most && tries < 10; tries++ { // and a goroutine may lose the processor at any time
		writes = writesOfABurst(t, goroutines, each)
	}
	require.Less(t, writes, most)
}

// writesOfABurst is in how many writes the requests of some goroutines leave, each
// of which asks for as many answers one after the other.
func writesOfABurst(t *testing.T, goroutines, each int) (writes int) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			buf := make([]byte, 64<<10)
			for {
				n, err := nc.Read(buf)
				if err != nil {
					return
				}
				writes++
				time.Sleep(time.Millisecond) // meanwhile the others ask
				in := bufio.NewReader(strings.NewReader(string(buf[:n])))
				var answers strings.Builder
				for path, err := asked(in); err == nil; path, err = asked(in) {
					answers.WriteString(answerText(path))
				}
				_, _ = io.WriteString(nc, answers.String())
			}
		}}
		tr := o.transport(Pipelining{Depth: 64})
		var all sync.WaitGroup
		for i := range goroutines {
			all.Go(func() {
				for range each {
					require.NoError(t, askPath(t, context.Background(), tr, fmt.Sprintf("/%d", i)).err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, o.dialed.Load())
		o.close(tr)
	})
	return writes
}

// The connection is lost after every octet of five answers, in good order or by a
// reset: each request ends once, with its own answer or with an error, and only
// the one whose answer broke off fails.
func TestASharedConnectionIsCutAtEveryOctet(t *testing.T) {
	const n = 5
	var wire strings.Builder
	var begins, ends []int
	for i := range n {
		begins = append(begins, wire.Len())
		switch path := fmt.Sprintf("/%d", i); i {
		case 1:
			fmt.Fprintf(&wire, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n%s\r\n0\r\n\r\n", path)
		default:
			wire.WriteString(answerText(path))
		}
		ends = append(ends, wire.Len())
	}
	for cut := range wire.Len() + 1 {
		for _, reset := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				o := &origins{t: t, serve: func(k int, nc *wiretest.Conn) {
					if k > 0 {
						answerAll(k, nc)
						return
					}
					in := bufio.NewReader(nc)
					for range n {
						_, err := asked(in)
						require.NoError(t, err)
					}
					_, err := io.WriteString(nc, wire.String()[:cut])
					require.NoError(t, err)
					time.Sleep(time.Millisecond) // a reset takes what was not read
					if reset {
						_ = nc.Reset()
					}
				}}
				tr := o.transport(Pipelining{Depth: n})
				for i, fate := range inLine(t, context.Background(), tr, n) {
					got := <-fate
					if cut <= begins[i] || cut >= ends[i] {
						require.NoError(t, got.err, "request %d, cut at %d", i, cut)
						continue
					}
					var lost *RequestError
					require.ErrorAs(t, got.err, &lost, "request %d, cut at %d", i, cut)
					require.Equal(t, OutcomeAnswered, lost.Outcome)
				}
				o.close(tr)
			})
		}
	}
}

// A server that says close is taken at its word: those behind ride again, on a
// pipeline, as often as it takes.
func TestRequestsBehindAnAnnouncedCloseRideAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			for i := range 3 {
				path, err := asked(in)
				if err != nil {
					return
				}
				answer := answerText(path)
				if i == 2 {
					answer = strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1)
				}
				_, err = io.WriteString(nc, answer)
				require.NoError(t, err)
			}
			time.Sleep(time.Millisecond) // no reset: what else came is read
			_, _ = io.Copy(io.Discard, in)
		}}
		tr := o.transport(Pipelining{Depth: 64})
		for _, fate := range inLine(t, context.Background(), tr, 30) {
			require.NoError(t, (<-fate).err)
		}
		require.EqualValues(t, 10, o.dialed.Load(), "three requests each")
		o.close(tr)
	})
}

// A server that closes in the middle of a pipeline unannounced loses it for a
// while.
func TestAnOriginThatBreaksAPipelineHasNoneForAWhile(t *testing.T) {
	for name, end := range map[string]string{
		"closes early":        "",
		"answers in no order": "HTTP/9.9 nonsense\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken := true
				o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
					if !broken {
						answerAll(n, nc)
						return
					}
					broken = false
					in := bufio.NewReader(nc)
					for range 4 {
						_, err := asked(in)
						require.NoError(t, err)
					}
					_, err := io.WriteString(nc, answerText("/0")+end)
					require.NoError(t, err)
				}}
				tr := o.transport(Pipelining{Depth: 8, Pause: time.Hour})
				for i, fate := range inLine(t, context.Background(), tr, 4) {
					if got := <-fate; i == 1 && end != "" {
						require.ErrorIs(t, got.err, fault.VersionUnsupported)
					} else {
						require.NoError(t, got.err)
					}
				}
				for _, c := range []struct {
					later time.Duration
					conns int32
				}{{0, 2}, {59 * time.Minute, 2}, {2 * time.Minute, 1}} {
					tr.CloseIdleConnections()
					time.Sleep(c.later)
					before := o.dialed.Load()
					for _, fate := range inLine(t, context.Background(), tr, 2) {
						require.NoError(t, (<-fate).err)
					}
					require.Equal(t, c.conns, o.dialed.Load()-before, "after %v", c.later)
				}
				o.close(tr)
			})
		})
	}
}

// POSTs, and what Use leaves out, have connections of their own.
func TestOnlyHarmlessRequestsShare(t *testing.T) {
	tr := &Transport{Pipelining: Pipelining{Depth: 8, Use: func(r *http.Request) bool { return r.URL.Path != "/alone" }}}
	require.NoError(t, tr.settle())
	for _, c := range []struct {
		method, path string
		body         string
		header       http.Header
		want         bool
	}{
		{method: "GET", path: "/", want: true},
		{method: "HEAD", path: "/", want: true},
		{method: "DELETE", path: "/", want: true},
		{method: "GET", path: "/alone"},
		{method: "POST", path: "/"},
		{method: "POST", path: "/", header: http.Header{"Idempotency-Key": {"1"}}, want: true},
		{method: "PUT", path: "/", body: "x"},
		{method: "GET", path: "/", header: http.Header{"Connection": {"close"}}},
		{method: "GET", path: "/", header: http.Header{"Connection": {"upgrade"}, "Upgrade": {"y"}}},
	} {
		req, err := http.NewRequest(c.method, "http://a"+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		for name, values := range c.header {
			req.Header[name] = values
		}
		r := &trip{t: tr, req: req, body: &askBody{body: req.Body}}
		require.NoError(t, r.prepare())
		require.Equal(t, c.want, r.shares(), "%s %s %v", c.method, c.path, c.header)
	}
}

// A request in the middle of the line is cancelled: its answer is dropped, and
// the others notice nothing.
func TestACancelledRequestInTheLine(t *testing.T) {
	for _, at := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
					in := bufio.NewReader(nc)
					for range 3 {
						_, err := asked(in)
						require.NoError(t, err)
					}
					time.Sleep(500 * time.Millisecond)
					for i := range 3 {
						_, err := io.WriteString(nc, answerText(fmt.Sprintf("/%d", i)))
						require.NoError(t, err)
					}
					answerAll(0, nc)
				}}
				tr := o.transport(Pipelining{Depth: 8})
				var fates []chan fetched
				ctx, cancel := context.WithCancel(context.Background())
				for i := range 3 {
					fates = append(fates, make(chan fetched, 1))
					own := context.Background()
					if i == at {
						own = ctx
					}
					go func() { fates[i] <- askPath(t, own, tr, fmt.Sprintf("/%d", i)) }()
					synctest.Wait()
				}
				began := time.Now()
				cancel()
				got := <-fates[at]
				require.ErrorIs(t, got.err, context.Canceled)
				require.Zero(t, time.Since(began), "at once")
				for i := range 3 {
					if i != at {
						require.NoError(t, (<-fates[i]).err)
					}
				}
				require.NoError(t, askPath(t, context.Background(), tr, "/later").err)
				require.EqualValues(t, 1, o.dialed.Load())
				o.close(tr)
			})
		})
	}
}

// When the answer to a cancelled request does not come, those behind it are sent
// again instead of waiting for it.
func TestACancelledRequestThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
			if n > 0 {
				answerAll(n, nc)
				return
			}
			_, _ = io.Copy(io.Discard, nc)
		}}
		tr := o.transport(Pipelining{Depth: 8})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		first := make(chan fetched, 1)
		go func() { first <- askPath(t, ctx, tr, "/first") }()
		synctest.Wait()
		began := time.Now()
		for _, fate := range inLine(t, context.Background(), tr, 3) {
			require.NoError(t, (<-fate).err)
		}
		require.ErrorIs(t, (<-first).err, context.DeadlineExceeded)
		require.Equal(t, 2*time.Second+time.Millisecond, time.Since(began), "the cancelled one's second, a drain's, and the answer's time")
		o.close(tr)
	})
}

// A Body that is not here yet is read by its caller, and those behind it wait for
// that; a cancelled one is dropped.
func TestABodyIsReadInItsTurn(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(body io.ReadCloser, cancel func())
	}{
		{"read", func(body io.ReadCloser, _ func()) { _, _ = io.Copy(io.Discard, body) }},
		{"closed", func(body io.ReadCloser, _ func()) { _ = body.Close() }},
		{"cancelled", func(_ io.ReadCloser, cancel func()) { cancel() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
					in := bufio.NewReader(nc)
					_, err := asked(in)
					require.NoError(t, err)
					half := strings.Repeat("x", 50000)
					_, err = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+half)
					require.NoError(t, err)
					time.Sleep(10 * time.Millisecond)
					_, err = io.WriteString(nc, half)
					require.NoError(t, err)
					for {
						path, err := asked(in)
						if err != nil {
							return
						}
						_, _ = io.WriteString(nc, answerText(path))
					}
				}}
				tr := o.transport(Pipelining{Depth: 8})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, "GET", "http://origin.test/large", nil)
				require.NoError(t, err)
				res, err := tr.RoundTrip(req)
				require.NoError(t, err)
				fates := inLine(t, context.Background(), tr, 3)
				time.Sleep(time.Second)
				require.Empty(t, fates[0], "it waits")
				c.end(res.Body, cancel)
				for _, fate := range fates {
					require.NoError(t, (<-fate).err)
				}
				require.EqualValues(t, 1, o.dialed.Load())
				o.close(tr)
			})
		})
	}
}

// Past the depth requests wait in line for a place, and one that is cancelled
// there leaves it.
func TestRequestsWaitForAPlaceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			for in := bufio.NewReader(nc); ; {
				path, err := asked(in)
				if err != nil {
					return
				}
				seen = append(seen, path)
				time.Sleep(time.Millisecond)
				_, _ = io.WriteString(nc, answerText(path))
			}
		}}
		tr := o.transport(Pipelining{Depth: 2})
		ctx, cancel := context.WithCancel(context.Background())
		fates := inLine(t, context.Background(), tr, 5)
		left := make(chan fetched, 1)
		go func() { left <- askPath(t, ctx, tr, "/left") }()
		synctest.Wait()
		fates = append(fates, inLine(t, context.Background(), tr, 1)...)
		cancel()
		require.ErrorIs(t, (<-left).err, context.Canceled)
		for _, fate := range fates {
			require.NoError(t, (<-fate).err)
		}
		require.Equal(t, []string{"/0", "/1", "/2", "/3", "/4", "/0"}, seen)
		require.EqualValues(t, 1, o.dialed.Load())
		o.close(tr)
	})
}

// Where an origin may have one connection, a request that cannot share is not
// kept from it by those that do.
func TestAPostIsNotStarvedByAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: answerAll}
		tr := o.transport(Pipelining{Depth: 8})
		tr.MaxConnsPerHost = 1
		ctx, stop := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					require.NoError(t, askPath(t, context.Background(), tr, fmt.Sprintf("/%d", i)).err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		for range 3 {
			req, err := http.NewRequest("POST", "http://origin.test/post", strings.NewReader("x"))
			require.NoError(t, err)
			res, err := tr.RoundTrip(req)
			require.NoError(t, err)
			_ = res.Body.Close()
		}
		require.EqualValues(t, 1, o.dialed.Load())
		stop()
		all.Wait()
		o.close(tr)
	})
}

// A dial that fails is the error of who asked for it, and the next in line asks
// again.
func TestAPipelineThatCannotBeOpened(t *testing.T) {
	var dials atomic.Int32
	tr := &Transport{Pipelining: Pipelining{Depth: 8}, DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		time.Sleep(time.Millisecond)
		return nil, errors.New("no way")
	}}
	synctest.Test(t, func(t *testing.T) {
		for _, fate := range inLine(t, context.Background(), tr, 3) {
			require.ErrorContains(t, (<-fate).err, "no way")
		}
		require.EqualValues(t, 3, dials.Load())
	})
}

// Real connections, a real server with few requests on each connection, and
// requests cancelled now and then: every answer is its request's own.
func TestPipelinesOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "7") {
			time.Sleep(time.Millisecond)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	s := &Server{Handler: echo, Parallel: 8, KeepAlive: KeepAlive{MaxRequests: 50}}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	tr := &Transport{Pipelining: Pipelining{Depth: 16, Conns: 2}}
	defer tr.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for k := range 60 {
				ctx, cancel := context.WithCancel(context.Background())
				if k%10 == 9 {
					time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel)
				}
				path := fmt.Sprintf("/%d/%d", i, k)
				req, err := http.NewRequestWithContext(ctx, "GET", "http://"+l.Addr().String()+path, nil)
				require.NoError(t, err)
				res, err := tr.RoundTrip(req)
				if err == nil {
					var body []byte
					body, err = io.ReadAll(res.Body)
					_ = res.Body.Close()
					if err == nil {
						require.Equal(t, path, string(body))
					}
				}
				if k%10 != 9 {
					require.NoError(t, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// A small answer is here with its head: it is read at leisure, and not after it
// was closed.
func TestABodyThatCameWithItsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: answerAll}
		tr := o.transport(Pipelining{Depth: 2})
		req, err := http.NewRequest("GET", "http://origin.test/some/path", nil)
		require.NoError(t, err)
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.EqualValues(t, len("/some/path"), res.ContentLength)
		var got []byte
		for one := make([]byte, 1); err == nil; {
			var n int
			n, err = res.Body.Read(one)
			got = append(got, one[:n]...)
		}
		require.Equal(t, io.EOF, err)
		require.Equal(t, "/some/path", string(got))
		require.NoError(t, res.Body.Close())
		_, err = res.Body.Read(make([]byte, 1))
		require.Equal(t, http.ErrBodyReadAfterClose, err)
		o.close(tr)
	})
}
