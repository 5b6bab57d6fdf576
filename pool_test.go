package h1_test

// The pool: which connection a request gets, how many there are, who waits.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

// busy starts n requests to a host at once and takes their heads.
func (s *stage) busy(host string, n int) (conns []*wiretest.Talk, replies []<-chan reply) {
	s.t.Helper()
	for range n {
		req := request("GET", "")
		req.URL.Host, req.Host = host, ""
		replies = append(replies, s.open(req))
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1", "Host: "+host)
		conns = append(conns, k)
	}
	return conns, replies
}

// answer answers one request with nothing.
func (s *stage) answer(k *wiretest.Talk, got <-chan reply) {
	s.t.Helper()
	k.Send(noContent)
	require.NoError(s.t, (<-got).err)
}

func TestNewestIdleConnectionIsUsedFirst(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 3)
		for _, i := range []int{0, 2, 1} {
			s.answer(conns[i], replies[i])
		}
		s.exchange(conns[1])
		s.exchange(conns[1])
		got := s.open(request("GET", "")) // while the newest is busy, the next one is used
		conns[1].ExpectHead("GET / HTTP/1.1")
		s.exchange(conns[2])
		s.answer(conns[1], got)
		require.Equal(t, 3, s.count())
	})
}

func TestOriginsDoNotShareConnections(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		visit := func(url string) {
			req, err := http.NewRequest("GET", url, nil)
			require.NoError(t, err)
			got := s.open(req)
			synctest.Wait()
			if len(got) == 0 {
				nc, err := s.l.Accept()
				require.NoError(t, err)
				go func() { _ = serveNothing(nc) }()
			}
			require.NoError(t, (<-got).err)
		}
		for i, urls := range [][]string{
			{"http://a.example/", "http://a.example:80/b", "http://A.example/"},
			{"http://a.example:81/"},
			{"http://b.example/"},
		} {
			for _, url := range urls {
				visit(url)
				require.Equal(t, i+1, s.count(), url)
			}
		}
	})
}

// serveNothing answers all requests of a connection with nothing.
func serveNothing(nc net.Conn) error {
	for {
		if _, err := nc.Read(make([]byte, 4096)); err != nil {
			return err
		}
		if _, err := nc.Write([]byte(noContent)); err != nil {
			return err
		}
	}
}

func TestIdleConnectionsAreLimited(t *testing.T) {
	t.Run("for one host", func(t *testing.T) {
		inBubble(t, &h1.Transport{MaxIdleConnsPerHost: 2}, func(t *testing.T, s *stage) {
			conns, replies := s.busy("example.com", 4)
			other, more := s.busy("example.org", 2)
			for i := range conns {
				s.answer(conns[i], replies[i])
			}
			for i := range other {
				s.answer(other[i], more[i])
			}
			require.Equal(t, []string{"pool_full", "pool_full"}, s.ends())
			conns[0].ExpectEOF() // idle for longest
			conns[1].ExpectEOF()
			s.exchange(conns[3])
		})
	})
	t.Run("in all", func(t *testing.T) {
		inBubble(t, &h1.Transport{MaxIdleConns: 2}, func(t *testing.T, s *stage) {
			a, first := s.busy("example.com", 2)
			b, second := s.busy("example.org", 2)
			s.answer(a[0], first[0])
			s.answer(b[0], second[0])
			s.answer(b[1], second[1])
			a[0].ExpectEOF()
			s.answer(a[1], first[1])
			b[0].ExpectEOF()
			require.Equal(t, []string{"pool_full", "pool_full"}, s.ends())
			s.exchange(a[1])
		})
	})
	t.Run("not at all", func(t *testing.T) {
		inBubble(t, &h1.Transport{MaxIdleConns: -1, MaxIdleConnsPerHost: -1}, func(t *testing.T, s *stage) {
			conns, replies := s.busy("example.com", 600)
			for i := range conns {
				s.answer(conns[i], replies[i])
			}
			require.Empty(t, s.ends())
		})
	})
}

func TestIdleConnectionsGoOneByOneAsTheirTimeComes(t *testing.T) {
	inBubble(t, &h1.Transport{IdleConnTimeout: 10 * time.Second}, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 3)
		for i := range conns {
			s.answer(conns[i], replies[i])
			time.Sleep(time.Second)
		}
		time.Sleep(7*time.Second - time.Millisecond)
		synctest.Wait()
		require.Empty(t, s.ends())
		for i := range conns {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.Len(t, s.ends(), i+1)
			conns[i].ExpectEOF()
			time.Sleep(time.Second - time.Millisecond)
		}
	})
}

