package h1

import (
	"io"
	"net/http"
	"sync"

	"github.com/h1go/h1/internal/fault"
)

// responseBody is Response.Body: it reads from the connection until the body
// ends, and then gives the connection back. The lock is not held while a Read
// waits, so that a Close in another goroutine can end it. What becomes of a body
// that is not read to its end is in drain.go.
type responseBody struct {
	mu      sync.Mutex
	c       *Conn // nil once the exchange is over, or left to a drain
	of      explainer
	res     *http.Response
	held    string // of a body that is here, what was not read yet
	here    bool   // the whole body was there with its head; never changes
	coded   bool   // the head has a Content-Encoding field; never changes
	reading bool
	handing bool // the Read under way is to hand the rest to a drain
	closed  bool
	reason  CloseReason // why the connection ends if it cannot be saved
	err     error       // what every further Read gives
}

// Read implements io.Reader. A body that ends early gives an *Error that
// holds io.ErrUnexpectedEOF.
func (b *responseBody) Read(p []byte) (int, error) {
	if b.here {
		return b.readHeld(p)
	}
	c, err := b.begin()
	if err != nil {
		return 0, err
	}
	n, err := c.readBody(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.handing {
		return b.takeOver(n, err)
	}
	if err != nil {
		b.end(err)
		err = b.err
	}
	return n, err
}

func (b *responseBody) readHeld(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fate(); err != nil {
		return 0, err
	}
	if b.held == "" {
		return 0, io.EOF
	}
	n := copy(p, b.held)
	b.held = b.held[n:]
	return n, nil
}

func (b *responseBody) begin() (*Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fate(); err != nil {
		return nil, err
	}
	if b.reading {
		return nil, fault.New(fault.WrongState, fault.Local, "reading the response body")
	}
	b.reading = true
	return b.c, nil
}

// fate is what a Read gives that comes too late; mu is held.
func (b *responseBody) fate() error {
	if b.closed {
		return http.ErrBodyReadAfterClose
	}
	return b.err
}

// end ends the exchange, with err for whoever reads on; mu is held.
func (b *responseBody) end(err error) {
	c := b.c
	b.c = nil
	if err == io.EOF {
		b.err = err
		c.in.trailerInto(&b.res.Trailer)
		c.endExchange(c.m.verdict())
		return
	}
	b.fail(c.lose(err))
}

// fail notes what every further Read gives, unless something else went wrong
// before; mu is held.
func (b *responseBody) fail(err error) {
	switch {
	case b.err != nil:
	case b.closed:
		b.err = http.ErrBodyReadAfterClose
	case b.of != nil:
		b.err = b.of.explain(err)
	default:
		b.err = err
	}
}

// Close implements io.Closer. What is left of the body is read and dropped
// when that is cheap, so that the connection can be used again; a pooled
// connection's caller does not wait for it.
func (b *responseBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.c == nil {
		b.closed = true
		return nil
	}
	b.closed = true
	if !b.handing {
		b.quit(CloseUndrained)
	}
	return nil
}

// forsake ends the exchange of a request that was cancelled, with err for whoever
// reads on. It is false when the connection could not be saved and is closed. One
// whose exchange is over already is left alone: it may be another request's.
func (b *responseBody) forsake(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.c == nil:
	case !b.c.drains():
		b.c.fail(CloseCancelled, err)
		return false
	default:
		b.fail(err)
		if !b.handing {
			b.quit(CloseCancelled)
		}
	}
	return true
}
