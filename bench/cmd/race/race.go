package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// server is net/http's, and remembers which requests its handler saw.
type server struct {
	http.Server
	addr string

	mu     sync.Mutex
	seen   map[string]int
	opened int
}

func serve(limit time.Duration) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{addr: l.Addr().String(), seen: map[string]int{}}
	s.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[string(body)]++
	})
	s.IdleTimeout = limit
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened++
		}
	}
	go func() { _ = s.Serve(l) }()
	return s, nil
}

func (s *server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.opened = map[string]int{}, 0
}

// repeated is how many requests were seen more than once.
func (s *server) repeated() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.seen {
		if times > 1 {
			n++
		}
	}
	return n
}

// conns is how many connections were made.
func (s *server) conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *server) close() { _ = s.Close() }

// volley has all clients send their requests, and counts those that failed. Each client's first is not counted: it finds
// no idle connection.
func (p *plan) volley(post func(string) error, gap time.Duration) int {
	var failed atomic.Int64
	var all sync.WaitGroup
	for client := range p.clients {
		all.Go(func() {
			for turn := range p.turns {
				if turn > 0 {
					time.Sleep(gap)
				}
				id := strconv.Itoa(client) + "/" + strconv.Itoa(turn)
				if err := post(id); err != nil && turn > 0 {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	return int(failed.Load())
}
