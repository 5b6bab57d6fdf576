package h1

// This file ends a Server's work without losing a request. A request is lost
// when it crosses a FIN or a reset on its way, so each is sent only where no
// request is to be expected any more:
//
//  1. The server says that it is not ready, and goes on as before, until load
//     balancers have noticed (DrainOptions.ReadyDelay).
//  2. It stops accepting, and takes the connections that the system has
//     completed for it already: they would be reset with the listener.
//  3. Every answer says `Connection: close`, unless further requests of the
//     same client wait behind it. A connection on which nothing comes for
//     KeepAlive.MinIdle is closed.
//  4. What is left when the context ends is left to Close, or cut by Drain.

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/poll"
)

// DrainOptions are the phases of a Drain.
type DrainOptions struct {
	// ReadyDelay is how long the server goes on accepting and answering as usual
	// once Ready is false. It has to be longer than load balancers take to notice:
	// the interval of their health checks times the failures they wait for, or
	// the time that a cluster takes to spread the news. Default: none.
	ReadyDelay time.Duration

	// MinIdle takes the place of KeepAlive.MinIdle for this drain. Zero:
	// KeepAlive.MinIdle; negative: idle connections are closed at once.
	MinIdle time.Duration
}

// DrainReport is what became of the connections that were open when a server
// stopped accepting, or that were accepted then. Each is counted once.
type DrainReport struct {
	Told     int           // their last answer said `Connection: close`, because of the drain
	Idle     int           // closed without a further request, for their silence or by the client
	Finished int           // ended for a reason of their own, as an error or a handler's wish, or hijacked
	Cut      int           // still open when the context ended
	Took     time.Duration // from the end of accepting to the end of the last connection, or of the context
}

// Shutdown ends the server's work in good order: it stops accepting, lets each
// connection's next answer say `Connection: close`, closes those that stay
// silent for KeepAlive.MinIdle, and waits for all of that until ctx ends, whose
// error it then returns. Connections still open then are left to Close. Those that
// handlers have hijacked are neither closed nor waited for. Otherwise the error is
// that of closing a listener.
//
// Unlike with net/http an idle connection is not closed at once, as its next
// request may be on its way.
func (s *Server) Shutdown(ctx context.Context) error {
	if _, err := s.drain(ctx, DrainOptions{}); err != nil {
		return err
	}
	return s.errOfClosing()
}

// Drain is Shutdown with a time for load balancers to turn away first, and with
// a report. When ctx ends before all connections did, those left are closed and
// counted, and the error is the context's.
func (s *Server) Drain(ctx context.Context, o DrainOptions) (DrainReport, error) {
	report, err := s.drain(ctx, o)
	if err != nil {
		_ = s.Close()
	}
	return report, err
}

// Ready tells whether the server wants new connections: true until Drain,
// Shutdown or Close is called.
func (s *Server) Ready() bool { return !s.unready.Load() }

// ReadyHandler answers 200 while the server is Ready and 503 from then on, for
// the health checks of load balancers.
func (s *Server) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Ready() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ready\n"))
	})
}

func (s *Server) drain(ctx context.Context, o DrainOptions) (DrainReport, error) {
	s.unready.Store(true)
	if o.ReadyDelay > 0 {
		select {
		case <-time.After(o.ReadyDelay):
		case <-ctx.Done():
		}
	}
	began := clock.Now()
	s.planDrain(o.MinIdle)
	hooks, first := s.stop(false)
	if first {
		for _, f := range hooks {
			go f()
		}
	}
	drained := s.whenDrained()
	for _, c := range s.live() {
		c.drainSoon(CloseShutdown)
	}
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	report := s.fates
	report.Cut, report.Took = len(s.conns), clock.Now().Sub(began)
	return report, err
}

// planDrain says how connections that are drained are closed.
func (s *Server) planDrain(minIdle time.Duration) {
	set, err := s.settle()
	if err != nil {
		return // no connection was ever served
	}
	set.drain.Store(&drainPlan{from: clock.Now(), quiet: pick(minIdle, set.policy.minIdle, 0)})
	s.mu.Lock()
	defer s.mu.Unlock()
	// One that fires right now sets itself anew, by the plan.
	if s.sweeper != nil && s.sweeper.Stop() {
		s.sweeper = nil
		s.sweep()
	}
}

