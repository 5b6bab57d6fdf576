package h1

// This file tells what became of a request that failed: it collects the facts
// that retry.go judges, and puts the outcome on every error that a Transport
// gives.

import "time"

// RequestError is the error of a request that failed, from Transport.RoundTrip
// or from a Read of the response's Body. It says what is known of the request's
// fate, so that a caller can tell whether it is safe to ask again:
//
//	var lost *h1.RequestError
//	if errors.As(err, &lost) && lost.Outcome != h1.OutcomeMaybeProcessed { ... }
//
// It wraps the *Error that says what went wrong, and is a net.Error.
type RequestError struct {
	// Outcome is what became of the request. Where it was sent twice it holds for
	// both times: when the server may have acted on the first, it says so.
	Outcome Outcome

	// Written is how many octets of the request, framing included, were handed to
	// the system on the last connection.
	Written int64

	// Before is how many requests that connection had carried before this one.
	Before int64

	// Idle is how long the connection had been idle when it was taken; zero for a
	// new one.
	Idle time.Duration

	// Resent tells that the request was sent a second time, on a fresh connection
	// after the first was lost.
	Resent bool

	// Err is what went wrong; never nil.
	Err error
}

// Error is the cause's text, followed by the outcome in words.
func (e *RequestError) Error() string {
	return e.Err.Error() + " (" + outcomeTexts[min(e.Outcome, outcomes-1)].text + ")"
}

// Unwrap gives the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// Timeout tells whether waiting too long was the cause.
func (e *RequestError) Timeout() bool {
	t, ok := e.Err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Temporary is part of net.Error; a request that failed does not mend.
func (e *RequestError) Temporary() bool { return false }

// failure collects what is known of a request's fate after it failed with err, in
// any goroutine. The connection is closed by now, and nobody else's; but after an
// answer, to a request that was cancelled as it came, it may be another's, and is not
// asked for more.
func (r *trip) failure(err error) failure {
	f := failure{broken: lostConnection(err), astray: leadsNowhere(err)}
	if r.pc == nil {
		return f
	}
	c := r.pc.c
	if r.rider != nil {
		return c.facts(r.rider, f)
	}
	f.written, f.answered = r.written() != 0, c.bytesIn.Load() != r.in
	if !f.answered {
		f.reused = r.pc.again
		f.delivered = c.client.delivered(r.wireOut)
		f.undelivered = !r.t.DisableDeliveryProof && c.client.undelivered(r.wireOut)
	}
	return f
}

// explain implements explainer: it makes err a *RequestError.
func (r *trip) explain(err error) error {
	f := r.failure(err)
	e := &RequestError{Outcome: f.outcome(), Resent: r.resent, Err: err}
	if r.pc != nil {
		e.Written = r.written()
		e.Before, e.Idle = r.before, r.idle
		if r.rider != nil { // others' octets are not its own
			e.Written = int64(r.rider.size)
		}
	}
	if r.doubtful && e.Outcome != OutcomeAnswered {
		e.Outcome = OutcomeMaybeProcessed
	}
	return e
}
