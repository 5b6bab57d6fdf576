package h1_test

// What the Transport makes of what it learned, in fake time over connections in
// memory. Nobody can look at those without reading, so that the end of an idle
// one is only found by the request that it loses: the case of a system without a
// poller.

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
)

// keep answers each request of a connection with nothing, after a thought, and
// closes it when it was idle for the limit.
func keep(nc net.Conn, thought time.Duration, limit func() time.Duration) {
	defer nc.Close()
	in := make([]byte, 4096)
	for {
		_ = nc.SetReadDeadline(time.Now().Add(limit()))
		if _, err := nc.Read(in); err != nil {
			return
		}
		time.Sleep(thought)
		if _, err := io.WriteString(nc, noContent); err != nil {
			return
		}
	}
}

// serve plays the server of each connection that is made.
func (s *stage) serve(play func(net.Conn)) {
	go func() {
		for {
			nc, err := s.l.Accept()
			if err != nil {
				return
			}
			go play(nc)
		}
	}()
}

// visits sends requests with the given methods in turn, a gap apart, and counts
// those that failed.
func (s *stage) visits(n int, gap time.Duration, methods ...string) (failed int) {
	for i := range n {
		time.Sleep(gap)
		req := request(methods[i%len(methods)], "")
		res, err := s.tr.RoundTrip(req)
		if err != nil {
			failed++
			continue
		}
		require.Equal(s.t, http.StatusNoContent, res.StatusCode)
	}
	return failed
}

func TestPOSTsStopFailingOnceTheLimitIsLearned(t *testing.T) {
	for _, limit := range []time.Duration{100 * time.Millisecond, 5 * time.Second, 15 * time.Second, 60 * time.Second, 75 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			inBubble(t, &h1.Transport{IdleConnTimeout: time.Hour, KeepAlive: h1.KeepAlive{MaxAge: -1}}, func(t *testing.T, s *stage) {
				var now atomic.Int64
				now.Store(int64(limit))
				s.serve(func(nc net.Conn) { keep(nc, 0, func() time.Duration { return time.Duration(now.Load()) }) })
				require.Zero(t, s.visits(100, limit/2, "POST"))
				require.Equal(t, 1, s.count())
				require.Equal(t, 1, s.visits(1000, limit+limit/100, "POST"), "the first teaches it")
				require.Equal(t, limit+limit/100, s.tr.Stats().Hosts[0].IdleLimit)

				// The server waits longer now. Requests that may be sent twice find out.
				now.Store(int64(10 * limit))
				require.Zero(t, s.visits(10, 2*limit, "POST", "GET"))
				dialled := s.count()
				require.Zero(t, s.visits(1000, 2*limit, "POST"))
				require.Equal(t, dialled, s.count(), "all of them on one connection")
				require.Zero(t, s.tr.Stats().Hosts[0].IdleLimit)
				synctest.Wait()
			})
		})
	}
}

// With room for one connection only, the one near its limit has to go.
func TestAConnectionNearItsLimitMakesRoom(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		s.serve(func(nc net.Conn) { keep(nc, 0, func() time.Duration { return 5 * time.Second }) })
		require.Zero(t, s.visits(1, time.Second, "POST"))
		require.Equal(t, 1, s.visits(1, 5100*time.Millisecond, "POST"))
		require.Zero(t, s.visits(2, 4900*time.Millisecond, "POST"))
		require.Equal(t, []string{"read_failed", "learned"}, s.ends())
	})
}

// Of many requests that come at once after a pause, one finds out whether the
// server keeps connections for so long. The others are not risked, unless they
// may be sent twice.
func TestABurstRisksOneRequest(t *testing.T) {
	burst := func(s *stage, method string) (failed int) {
		var replies []<-chan reply
		for range 10 {
			replies = append(replies, s.open(request(method, "")))
		}
		for _, got := range replies {
			if (<-got).err != nil {
				failed++
			}
		}
		return failed
	}
	for name, tt := range map[string]struct {
		method string
		limit  time.Duration
		failed int // of the second burst
		dials  int
	}{
		"POSTs, and the server has closed": {"POST", time.Second, 1, 19},
		"POSTs, and the server has not":    {"POST", time.Minute, 0, 19},
		"requests that may be sent twice":  {"GET", time.Minute, 0, 10},
		"such, and the server has closed":  {"GET", time.Second, 0, 20},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *stage) {
				s.serve(func(nc net.Conn) { keep(nc, 10*time.Millisecond, func() time.Duration { return tt.limit }) })
				require.Zero(t, burst(s, tt.method))
				time.Sleep(2 * time.Second)
				require.Equal(t, tt.failed, burst(s, tt.method))
				require.Equal(t, tt.dials, s.count())
				if tt.failed == 0 && tt.method == "POST" {
					time.Sleep(2 * time.Second)
					require.Zero(t, burst(s, tt.method))
					require.Equal(t, tt.dials, s.count(), "the age is known to be safe")
				}
			})
		})
	}
}

// onConnClosed is a log handler that does something when the Transport tells of
// a connection's end.
type onConnClosed func()

func (onConnClosed) Enabled(context.Context, slog.Level) bool { return true }
func (f onConnClosed) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "h1: connection ended" {
		f()
	}
	return nil
}
func (f onConnClosed) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f onConnClosed) WithGroup(string) slog.Handler      { return f }

// The request that was risked is lost, and before its own goroutine gets to say
// what that means, another comes. It used to be the next to be risked.
func TestWhatWasRiskedIsHeededBeforeItsLossIsTold(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		s.serve(func(nc net.Conn) { keep(nc, 10*time.Millisecond, func() time.Duration { return time.Second }) })
		first, second := s.open(request("POST", "")), s.open(request("POST", ""))
		require.NoError(t, (<-first).err)
		require.NoError(t, (<-second).err)
		require.Equal(t, 2, s.count())
		time.Sleep(2 * time.Second)
		var other reply
		s.tr.Logger = slog.New(onConnClosed(func() {
			if other.res == nil {
				other = <-s.open(request("POST", ""))
			}
		}))
		_, err := s.tr.RoundTrip(request("POST", ""))
		require.Error(t, err)
		require.NoError(t, other.err)
		require.Equal(t, 3, s.count())
		s.tr.Logger = nil
	})
}

// A server that breaks off over a request, on a connection that was busy a
// moment ago, says nothing about idle ones: they go on being used.
func TestWhatIsLostWithoutIdlenessTeachesNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		s.serve(func(nc net.Conn) { // it breaks off over the second request
			in := make([]byte, 4096)
			_, _ = nc.Read(in)
			_, _ = io.WriteString(nc, noContent)
			_, _ = nc.Read(in)
			_ = nc.Close()
		})
		require.Equal(t, 5, s.visits(10, time.Millisecond, "POST"))
		require.Equal(t, 5, s.count(), "each connection was used twice")
		require.Zero(t, s.tr.Stats().Hosts[0].IdleLimit)
	})
}