// stop ends accepting, at once, or when the connections that wait to be accepted
// were; false when it had ended before.
func (s *Server) stop(atOnce bool) (hooks []func(), first bool) {
	s.unready.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.stopping.CompareAndSwap(false, true)
	s.cutting = s.cutting || atOnce
	for l := range s.listeners {
		if q := queueOf(l.Listener); s.cutting || q == nil || q.SetDeadline(longAgo) != nil {
			s.closeListener(l)
		}
	}
	s.room.ring()
	return s.onShutdown, first
}

// Close closes listeners and connections at once, but those that handlers have
// hijacked. The error is that of closing a listener.
func (s *Server) Close() error {
	s.stop(true)
	for _, c := range s.live() {
		_ = c.abort(CloseServerClosed, nil)
		c.cutHandedOn()
	}
	return s.errOfClosing()
}

// listening is a listener that is being served. Who serves it and who ends the
// Server close it, whoever comes first, and it is closed once: not every listener
// bears more.
type listening struct {
	net.Listener
	once sync.Once
	err  error
}

// Close implements net.Listener.
func (l *listening) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// closeListener closes a listener and keeps the first error; mu is held.
func (s *Server) closeListener(l *listening) {
	if err := l.Close(); err != nil && s.closeErr == nil && s.stopping.Load() {
		s.closeErr = err
	}
}

// errOfClosing is what closing a listener failed with.
func (s *Server) errOfClosing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeErr
}

// queue is a listener whose accept queue can be emptied.
type queue interface {
	syscall.Conn
	SetDeadline(time.Time) error
}

// queueOf is the queue of a listener, nil when it does not show one. Closing
// such a listener resets the connections that it has not accepted.
func queueOf(l net.Listener) queue {
	if t, ok := l.(tlsListener); ok {
		l = t.Listener
	}
	q, _ := l.(queue)
	return q
}

// queueTime bounds the emptying of an accept queue that others keep filling.
const queueTime = 250 * time.Millisecond

// takeQueued serves the connections that wait to be accepted, and closes the
// listener in the moment in which there is none. One that is seen to wait may be
// accepted by another process that has the socket too, as while it is handed
// over; none is waited for then.
func (s *Server) takeQueued(set *settings, base context.Context, l *listening) {
	defer func() { _ = l.Close() }()
	end := clock.Now().Add(queueTime)
	q := queueOf(l.Listener)
	if q == nil || q.SetDeadline(end) != nil {
		return
	}
	rc, err := q.SyscallConn()
	if err != nil {
		return
	}
	for poll.Readable(rc) && clock.Now().Before(end) {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		s.serve(set, base, nc, false)
	}
}

// whenDrained is closed when no connection and no listener is left.
func (s *Server) whenDrained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	drained := s.drained
	if drained == nil {
		drained = make(chan struct{})
		s.drained = drained
	}
	s.checkDrained()
	return drained
}

// checkDrained tells who waits for the end of the drain; mu is held.
func (s *Server) checkDrained() {
	if s.drained != nil && len(s.conns)+len(s.listeners) == 0 {
		close(s.drained)
		s.drained = nil
	}
}

// parting is how a connection ended, as a drain counts it.
type parting uint8

const (
	partedSilent parting = iota // without a further request
	partedTold                  // after an answer that was its last
	partedTaken                 // hijacked
)

// countParting counts what became of a connection during a drain; mu is held.
func (s *Server) countParting(c *Conn, end parting) {
	if !s.stopping.Load() {
		return
	}
	switch _, reason := c.m.closing(); {
	case end == partedTaken, reason != CloseShutdown && reason != CloseDisabled:
		s.fates.Finished++
	case end == partedTold:
		s.fates.Told++
	default:
		s.fates.Idle++
	}
}
