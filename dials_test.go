package h1_test

// How the pool comes by connections: which idle one a request gets, who dials,
// what is made ahead.

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

func TestOrderInWhichIdleConnectionsAreUsed(t *testing.T) {
	tests := map[h1.ReuseOrder][]int{
		h1.NewestFirst: {2, 2, 2, 2},
		h1.OldestFirst: {0, 1, 2, 0},
		h1.LeastUsed:   {1, 2, 1, 2}, // the first one has carried three requests
	}
	for order, want := range tests {
		t.Run(order.String(), func(t *testing.T) {
			inBubble(t, &h1.Transport{ReuseOrder: order}, func(t *testing.T, s *stage) {
				first := s.exchange(nil)
				s.exchange(first)
				got := s.open(request("GET", ""))
				first.ExpectHead("GET / HTTP/1.1")
				conns, replies := s.busy("example.com", 2)
				s.answer(first, got)
				s.answer(conns[0], replies[0])
				s.answer(conns[1], replies[1])
				all := []*wiretest.Talk{first, conns[0], conns[1]}
				for _, i := range want {
					s.exchange(all[i])
				}
			})
		})
	}
}

// When there are too many idle connections, each order closes the one it would
// miss least.
func TestSurplusOfEachOrder(t *testing.T) {
	for order, want := range map[h1.ReuseOrder]int{h1.NewestFirst: 0, h1.OldestFirst: 0, h1.LeastUsed: 1} {
		t.Run(order.String(), func(t *testing.T) {
			inBubble(t, &h1.Transport{ReuseOrder: order, MaxIdleConnsPerHost: 2}, func(t *testing.T, s *stage) {
				conns, replies := s.busy("example.com", 1)
				s.answer(conns[0], replies[0])
				s.exchange(conns[0])
				busy, more := s.busyAgain(conns[0])
				others, rest := s.busy("example.com", 2)
				conns, replies = append(busy, others...), append(more, rest...)
				// The second has carried most by now, the first is idle for longest.
				s.answer(conns[1], replies[1])
				for range 5 {
					s.exchange(conns[1])
				}
				again, last := s.busyAgain(conns[1])
				s.answer(conns[0], replies[0])
				s.answer(again[0], last[0])
				s.answer(conns[2], replies[2])
				require.Equal(t, []string{"pool_full"}, s.ends())
				conns[want].ExpectEOF()
			})
		})
	}
}

// busyAgain starts a request that takes the idle connection k.
func (s *stage) busyAgain(k *wiretest.Talk) ([]*wiretest.Talk, []<-chan reply) {
	s.t.Helper()
	got := s.open(request("GET", ""))
	k.ExpectHead("GET / HTTP/1.1")
	return []*wiretest.Talk{k}, []<-chan reply{got}
}

// held is a dial function whose dials end when the test lets them.
type held struct {
	l     *wiretest.Listener
	began chan func(error) // each dial's way to its end
}

func holdDials(s *stage) *held {
	h := &held{l: s.l, began: make(chan func(error), 100)}
	s.tr.DialContext = h.dial
	return h
}

func (h *held) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	end := make(chan error, 1)
	h.began <- func(err error) { end <- err }
	select {
	case err := <-end:
		if err != nil {
			return nil, err
		}
		return h.l.DialContext(ctx, network, addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// under is how many dials wait to be ended.
func (h *held) under() int {
	synctest.Wait()
	return len(h.began)
}

func TestARequestDoesNotWaitForItsDialWhenAConnectionBecomesIdle(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 1)
		dials := holdDials(s)
		second := s.send(request("GET", ""))
		require.Equal(t, 1, dials.under())
		s.answer(conns[0], replies[0])
		conns[0].ExpectHead("GET / HTTP/1.1")
		conns[0].Send(hello)
		s.requireHello(second)

		(<-dials.began)(nil) // what was dialled goes to the pool
		synctest.Wait()
		require.Equal(t, 2, s.count())
		s.exchange(s.accept())
	})
}

func TestADialOutlivesItsRequestForAMoment(t *testing.T) {
	tests := map[string]struct {
		takes time.Duration
		conns int
	}{
		"quick enough": {500 * time.Millisecond, 1},
		"too slow":     {time.Minute, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *stage) {
				s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					_, limited := ctx.Deadline()
					require.False(t, limited, "the request's deadline is not the dial's")
					select {
					case <-time.After(tt.takes):
						return s.l.DialContext(ctx, network, addr)
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				start := time.Now()
				_, err := s.tr.RoundTrip(request("GET", "").WithContext(ctx))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "connecting to example.com:80")
				require.Equal(t, 100*time.Millisecond, time.Since(start))
				time.Sleep(2 * time.Second)
				require.Equal(t, tt.conns, s.count())
				if tt.conns == 1 {
					s.exchange(s.accept())
				}
			})
		})
	}
}

func TestDialsUnderWayAreLimited(t *testing.T) {
	inBubble(t, &h1.Transport{MaxDialsPerHost: 2}, func(t *testing.T, s *stage) {
		dials := holdDials(s)
		var got []<-chan reply
		for range 5 {
			got = append(got, s.open(request("GET", "")))
			synctest.Wait()
		}
		require.Equal(t, 2, dials.under())
		down := errors.New("the server is down")
		(<-dials.began)(down)
		require.ErrorIs(t, (<-got[0]).err, down)
		require.Equal(t, 2, dials.under(), "the third request's dial began")
		(<-dials.began)(nil)
		k := s.accept()
		require.Equal(t, 2, dials.under(), "the fourth request's dial began")
		for i := 1; i < 5; i++ { // all take what is free, the fifth without any dial
			k.ExpectHead("GET / HTTP/1.1")
			s.answer(k, got[i])
		}
		require.Equal(t, 1, s.count())
	})
}

