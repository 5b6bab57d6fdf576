package h1

// This file decides whether a request whose connection failed may be sent
// again, and says what is known of its fate. It is a rule: it is told what
// happened, and does nothing.

import (
	"errors"
	"fmt"

	"github.com/h1go/h1/internal/fault"
)

// Outcome is what is known of a request that failed: whether the server can
// have acted on it. What is not certain is OutcomeMaybeProcessed.
type Outcome uint8

// The outcomes.
const (
	OutcomeMaybeProcessed Outcome = iota // it was sent, in part at least, and the server may have acted on it
	OutcomeNotSent                       // no octet of it was handed to the system
	OutcomeNotDelivered                  // it was sent, and it is proven that the server's program got none of it
	OutcomeAnswered                      // an octet of an answer came, if only of an informational one
	outcomes
)

var outcomeTexts = [outcomes]struct{ name, text string }{
	OutcomeMaybeProcessed: {"maybe_processed", "the server may have acted on the request"},
	OutcomeNotSent:        {"not_sent", "the request was not sent"},
	OutcomeNotDelivered:   {"not_delivered", "the request was sent and not delivered"},
	OutcomeAnswered:       {"answered", "an answer had begun"},
}

// String gives the outcome's stable name, for logs and metrics.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeTexts[o].name
	}
	return fmt.Sprintf("outcome_%d", uint8(o))
}

// failure is what is known of a request that a connection failed to carry. Its
// zero value is a request that never had a connection.
type failure struct {
	broken      bool // the connection broke, and neither the request nor its time did
	reused      bool // the connection had carried a request before
	written     bool // octets of the request were handed to the system
	undelivered bool // it is proven that the server's program got none of them
	delivered   bool // it is proven that the server's system got some of them, before it closed
	answered    bool // an octet of an answer came
	astray      bool // the path took nothing, whatever the server does
	idempotent  bool // doing it twice is the same as doing it once (RFC 9110 section 9.2.2), or its sender says so
	bodyAgain   bool // there is no body, or it can be had anew
}

// outcome is what became of the request, as far as that is known.
func (f failure) outcome() Outcome {
	switch {
	case f.answered:
		return OutcomeAnswered
	case !f.written:
		return OutcomeNotSent
	case f.undelivered:
		return OutcomeNotDelivered
	}
	return OutcomeMaybeProcessed
}

// retryable tells whether the request may be sent again, on a fresh connection.
// It is the only such decision, and made once for each request.
//
// RFC 9112 section 9.3.1: a server may close an idle connection while a request
// is on its way. So the connection must have been used before, and nothing of
// an answer must have come. RFC 9110 section 9.2.2: a method that is not
// idempotent may be sent again only where the client can tell that the first
// one was never applied: it never left, or it is proven that it did not arrive
// (proof.go).
func (f failure) retryable() bool {
	if !f.broken || !f.reused || !f.bodyAgain {
		return false
	}
	switch f.outcome() {
	case OutcomeNotSent, OutcomeNotDelivered:
		return true
	case OutcomeMaybeProcessed:
		return f.idempotent
	}
	return false
}

// idleClose tells whether the connection was lost because it had been idle, as
// far as can be told: not when the server closed it over the request, and not
// when nobody closed it.
func (f failure) idleClose() bool {
	return f.broken && f.reused && !f.answered && !f.delivered && !f.astray
}

// lostConnection tells whether an error says that the connection broke, and not
// that the request was bad, cancelled or too slow to be answered.
func lostConnection(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return false
	}
	switch f.Code {
	case fault.UnexpectedEOF, fault.ReadFailed, fault.WriteFailed, fault.Closed, fault.Unacknowledged:
		return true
	}
	return false
}
