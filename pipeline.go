package h1

// This file is the queue of exchanges on a client connection: answers come in
// the order of the requests (RFC 9112 section 9.3.2), so the first in line is
// whose answer is next. It does no I/O and takes no lock; its owner does.

import "github.com/h1go/h1/internal/field"

// sendState is how far a request's sending is.
type sendState uint8

const (
	sentPart  sendState = iota // some of it may be on the wire
	sentWhole                  // all of it may be
)

// turn is one request that waits for its answer.
type turn struct {
	method     field.Method
	offer      bool // it asks for another protocol
	replayable bool // it may be sent again when the connection is lost unanswered
	sent       sendState
	from       int64 // octets that go out before its first
	of         any   // the request, as its owner knows it
}

// inflight is the queue of turns: a ring that grows to the deepest pipeline it
// has seen and allocates nothing more.
type inflight struct {
	ring  []turn
	first int
	n     int
}

func (q *inflight) len() int { return q.n }

func (q *inflight) at(i int) *turn { return &q.ring[(q.first+i)%len(q.ring)] }

// push puts a request at the end of the line.
func (q *inflight) push(t turn) {
	if q.n == len(q.ring) {
		ring := make([]turn, max(4, 2*q.n))
		for i := range q.n {
			ring[i] = *q.at(i)
		}
		q.ring, q.first = ring, 0
	}
	q.n++
	*q.at(q.n - 1) = t
}

// next is the request whose answer is next; false when none is waiting.
func (q *inflight) next() (turn, bool) {
	if q.n == 0 {
		return turn{}, false
	}
	return *q.at(0), true
}

// sentLast notes that the request at the end of the line is sent whole.
func (q *inflight) sentLast() {
	if q.n > 0 {
		q.at(q.n - 1).sent = sentWhole
	}
}

// pop takes the request whose answer is over off the line.
func (q *inflight) pop() {
	if q.n > 0 {
		*q.at(0) = turn{} // an idle connection keeps no request alive
		q.first = (q.first + 1) % len(q.ring)
		q.n--
	}
}

// lost empties the line after the connection was lost, and tells for each
// request in order whether it may be sent again on another connection (RFC
// 9112 section 9.3.1). The first in line may not once its answer has begun; one
// that is not idempotent may not, since the server may have acted on it.
func (q *inflight) lost(answerBegun bool, each func(t turn, replay bool)) {
	for i := 0; q.n > 0; i++ {
		t, _ := q.next()
		q.pop()
		each(t, t.replayable && (i > 0 || !answerBegun))
	}
}

// idempotent are the methods that may be repeated without further effect (RFC
// 9110 section 9.2.2).
func idempotent(m field.Method) bool {
	switch m {
	case field.GET, field.HEAD, field.OPTIONS, field.TRACE, field.PUT, field.DELETE:
		return true
	}
	return false
}