// A request that is sent again wants a new connection. At the limit an idle one
// makes room for it, or one that becomes idle.
func TestARetryAtTheLimitGetsItsNewConnection(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 2}, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 2)
		s.answer(conns[0], replies[0])
		again := s.send(request("GET", ""))
		conns[0].ExpectHead("GET / HTTP/1.1")
		late := s.send(request("GET", "")) // takes the lost one's place
		synctest.Wait()
		conns[0].SendFIN()
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(hello)
		s.requireHello(late)
		other := s.accept()
		other.ExpectHead("GET / HTTP/1.1")
		other.Send(hello)
		s.requireHello(again)
		s.answer(conns[1], replies[1])
	})
}

func TestPrewarm(t *testing.T) {
	inBubble(t, &h1.Transport{MaxDialsPerHost: 2}, func(t *testing.T, s *stage) {
		dials := holdDials(s)
		warm := make(chan error, 1)
		prewarm := func(n int) { warm <- s.tr.Prewarm(t.Context(), "http://EXAMPLE.com/x", n) }
		go prewarm(3)
		require.Equal(t, 2, dials.under())
		for range 3 {
			require.Empty(t, warm)
			(<-dials.began)(nil)
			synctest.Wait()
		}
		require.NoError(t, <-warm)
		require.Equal(t, 3, s.count())
		go prewarm(3) // they are there already
		require.NoError(t, <-warm)
		_, _ = s.accept(), s.accept()
		s.exchange(s.accept())

		go prewarm(4)
		down := errors.New("the server is down")
		(<-dials.began)(down)
		require.ErrorIs(t, <-warm, down)
		require.Equal(t, 0, dials.under())

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.tr.Prewarm(ctx, "http://example.org/", 1), context.Canceled)
		(<-dials.began)(down)
		require.Error(t, s.tr.Prewarm(t.Context(), "ftp://example.com/", 1))
	})
}

func TestPrewarmKeepsToTheLimits(t *testing.T) {
	for name, tr := range map[string]*h1.Transport{
		"of idle ones":   {MaxIdleConnsPerHost: 2},
		"of connections": {MaxConnsPerHost: 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tr, func(t *testing.T, s *stage) {
				require.NoError(t, s.tr.Prewarm(t.Context(), "http://example.com", 5))
				require.Equal(t, 2, s.count())
				require.Empty(t, s.ends())
			})
		})
	}
}

// A connection that was made ahead may have been closed by its server
// meanwhile, like any idle one: what is lost on it is sent again.
func TestARequestOnAPrewarmedConnectionIsSentAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		require.NoError(t, s.tr.Prewarm(t.Context(), "http://example.com", 1))
		k := s.accept()
		got := s.send(request("GET", ""))
		k.ExpectHead("GET / HTTP/1.1")
		k.SendFIN()
		k = s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(hello)
		s.requireHello(got)
	})
}

func TestAnOriginInUseKeepsItsLeastIdleConnections(t *testing.T) {
	tr := &h1.Transport{MinIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second}
	inBubble(t, tr, func(t *testing.T, s *stage) {
		open := func() (n int) {
			synctest.Wait()
			for range tr.Conns() {
				n++
			}
			return n
		}
		// The server answers on whatever comes.
		go func() {
			for {
				nc, err := s.l.Accept()
				if err != nil {
					return
				}
				go func() { _ = serveNothing(nc) }()
			}
		}()
		ask := func() {
			_, err := tr.RoundTrip(request("GET", ""))
			require.NoError(t, err)
		}
		ask()
		require.Equal(t, 3, open(), "two besides the one that the request took")
		time.Sleep(9 * time.Second)
		ask()
		require.Equal(t, 3, open())
		time.Sleep(2 * time.Second) // two were idle for too long, and one is missing
		require.Equal(t, []string{"idle", "idle"}, s.ends())
		require.Equal(t, 2, open())
		time.Sleep(20 * time.Second) // nobody has asked for as long as one may be idle
		require.Zero(t, open())
		ask()
		require.Equal(t, 3, open())
		tr.CloseIdleConnections()
		require.Zero(t, open())
		time.Sleep(time.Second)
		require.Zero(t, open())
	})
}

// The name leads elsewhere after a while. Connections to the old address end
// with their age, and with them its requests.
func TestMaxAgeMakesThePoolFollowTheName(t *testing.T) {
	const age = time.Minute
	tr := &h1.Transport{KeepAlive: h1.KeepAlive{MaxAge: age}}
	inBubble(t, tr, func(t *testing.T, s *stage) {
		addresses := map[string]*wiretest.Listener{"old": s.l, "new": wiretest.Listen()}
		served := map[string]int{}
		for name, l := range addresses {
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						for {
							if _, err := nc.Read(make([]byte, 4096)); err != nil {
								return
							}
							served[name]++
							if _, err := io.WriteString(nc, noContent); err != nil {
								return
							}
						}
					}()
				}
			}()
		}
		t.Cleanup(func() { _ = addresses["new"].Close() })
		resolved := "old" // the name's address
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return addresses[resolved].DialContext(ctx, network, addr)
		}
		ask := func(n int) {
			for range n {
				_, err := tr.RoundTrip(request("GET", ""))
				require.NoError(t, err)
				time.Sleep(time.Second)
			}
		}
		ask(10)
		resolved = "new"
		ask(int(age/time.Second) - 10 + 1) // never idle for long, and yet it moves
		was := served["old"]
		ask(10)
		require.Equal(t, was, served["old"])
		require.GreaterOrEqual(t, served["new"], 10)
		require.Equal(t, []string{"max_age"}, s.ends())
	})
}
