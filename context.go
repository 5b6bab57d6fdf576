package h1

// This file is the context of a request under way. It costs nothing until
// somebody asks for Done.

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// requestContext is a request's context. It costs nothing until somebody asks
// for Done: it ends with the exchange.
type requestContext struct {
	parent context.Context
	conn   *Conn

	mu   sync.Mutex
	done chan struct{}
	err  error
	more *contextHooks // nil almost always
}

// contextHooks is what few ask of a request's context.
type contextHooks struct {
	stop  func() bool     // ends the watch of the parent
	after map[*int]func() // what AfterFunc was given
	gone  chan bool       // what CloseNotify gave
}

// hooks are the context's, made when there are none; mu is held.
func (ctx *requestContext) hooks() *contextHooks {
	if ctx.more == nil {
		ctx.more = &contextHooks{}
	}
	return ctx.more
}

// Deadline implements context.Context.
func (ctx *requestContext) Deadline() (time.Time, bool) { return ctx.parent.Deadline() }

// Value implements context.Context. The connection's address is known without
// a context of its own for it.
func (ctx *requestContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return ctx.conn.LocalAddr()
	}
	return ctx.parent.Value(key)
}

// Err implements context.Context.
func (ctx *requestContext) Err() error {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.err != nil {
		return ctx.err
	}
	return ctx.parent.Err()
}

// Done implements context.Context.
func (ctx *requestContext) Done() <-chan struct{} {
	ctx.mu.Lock()
	defer ctx.mu.Unlock()
	if ctx.done == nil {
		ctx.done = make(chan struct{})
		if ctx.err != nil {
			close(ctx.done)
		} else {
			ctx.watch()
		}
	}
	return ctx.done
}

// watch follows the parent and the peer; mu is held.
func (ctx *requestContext) watch() {
	ctx.conn.watchFor(ctx)
	if ctx.parent.Done() == nil {
		return
	}
	if h := ctx.hooks(); h.stop == nil {
		h.stop = context.AfterFunc(ctx.parent, func() { ctx.cancel(ctx.parent.Err()) })
	}
}

// AfterFunc lets the context package hang further contexts on this one without
// a goroutine each.
func (ctx *requestContext) AfterFunc(f func()) (stop func() bool) {
	ctx.mu.Lock()
	if ctx.err != nil {
		ctx.mu.Unlock()
		go f()
		return func() bool { return false }
	}
	defer ctx.mu.Unlock()
	ctx.watch()
	h := ctx.hooks()
	if h.after == nil {
		h.after = map[*int]func(){}
	}
	key := new(int)
	h.after[key] = f
	return func() bool {
		ctx.mu.Lock()
		defer ctx.mu.Unlock()
		_, there := h.after[key]
		delete(h.after, key)
		return there
	}
}

// closeNotify is the channel of http.CloseNotifier, the same at each call.
func (ctx *requestContext) closeNotify() <-chan bool {
	ctx.mu.Lock()
	h := ctx.hooks()
	first := h.gone == nil
	if first {
		h.gone = make(chan bool, 1)
	}
	gone := h.gone
	ctx.mu.Unlock()
	if first {
		ctx.AfterFunc(func() { gone <- true })
	}
	return gone
}

// cancel ends the context.
func (ctx *requestContext) cancel(err error) {
	ctx.mu.Lock()
	if ctx.err != nil {
		ctx.mu.Unlock()
		return
	}
	ctx.err = err
	if ctx.done != nil {
		close(ctx.done)
	}
	var hooked contextHooks
	if h := ctx.more; h != nil {
		hooked, h.after = *h, nil
	}
	ctx.mu.Unlock()
	if hooked.stop != nil {
		hooked.stop()
	}
	for _, f := range hooked.after {
		f()
	}
}

// hangup ends the context because the peer has gone.
func (ctx *requestContext) hangup() { ctx.cancel(context.Canceled) }
