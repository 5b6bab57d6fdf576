package h1_test

// What the Transport makes of what it learned, in fake time over connections in
// memory. Nobody can look at those without reading, so that the end of an idle
// one is only found by the request that it loses: the case of a system without a
// poller.

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
)

// keep answers each request of a connection with nothing, and closes it when it
// was idle for the limit.
func keep(nc net.Conn, limit func() time.Duration) {
	defer nc.Close()
	in := make([]byte, 4096)
	for {
		_ = nc.SetReadDeadline(time.Now().Add(limit()))
		if _, err := nc.Read(in); err != nil {
			return
		}
		if _, err := io.WriteString(nc, noContent); err != nil {
			return
		}
	}
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
				now := limit
				go func() {
					for {
						nc, err := s.l.Accept()
						if err != nil {
							return
						}
						go keep(nc, func() time.Duration { return now })
					}
				}()
				require.Zero(t, s.visits(100, limit/2, "POST"))
				require.Equal(t, 1, s.count())
				require.Equal(t, 1, s.visits(1000, limit+limit/100, "POST"), "the first teaches it")

				// The server waits longer now. Requests that may be sent twice find out.
				now = 10 * limit
				require.Zero(t, s.visits(10, 2*limit, "POST", "GET"))
				dialled := s.count()
				require.Zero(t, s.visits(1000, 2*limit, "POST"))
				require.Equal(t, dialled, s.count(), "all of them on one connection")
				synctest.Wait()
			})
		})
	}
}

// With room for one connection only, the one near its limit has to go.
func TestAConnectionNearItsLimitMakesRoom(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		go func() {
			for {
				nc, err := s.l.Accept()
				if err != nil {
					return
				}
				go keep(nc, func() time.Duration { return 5 * time.Second })
			}
		}()
		require.Zero(t, s.visits(1, time.Second, "POST"))
		require.Equal(t, 1, s.visits(1, 5100*time.Millisecond, "POST"))
		require.Zero(t, s.visits(2, 4900*time.Millisecond, "POST"))
		require.Equal(t, []string{"read_failed", "learned"}, s.ends())
	})
}
