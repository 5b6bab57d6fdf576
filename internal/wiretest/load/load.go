// Package load sends requests over many persistent connections as a careful
// client does, retries none, and counts what became of each. Tests and
// measurements of shutdowns and restarts share it.
//
// Careful means: before each request it looks whether the server has closed,
// and it sends nothing after an answer that says `Connection: close`. So a
// request that it counts as lost is one that no client could have saved but by
// sending it twice.
package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/h1go/h1/internal/poll"
)

// Load is what is sent.
type Load struct {
	Conns    int                      // how many connections at once
	Dial     func() (net.Conn, error) // opens one
	MinPause time.Duration            // the least time between an answer and the next request
	MaxPause time.Duration            // the longest
	Methods  []string                 // sent in turn; GET has no body, all others a short one
	Again    bool                     // a connection that ended is followed by another
	Single   bool                     // each connection is for one request
}

// Result counts what became of the requests and the connections.
type Result struct {
	Answered int            // requests with a whole 2xx answer
	Refused  int            // connections that could not be opened
	Bad      map[string]int // other answers, by status
	Lost     map[string]int // requests that were written and got no whole answer, by error
	Told     int            // connections whose last answer said close
	Ended    int            // connections found closed before a request was written
	Slowest  time.Duration  // from a request to its answer
}

// Failed is how many requests did not get a 2xx answer.
func (r *Result) Failed() int {
	n := r.Refused
	for _, k := range r.Lost {
		n += k
	}
	for _, k := range r.Bad {
		n += k
	}
	return n
}

// LostRequests is how many requests were written and got no answer.
func (r *Result) LostRequests() int {
	n := 0
	for _, k := range r.Lost {
		n += k
	}
	return n
}

// String says it all in one line.
func (r *Result) String() string {
	return fmt.Sprintf("%d answered, %d lost %v, bad %v, %d connections refused, %d told, %d found closed, slowest %v",
		r.Answered, r.LostRequests(), r.Lost, r.Bad, r.Refused, r.Told, r.Ended, r.Slowest.Round(time.Millisecond))
}

// Add adds what another run counted.
func (r *Result) Add(o Result) {
	r.Answered += o.Answered
	r.Refused += o.Refused
	r.Told += o.Told
	r.Ended += o.Ended
	r.Slowest = max(r.Slowest, o.Slowest)
	r.Bad, r.Lost = sum(r.Bad, o.Bad), sum(r.Lost, o.Lost)
}

func sum(a, b map[string]int) map[string]int {
	if a == nil {
		a = map[string]int{}
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}

// Running is a load under way.
type Running struct {
	load   Load
	stop   chan struct{}
	done   sync.WaitGroup
	first  sync.WaitGroup // counts those that had no answer yet
	mu     sync.Mutex
	result Result
}

// Start begins to send.
func (l Load) Start() *Running {
	r := &Running{load: l, stop: make(chan struct{})}
	r.first.Add(l.Conns)
	for i := range l.Conns {
		r.done.Go(func() {
			var own Result
			begun := sync.OnceFunc(r.first.Done)
			defer begun()
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for again := true; again; {
				again = r.connection(rng, &own, begun) && l.Again
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.result.Add(own)
		})
	}
	return r
}

// Begun waits until each connection had an answer, or failed.
func (r *Running) Begun() { r.first.Wait() }

// Stop ends the load between two requests, and gives what it counted.
func (r *Running) Stop() Result {
	close(r.stop)
	return r.Wait()
}

// Wait waits for the end of all connections, as when a server shuts down under
// a load that does not come again.
func (r *Running) Wait() Result {
	r.done.Wait()
	return r.result
}

// connection uses one connection until its end; false when the load was stopped.
// begun is called after each answer.
func (r *Running) connection(rng *rand.Rand, count *Result, begun func()) bool {
	nc, err := r.load.Dial()
	if err != nil {
		count.Refused++
		return r.pause(rng)
	}
	defer nc.Close()
	c := newClient(nc)
	for turn := rng.IntN(len(r.load.Methods)); ; turn++ {
		if !r.pause(rng) {
			return false
		}
		if c.closed() {
			count.Ended++
			return true
		}
		more := c.exchange(r.load.Methods[turn%len(r.load.Methods)], count)
		begun()
		if !more || r.load.Single {
			return true
		}
	}
}

// pause waits before a request; false when the load was stopped.
func (r *Running) pause(rng *rand.Rand) bool {
	d := r.load.MinPause
	if room := r.load.MaxPause - r.load.MinPause; room > 0 {
		d += time.Duration(rng.Int64N(int64(room)))
	}
	select {
	case <-r.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// client is one connection.
type client struct {
	nc     net.Conn
	r      *bufio.Reader
	peeker *poll.Peeker
}

func newClient(nc net.Conn) *client {
	raw := nc
	if t, ok := nc.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	return &client{nc: nc, r: bufio.NewReader(nc), peeker: poll.NewPeeker(raw)}
}

// closed looks whether the server has closed.
func (c *client) closed() bool {
	if c.peeker == nil {
		return false
	}
	sight, _ := c.peeker.Peek()
	if sight != poll.Octets {
		return sight != poll.Silence
	}
	// Octets that nobody asked for: under TLS perhaps its close_notify.
	_ = c.nc.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.r.Peek(1)
	_ = c.nc.SetReadDeadline(time.Time{})
	t, ok := errors.AsType[net.Error](err)
	return !ok || !t.Timeout()
}

// patience is how long an answer is waited for.
const patience = 30 * time.Second

// exchange sends a request and reads its answer; false at the connection's end.
func (c *client) exchange(method string, count *Result) bool {
	request := method + " / HTTP/1.1\r\nHost: h1.test\r\n\r\n"
	if method != http.MethodGet {
		request = method + " / HTTP/1.1\r\nHost: h1.test\r\nContent-Length: 5\r\n\r\nhello"
	}
	began := time.Now()
	_ = c.nc.SetDeadline(began.Add(patience))
	if _, err := io.WriteString(c.nc, request); err != nil {
		return count.lost("writing", err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return count.lost("reading the head", err)
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err != nil {
		return count.lost("reading the body", err)
	}
	count.Slowest = max(count.Slowest, time.Since(began))
	if resp.StatusCode/100 == 2 {
		count.Answered++
	} else {
		count.Bad = sum(count.Bad, map[string]int{resp.Status: 1})
	}
	if resp.Close {
		count.Told++
	}
	return !resp.Close
}

// lost counts a request without an answer. Addresses are left out of its error.
func (r *Result) lost(doing string, err error) bool {
	text := err.Error()
	text = text[strings.LastIndex(text, ": ")+1:]
	r.Lost = sum(r.Lost, map[string]int{doing + ": " + strings.TrimSpace(text): 1})
	return false
}
