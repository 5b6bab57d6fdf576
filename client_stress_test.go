package h1

// A Transport with small limits against a server that misbehaves at random, over
// TCP: what has to hold whatever happens.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// fickle is a server that answers with the path of each request, or does worse. It
// counts how often it had each POST whole.
type fickle struct {
	l     net.Listener
	conns sync.WaitGroup
	mu    sync.Mutex
	posts map[string]int
}

func (f *fickle) serve() {
	for {
		nc, err := f.l.Accept()
		if err != nil {
			return
		}
		f.conns.Go(func() {
			defer nc.Close()
			if rand.N(30) == 0 {
				return // before it was asked
			}
			for in := bufio.NewReader(nc); f.answer(in, nc); {
			}
		})
	}
}

// answer serves one request; false ends the connection.
func (f *fickle) answer(in *bufio.Reader, nc net.Conn) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	whole := answerText(req.URL.Path)
	if rand.N(20) == 0 { // before the body is read
		_, err = io.WriteString(nc, whole)
		return err == nil && rand.N(2) == 0
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	if req.Method == "POST" {
		f.mu.Lock()
		f.posts[req.URL.Path]++
		f.mu.Unlock()
	}
	switch rand.N(24) {
	case 0: // a reset
		_ = nc.(*net.TCPConn).SetLinger(0)
		return false
	case 1: // half an answer
		_, _ = io.WriteString(nc, whole[:rand.N(len(whole))])
		return false
	case 2: // in pieces
		cut := rand.N(len(whole))
		_, _ = io.WriteString(nc, whole[:cut])
		time.Sleep(rand.N(2 * time.Millisecond))
		_, err = io.WriteString(nc, whole[cut:])
	case 3: // with octets behind it that nobody asked for
		_, _ = io.WriteString(nc, whole)
		time.Sleep(rand.N(time.Millisecond))
		_, err = io.WriteString(nc, "!")
	case 4:
		time.Sleep(rand.N(5 * time.Millisecond))
		_, err = io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\n\r\n"+whole)
	case 5: // the last one, and said so
		_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path)
		return false
	case 6: // the last one, unannounced
		_, _ = io.WriteString(nc, whole)
		return false
	default:
		_, err = io.WriteString(nc, whole)
	}
	return err == nil
}

// ask sends one request, which may be cancelled, and reads some of its answer.
func (f *fickle) ask(t *testing.T, tr *Transport, path string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if rand.N(8) == 0 {
		time.AfterFunc(rand.N(2*time.Millisecond), cancel)
	}
	method, body := "GET", io.Reader(nil)
	switch rand.N(4) {
	case 0:
		method, body = "POST", bytes.NewReader(make([]byte, rand.N(64<<10)))
	case 1:
		method, body = "POST", io.MultiReader(bytes.NewReader(make([]byte, rand.N(8<<10)))) // without GetBody
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+f.l.Addr().String()+path, body)
	require.NoError(t, err)
	res, err := tr.RoundTrip(req)
	if err == nil {
		if rand.N(8) > 0 {
			var text []byte
			if text, err = io.ReadAll(res.Body); err == nil && string(text) != path {
				t.Errorf("asked for %q, got %q", path, text)
			}
		}
		_ = res.Body.Close()
	}
	if context.Cause(ctx) == context.DeadlineExceeded {
		t.Errorf("%s %s took too long: %v", method, path, err)
	}
}

func TestNothingIsLostWhateverTheServerDoes(t *testing.T) {
	for _, depth := range []int{0, 4} {
		t.Run(fmt.Sprintf("depth %d", depth), func(t *testing.T) {
			wiretest.NoLeaks(t, "poll.(*system).run")
			f := &fickle{l: must(net.Listen("tcp", "127.0.0.1:0")), posts: map[string]int{}}
			f.conns.Go(f.serve)
			tr := &Transport{
				Pipelining:      Pipelining{Depth: depth, Pause: -1},
				MaxConnsPerHost: 3, MaxDialsPerHost: 1, MaxIdleConns: 2, MinIdleConnsPerHost: 1,
				KeepAlive: KeepAlive{MaxRequests: 20},
			}
			var all sync.WaitGroup
			end := time.Now().Add(1500 * time.Millisecond)
			for g := range 16 {
				all.Go(func() {
					for i := 0; time.Now().Before(end); i++ {
						f.ask(t, tr, fmt.Sprintf("/%d/%d", g, i))
					}
				})
			}
			all.Wait()
			require.Eventually(t, func() bool {
				tr.CloseIdleConnections()
				st := tr.Stats().Total
				return st.Open+st.Waiting == 0
			}, 20*time.Second, time.Millisecond, "%+v", tr.Stats().Total)
			st := tr.Stats().Total
			ended := int64(0)
			for _, n := range st.Closed {
				ended += n
			}
			require.Equal(t, st.Dials, st.Failed+ended)
			require.NoError(t, f.l.Close())
			f.conns.Wait() // no connection is left open
			for path, n := range f.posts {
				require.LessOrEqual(t, n, 1, path)
			}
		})
	}
}
