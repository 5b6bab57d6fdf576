package h1_test

// What becomes of a connection whose answer nobody reads to its end.

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// begun is a request whose answer has begun, with five octets of the body.
type begun struct {
	*stage
	k      *wiretest.Talk
	body   io.ReadCloser
	cancel context.CancelFunc
	read   chan error // what a Read comes to; nil: nobody reads
}

func begin(s *stage, head string, reading bool) *begun {
	s.t.Helper()
	b := &begun{stage: s}
	ctx, cancel := context.WithCancel(s.t.Context())
	b.cancel = cancel
	got := s.open(request("GET", "").WithContext(ctx))
	b.k = s.accept()
	b.k.ExpectHead("GET / HTTP/1.1")
	b.k.Send(head)
	r := <-got
	require.NoError(s.t, r.err)
	b.body = r.res.Body
	if reading {
		b.read = make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, b.body)
			b.read <- err
		}()
	}
	synctest.Wait()
	return b
}

// leaves are the ways in which a caller leaves a body.
var leaves = map[string]struct {
	leave func(b *begun)
	after error
}{
	"by Close":             {func(b *begun) { _ = b.body.Close() }, http.ErrBodyReadAfterClose},
	"by its context's end": {func(b *begun) { b.cancel() }, context.Canceled},
	"by both": {func(b *begun) {
		b.cancel()
		synctest.Wait()
		_ = b.body.Close()
	}, http.ErrBodyReadAfterClose},
	"by both the other way round": {func(b *begun) {
		_ = b.body.Close()
		b.cancel()
	}, http.ErrBodyReadAfterClose},
}

// restOf are bodies of which "hello" is what has come, with what comes later.
var restOf = map[string]struct{ head, rest string }{
	"a length":                  {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", " world"},
	"chunks":                    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "6\r\n world\r\n0\r\n\r\n"},
	"chunks, cut in a size":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1", "0\r\n0123456789abcdef\r\n0\r\n\r\n"},
	"chunks, cut in a trailer":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: ", "b\r\n\r\n"},
	"a body that is here whole": {hello, ""},
}

func TestAConnectionIsSavedWhenItsAnswerIsLeft(t *testing.T) {
	for how, leave := range leaves {
		for what, body := range restOf {
			for name, reading := range map[string]bool{"": false, ", while it is read": true} {
				if reading && body.rest == "" {
					continue // the Read reads it all, and nothing is left
				}
				t.Run(how+"/"+what+name, func(t *testing.T) {
					inBubble(t, nil, func(t *testing.T, s *stage) {
						b := begin(s, body.head, reading)
						start := time.Now()
						leave.leave(b)
						require.Zero(t, time.Since(start), "the caller does not wait")
						synctest.Wait()
						time.Sleep(100 * time.Millisecond)
						if reading {
							require.Error(t, <-b.read)
						}
						_, err := b.body.Read(make([]byte, 1))
						require.ErrorIs(t, err, leave.after)
						b.k.Send(body.rest)
						synctest.Wait()
						s.exchange(b.k)
						require.Equal(t, 1, s.count())
					})
				})
			}
		}
	}
}

func TestALeftAnswerIsReadWithinBudgetsOnly(t *testing.T) {
	tests := map[string]struct {
		tr   *h1.Transport
		head string
		rest func(k *wiretest.Talk)
		took time.Duration
	}{
		"too slow": {&h1.Transport{}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
			func(*wiretest.Talk) {}, time.Second},
		"too long, as is known": {&h1.Transport{Limits: h1.Limits{DrainBytes: 100}}, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello",
			func(*wiretest.Talk) {}, 0},
		"too long, as is found out": {&h1.Transport{Limits: h1.Limits{DrainBytes: 100}}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			func(k *wiretest.Talk) { k.Send("400\r\n" + strings.Repeat("x", 1024)) }, 0},
		"until close": {&h1.Transport{}, "HTTP/1.1 200 OK\r\n\r\nhello",
			func(*wiretest.Talk) {}, 0},
		"the last one": {&h1.Transport{}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello",
			func(*wiretest.Talk) {}, 0},
		"broken off": {&h1.Transport{}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
			func(k *wiretest.Talk) { k.SendFIN() }, 0},
		"not HTTP": {&h1.Transport{}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			func(k *wiretest.Talk) { k.Send("x\r\n") }, 0},
	}
	for how, leave := range leaves {
		for name, tt := range tests {
			t.Run(how+"/"+name, func(t *testing.T) {
				tr := &h1.Transport{Limits: tt.tr.Limits}
				inBubble(t, tr, func(t *testing.T, s *stage) {
					b := begin(s, tt.head, false)
					leave.leave(b)
					synctest.Wait()
					tt.rest(b.k)
					time.Sleep(tt.took)
					synctest.Wait()
					require.Len(t, s.ends(), 1)
					s.exchange(nil)
				})
			})
		}
	}
}

