package h1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// told is a response, or an error, as a test compares it.
type told struct {
	Status, Proto    string
	Length           int64
	Close            bool
	Codings          []string
	Header, Trailer  http.Header
	Path, Body, Fail string
}

// tellFate sends a request and tells all of what became of it.
func tellFate(tr *Transport, method, path string) told {
	req, err := http.NewRequest(method, "http://origin.test"+path, nil)
	if err != nil {
		return told{Fail: err.Error()}
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return told{Fail: err.Error()}
	}
	body, err := io.ReadAll(res.Body)
	a := told{res.Status, res.Proto, res.ContentLength, res.Close, res.TransferEncoding, res.Header, res.Trailer, res.Request.URL.Path, string(body), ""}
	if err != nil {
		a.Fail = err.Error()
	}
	if err := res.Body.Close(); err != nil {
		a.Fail += " close: " + err.Error()
	}
	return a
}

// fatesOf are the fates of requests that share a connection, whose server sends
// wire in such pieces when all of them have come. Connections after the first
// answer properly.
func fatesOf(t *testing.T, methods []string, wire string, piece int) (fates []told) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
			if n > 0 {
				answerAll(n, nc)
				return
			}
			in := bufio.NewReader(nc)
			for range methods {
				_, err := asked(in)
				require.NoError(t, err)
			}
			for left := wire; left != ""; left = left[min(piece, len(left)):] {
				if _, err := io.WriteString(nc, left[:min(piece, len(left))]); err != nil {
					break
				}
				time.Sleep(time.Microsecond) // it is read before more comes
			}
			time.Sleep(time.Second)
		}}
		tr := o.transport(Pipelining{Depth: 8})
		var got []chan told
		for i, method := range methods {
			got = append(got, make(chan told, 1))
			go func() { got[i] <- tellFate(tr, method, fmt.Sprintf("/%d", i)) }()
			synctest.Wait()
		}
		for _, one := range got {
			fates = append(fates, <-one)
		}
		o.close(tr)
	})
	return fates
}

// Answers that come together are the same as answers of which each comes octet
// by octet, and is read by its own request's goroutine.
func TestAnswersThatComeTogether(t *testing.T) {
	ok := answerText("/x")
	tests := []struct {
		name    string
		methods string
		wire    string
		fails   int // of the requests, for want of a good answer
	}{
		{"all alike", "GET GET GET GET", ok + ok + ok + ok, 0},
		{"without bodies", "GET HEAD GET GET", ok + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + "HTTP/1.1 204 No Content\r\n\r\n" + "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 0},
		{"an empty body", "GET GET GET", ok + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + ok, 0},
		{"chunks in the middle", "GET GET GET", ok + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nab\r\n0\r\nT: v\r\n\r\n" + ok, 0},
		{"news before the answer", "GET GET GET", ok + "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + ok, 0},
		{"fields of all kinds", "GET GET GET", ok + "HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nDate: x\r\nContent-Length: 1\r\nKeep-Alive: timeout=9, max=7\r\n\r\ny" + ok, 0},
		{"close in the middle", "GET GET GET GET", ok + ok + "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\ny", 0},
		{"HTTP/1.0 in the middle", "GET GET GET GET", ok + ok + "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\ny", 0},
		{"no more after the hint", "GET GET GET GET", ok + "HTTP/1.1 200 OK\r\nKeep-Alive: max=0\r\nContent-Length: 1\r\n\r\ny" + ok + ok, 0},
		{"nonsense behind two", "GET GET GET GET", ok + ok + "?", 1},
		{"a bad length behind two", "GET GET GET GET", ok + ok + "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx", 1},
		{"a length that is not kept", "GET GET GET GET", ok + ok + "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", 1},
		{"half a head behind two", "GET GET GET GET", ok + ok + "HTTP/1.1 200 OK\r\nConte", 1},
		{"a switch that nobody asked for", "GET GET GET", ok + "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + ok, 1},
		{"more than was asked for", "GET GET GET", ok + ok + ok + ok, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			methods := strings.Fields(tt.methods)
			together := fatesOf(t, methods, tt.wire, len(tt.wire))
			failed := 0
			for i, a := range together {
				if a.Fail != "" {
					failed++
				} else {
					require.Equal(t, fmt.Sprintf("/%d", i), a.Path)
				}
			}
			require.Equal(t, tt.fails, failed, "%+v", together)
			require.Empty(t, cmp.Diff(fatesOf(t, methods, tt.wire, 1), together))
		})
	}
}

// Those whose answers came do not wait for one behind them that is not whole.
func TestWholeAnswersAreDealtAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			wire := ""
			for range n {
				path, err := asked(in)
				require.NoError(t, err)
				wire += answerText(path)
			}
			_, err := io.WriteString(nc, wire[:len(wire)-1])
			require.NoError(t, err)
			time.Sleep(time.Second)
			_, err = io.WriteString(nc, wire[len(wire)-1:])
			require.NoError(t, err)
			answerAll(0, nc)
		}}
		tr := o.transport(Pipelining{Depth: n})
		began := time.Now()
		fates := inLine(t, context.Background(), tr, n)
		for i, fate := range fates {
			require.NoError(t, (<-fate).err)
			require.Equal(t, i == n-1, time.Since(began) > 0, i)
		}
		require.NoError(t, askPath(t, context.Background(), tr, "/later").err)
		require.EqualValues(t, 1, o.dialed.Load())
		o.close(tr)
	})
}

// When all answers come at once, the last is left for its own request's goroutine:
// the others ask again while the connection is still shared, and so it stays.
func TestTheLastInLineReadsItsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		o := &origins{t: t, serve: func(_ int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			for _, burst := range []int{1, n} {
				wire := ""
				for range burst {
					path, err := asked(in)
					require.NoError(t, err)
					wire += answerText(path)
				}
				_, err := io.WriteString(nc, wire)
				require.NoError(t, err)
			}
		}}
		tr := o.transport(Pipelining{Depth: n})
		require.NoError(t, askPath(t, context.Background(), tr, "/alone").err)
		k := tr.pool.conns()[0].client
		var together []int
		release := k.release
		k.release = func(c *Conn, v verdict, exchanges int) bool {
			together = append(together, exchanges)
			return release(c, v, exchanges)
		}
		for _, fate := range inLine(t, context.Background(), tr, n) {
			require.NoError(t, (<-fate).err)
		}
		require.Equal(t, []int{n - 1, 1}, together)
		o.close(tr)
	})
}
