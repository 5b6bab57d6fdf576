package h1

// This file is how a request learns that nobody wants it any more: from its
// context, or from the channel that contexts have replaced.

import (
	"context"
	"errors"

	"github.com/h1go/h1/internal/fault"
)

// cancelled is the error of a request whose context ended. It holds the
// context's error and, where that is another one, the cause given for it.
func cancelled(ctx context.Context, doing string) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = &causedError{err, cause}
	}
	return fault.Wrap(fault.Cancelled, fault.Local, doing, err)
}

// causedError is an error together with what it comes from.
type causedError struct{ err, cause error }

func (e *causedError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *causedError) Unwrap() []error { return []error{e.err, e.cause} }
func (e *causedError) Timeout() bool   { return errors.Is(e.err, context.DeadlineExceeded) }

// errCancelClosed is the cause where no context ended.
var errCancelClosed = errors.New("Request.Cancel was closed")

// gone is the error of a request that was cancelled; nil when it was not.
func (r *trip) gone(doing string) error {
	if ctx := r.req.Context(); ctx.Err() != nil {
		return cancelled(ctx, doing)
	}
	//lint:ignore SA1019 http.Client sets it
	closed := r.req.Cancel
	select {
	case <-closed:
		return fault.Wrap(fault.Cancelled, fault.Local, doing, &causedError{context.Canceled, errCancelClosed})
	default:
		return nil
	}
}

// heed gives the context that ends when the request is not wanted any more.
// Where Request.Cancel is set, which http.Client does for its Timeout, that is
// one of its own, until unheed.
func (r *trip) heed() context.Context {
	ctx := r.req.Context()
	//lint:ignore SA1019 http.Client sets it
	closed := r.req.Cancel
	if closed == nil {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-closed:
			cancel(errCancelClosed)
		case <-ctx.Done():
		}
	}()
	r.heeded = func() { cancel(nil) }
	return ctx
}

// unheed ends what heed began.
func (r *trip) unheed() {
	if r.heeded != nil {
		r.heeded()
		r.heeded = nil
	}
}