// A connection that is being saved holds its place. Whoever waits for it gets
// it when that is done.
func TestARequestWaitsForTheConnectionBeingSaved(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		b := begin(s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false)
		b.cancel()
		next := s.send(request("GET", ""))
		synctest.Wait()
		b.k.Send("12345")
		b.k.ExpectHead("GET / HTTP/1.1")
		b.k.Send(hello)
		s.requireHello(next)
	})
}

// CloseIdleConnections leaves nothing behind that goes on for long: the
// connection that is being saved ends when it is.
func TestCloseIdleConnectionsEndsTheConnectionBeingSaved(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		b := begin(s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false)
		require.NoError(t, b.body.Close())
		s.tr.CloseIdleConnections()
		b.k.Send("12345")
		b.k.ExpectEOF()
		require.Equal(t, []string{"local_asked"}, s.ends())
	})
}

// An answer whose request is still being sent ends with its connection.
func TestAnAnswerBeforeItsRequestIsSentIsNotDrained(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		pr, pw := io.Pipe()
		defer pw.Close()
		req := request("POST", "")
		req.Body = pr
		got := s.open(req)
		k := s.accept()
		k.ExpectHead("POST / HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		require.NoError(t, (<-got).res.Body.Close())
		k.ExpectEOF()
	})
}

// zipped is what a server sends as gzip.
func zipped(size int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(payload(size))
	_ = z.Close()
	return b.Bytes()
}

// A thousand requests are cancelled after their answers began, over real
// connections, and nearly none has to be made anew. Other clients make a
// thousand.
func TestAThousandCancelledRequestsDialHardlyAnew(t *testing.T) {
	const requests, size = 1000, 8 << 10
	coded := zipped(size)
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(coded)
		case "/chunked":
			_, _ = w.Write(payload(size / 2))
			w.(http.Flusher).Flush()
			_, _ = w.Write(payload(size / 2))
		default:
			_, _ = w.Write(payload(size))
		}
	}
	leaving := map[string]func(cancel context.CancelFunc, res *http.Response){
		"cancelled": func(cancel context.CancelFunc, _ *http.Response) { cancel() },
		"closed":    func(cancel context.CancelFunc, res *http.Response) { _ = res.Body.Close(); cancel() },
		"read in part": func(cancel context.CancelFunc, res *http.Response) {
			_, _ = io.ReadFull(res.Body, make([]byte, 100))
			cancel()
			_ = res.Body.Close()
		},
	}
	for name, leave := range leaving {
		for _, path := range []string{"/", "/chunked", "/gzip"} {
			t.Run(name+path, func(t *testing.T) {
				wiretest.NoLeaks(t, processWide...)
				var dials atomic.Int64
				tr := &h1.Transport{OnConn: func(e h1.ConnEvent, _ h1.ConnInfo) {
					if e == h1.EventOpened {
						dials.Add(1)
					}
				}}
				s := httptest.NewServer(http.HandlerFunc(handler))
				defer s.Close()
				defer tr.CloseIdleConnections()
				for range requests {
					ctx, cancel := context.WithCancel(t.Context())
					req, err := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
					require.NoError(t, err)
					res, err := tr.RoundTrip(req)
					require.NoError(t, err)
					leave(cancel, res)
				}
				t.Log("dials:", dials.Load())
				require.Less(t, dials.Load(), int64(20))
			})
		}
	}
}
