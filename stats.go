package h1

// This file is how a Server is observed: its counts, and its log.

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
)

// ServerStats are a Server's counts at one moment, consistent with each other:
// Accepted is Open and all of Closed, Open is New, Active and Idle. The JSON
// names are stable.
type ServerStats struct {
	Accepted     int64 `json:"accepted"`      // connections taken so far
	AcceptErrors int64 `json:"accept_errors"` // how often accepting failed

	Open   int64 `json:"open"`   // connections now
	New    int64 `json:"new"`    // of these, those without a request so far
	Active int64 `json:"active"` // those with a request, or a TLS handshake, under way
	Idle   int64 `json:"idle"`   // those between two requests

	Requests int64 `json:"requests"`  // exchanges begun so far
	BytesIn  int64 `json:"bytes_in"`  // octets read from clients, TLS taken off
	BytesOut int64 `json:"bytes_out"` // octets written to clients, before TLS

	// Closed is how many connections ended, and why: CloseReclaimed those that
	// made room for others, CloseRefused those over MaxConnsPerSource, and
	// CloseHijacked those that handlers took over.
	Closed CloseCounts `json:"closed"`
}

// counts are what a Server remembers of connections, beside those that are
// open; its mu guards them.
type counts struct {
	accepted, acceptErrors      int64
	requests, bytesIn, bytesOut int64
	closed                      closeTally
}

// ended takes over what a connection has counted. A request costs no more than
// its own connection's counters; they are summed up when it ends or is asked of.
func (n *counts) ended(c *Conn) {
	n.closed[c.Reason()]++
	n.requests += c.m.requests.Load()
	n.bytesIn += c.bytesIn.Load()
	n.bytesOut += c.bytesOut.Load()
}

// Stats counts connections and what went through them since the Server was
// made. It looks at each open connection, and delays none.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	past := s.counts
	live := s.liveLocked()
	s.mu.Unlock()
	st := ServerStats{
		Accepted:     past.accepted,
		AcceptErrors: past.acceptErrors,
		Open:         int64(len(live)),
		Requests:     past.requests,
		BytesIn:      past.bytesIn,
		BytesOut:     past.bytesOut,
		Closed:       past.closed.counts(),
	}
	for _, c := range live {
		switch c.state() {
		case http.StateNew:
			st.New++
		case http.StateIdle:
			st.Idle++
		default: // closed or hijacked: its handler goes on
			st.Active++
		}
		st.Requests += c.m.requests.Load()
		st.BytesIn += c.bytesIn.Load()
		st.BytesOut += c.bytesOut.Load()
	}
	return st
}

// logEnd logs a connection's end, when somebody wants to know.
func (s *Server) logEnd(c *Conn) {
	if s.Logger != nil && s.Logger.Enabled(context.Background(), slog.LevelDebug) {
		s.Logger.Debug("h1: connection ended", slog.Any("conn", c.Info()))
	}
}

// logf tells the operator what went wrong.
func (s *Server) logf(format string, args ...any) {
	switch {
	case s.ErrorLog != nil:
		s.ErrorLog.Printf(format, args...)
	case s.Logger != nil:
		s.Logger.Error(fmt.Sprintf(format, args...))
	default:
		log.Printf(format, args...)
	}
}
