package h1_test

// The end of a request's context, at each moment of the request, and what the
// caller finds in the error. More of it is in TestCancellation.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// moment is when a request's context ends: play brings the request there.
type moment struct {
	name  string
	tr    *h1.Transport // nil: a plain one
	play  func(s *stage, got <-chan reply) *wiretest.Talk
	read  bool // the error comes from the response's body
	large bool // the request has a body that nobody takes
}

func moments() []*moment {
	return []*moment{
		{name: "a dial that knows no context", tr: &h1.Transport{Dial: func(string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, net.ErrClosed
		}}, play: func(*stage, <-chan reply) *wiretest.Talk { return nil }},
		{name: "a tunnel", tr: &h1.Transport{Proxy: by("http://proxy.test")}, play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
			return k
		}},
		{name: "the handshake", play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			_, err := io.ReadFull(k, make([]byte, 5)) // the client's first record
			require.NoError(s.t, err)
			return k
		}},
		{name: "the request's writing", large: true, play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("POST / HTTP/1.1")
			return k
		}},
		{name: "an invitation to send the body", tr: &h1.Transport{ExpectContinueTimeout: time.Hour}, play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("PUT / HTTP/1.1", "Expect: 100-continue")
			return k
		}},
		{name: "the answer", play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 O")
			return k
		}},
		{name: "a body in chunks", read: true, play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
			return k
		}},
		{name: "a body that is coded", read: true, play: func(s *stage, _ <-chan reply) *wiretest.Talk {
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n" + gzipped("hello")[:12])
			return k
		}},
	}
}

// request is the request that gets to the moment.
func (m *moment) request(t *testing.T) *http.Request {
	switch m.name {
	case "a tunnel", "the handshake":
		return secureRequest(t)
	case "an invitation to send the body":
		r := request("PUT", "abc")
		r.Header.Set("Expect", "100-continue")
		return r
	}
	if m.large {
		r := request("POST", "")
		r.Body = io.NopCloser(io.LimitReader(zeros{}, 64<<20))
		r.ContentLength = 64 << 20
		return r
	}
	return request("GET", "")
}

func TestEndOfTheContextReachesEveryMoment(t *testing.T) {
	why := errors.New("the user left")
	ends := map[string]struct {
		with    func(ctx context.Context) (context.Context, func())
		is      []error
		timeout bool
	}{
		"cancelled": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(why) })
			return ctx, func() { cancel(nil) }
		}, []error{context.Canceled, why}, false},
		"late": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, []error{context.DeadlineExceeded}, true},
	}
	for end, tt := range ends {
		for _, m := range moments() {
			t.Run(end+"/"+m.name, func(t *testing.T) {
				inBubble(t, m.tr, func(t *testing.T, s *stage) {
					if s.tr.Dial != nil {
						s.tr.DialContext = nil
					}
					ctx, stop := tt.with(t.Context())
					defer stop()
					start := time.Now()
					got := s.send(m.request(t).WithContext(ctx))
					m.play(s, got)
					r := <-got
					err := r.err
					if m.read {
						require.NoError(t, err)
						err = r.read
					}
					require.Equal(t, time.Second, time.Since(start))
					requireCancelled(t, err, tt.is, tt.timeout)
					time.Sleep(2 * time.Hour) // what nobody waits for comes to its end
				})
			})
		}
	}
}

// requireCancelled checks all that a caller may ask of such an error.
func requireCancelled(t *testing.T, err error, is []error, timeout bool) {
	t.Helper()
	for _, target := range is {
		require.ErrorIs(t, err, target)
	}
	require.ErrorIs(t, err, h1.CodeCancelled)
	var lost *h1.RequestError
	require.ErrorAs(t, err, &lost)
	var late net.Error
	require.ErrorAs(t, err, &late)
	require.Equal(t, timeout, late.Timeout())
	require.Equal(t, timeout, (&url.Error{Op: "Get", URL: "/", Err: err}).Timeout(), "as http.Client gives it")
}

// http.Client sets its Timeout as the context's deadline and by Request.Cancel:
// whichever comes first.
func TestTimeoutOfAnHTTPClient(t *testing.T) {
	for _, body := range []bool{false, true} {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			client := &http.Client{Transport: s.tr, Timeout: time.Second}
			failed := make(chan error, 1)
			go func() {
				res, err := client.Get("http://example.com/")
				if err == nil {
					_, err = io.ReadAll(res.Body)
					_ = res.Body.Close()
				}
				failed <- err
			}()
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			if body {
				k.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			}
			err := <-failed
			var late net.Error
			require.ErrorAs(t, err, &late)
			require.True(t, late.Timeout())
			time.Sleep(time.Minute) // the drain of what is left of the body ends
		})
	}
}

// A timeout that is not the context's is a timeout all the same, and programs that
// were written for net/http look for context.DeadlineExceeded there too.
func TestOtherTimeoutsAreTimeouts(t *testing.T) {
	inBubble(t, &h1.Transport{ResponseHeaderTimeout: time.Second}, func(t *testing.T, s *stage) {
		got := s.send(request("GET", ""))
		s.accept().ExpectHead("GET / HTTP/1.1")
		err := &url.Error{Op: "Get", URL: "/", Err: (<-got).err}
		require.True(t, err.Timeout())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	tr := &h1.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}}
	_, err := tr.RoundTrip(httptest.NewRequest("GET", "http://example.com/", nil))
	var late net.Error
	require.ErrorAs(t, err, &late)
	require.True(t, late.Timeout())
	require.False(t, strings.Contains(err.Error(), "cancelled"))
}