func TestUseAgainStartsTheIdleTimeAnew(t *testing.T) {
	inBubble(t, &h1.Transport{IdleConnTimeout: 10 * time.Second}, func(t *testing.T, s *stage) {
		k := s.exchange(nil)
		for range 5 {
			time.Sleep(9 * time.Second)
			s.exchange(k)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"idle"}, s.ends())
	})
}

func TestConnectionPastItsTimeIsNotUsed(t *testing.T) {
	// The reaper pauses between two looks; what is overdue in the pause is left
	// alone by requests too.
	inBubble(t, &h1.Transport{IdleConnTimeout: 10 * time.Second}, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 2)
		s.answer(conns[0], replies[0])
		time.Sleep(time.Millisecond)
		s.answer(conns[1], replies[1])
		time.Sleep(10 * time.Second) // the second one is due now, the reaper comes later
		synctest.Wait()
		require.Equal(t, []string{"idle"}, s.ends())
		s.exchange(nil)
		require.Equal(t, []string{"idle", "idle"}, s.ends())
		require.Equal(t, 3, s.count())
	})
}

func TestRequestsOverTheLimitWaitInLine(t *testing.T) {
	for name, answer := range map[string]string{
		"for the connection":          noContent,
		"for the place of a lost one": "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
				conns, replies := s.busy("example.com", 1)
				k, got := conns[0], replies[0]
				var waiting []<-chan reply
				var giveUp []context.CancelFunc
				for turn := range 8 {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					req := request("GET", "").WithContext(ctx)
					req.Header.Set("Turn", fmt.Sprint(turn))
					waiting, giveUp = append(waiting, s.open(req)), append(giveUp, cancel)
					synctest.Wait() // it is in line
				}
				for _, turn := range []int{0, 3, 7} {
					giveUp[turn]()
					require.ErrorIs(t, (<-waiting[turn]).err, context.Canceled)
				}
				for _, turn := range []int{1, 2, 4, 5, 6} {
					k.Send(answer)
					require.NoError(t, (<-got).err)
					if answer != noContent {
						k = s.accept()
					}
					k.ExpectHead("GET / HTTP/1.1", fmt.Sprintf("Turn: %d", turn))
					got = waiting[turn]
				}
				s.answer(k, got)
			})
		})
	}
}

func TestFailedDialPassesThePlaceOn(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 1}, func(t *testing.T, s *stage) {
		fail := make(chan struct{})
		s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			select {
			case <-fail:
				return s.l.DialContext(ctx, network, addr)
			default:
				<-fail
				return nil, io.ErrClosedPipe
			}
		}
		first := s.open(request("GET", ""))
		synctest.Wait()
		second := s.open(request("GET", ""))
		synctest.Wait()
		close(fail)
		require.ErrorIs(t, (<-first).err, io.ErrClosedPipe)
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		s.answer(k, second)
	})
}

func TestCloseIdleConnectionsLeavesThoseInUse(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		conns, replies := s.busy("example.com", 3)
		s.answer(conns[0], replies[0])
		s.tr.CloseIdleConnections()
		conns[0].ExpectEOF()
		s.answer(conns[1], replies[1]) // nobody asked since: it is not kept
		conns[1].ExpectEOF()
		require.Equal(t, []string{"local_asked", "local_asked"}, s.ends())
		s.exchange(nil)
		s.answer(conns[2], replies[2]) // now it is kept
		s.exchange(conns[2])
		require.Len(t, s.ends(), 2)
	})
}

func TestConnsTellsOfAllThatAreOpen(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		requests := func() (n []int64) {
			for info := range s.tr.Conns() {
				require.Equal(t, h1.ClientRole, info.Role)
				n = append(n, info.Requests)
			}
			return slices.Sorted(slices.Values(n))
		}
		require.Empty(t, requests())
		k := s.exchange(nil)
		s.exchange(k)
		got := s.open(request("GET", ""))
		k.ExpectHead("GET / HTTP/1.1")
		s.exchange(nil)
		require.Equal(t, []int64{1, 3}, requests())
		for range s.tr.Conns() {
			break // stopping early is allowed
		}
		k.Send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		require.NoError(t, (<-got).err)
		require.Equal(t, []int64{1}, requests())
		s.tr.CloseIdleConnections()
		require.Empty(t, requests())
	})
}
