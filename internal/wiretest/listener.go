package wiretest

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listener is an in-memory net.Listener. Connections are made by Dial and are
// the two ends of a Pair. A dialled connection waits in a queue without end
// until it is accepted, so Dial never blocks.
type Listener struct {
	addr Addr

	mu      sync.Mutex
	changed sync.Cond
	queue   []*Conn
	closed  bool
}

// Listen returns a listener that is ready for Dial.
func Listen() *Listener {
	l := &Listener{addr: nextAddr()}
	l.changed.L = &l.mu
	return l
}

// Dial connects to the listener. The connection is a *Conn.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, l.opError("dial", err)
	}
	if l.closed {
		return nil, l.opError("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	client, server := Pair()
	l.queue = append(l.queue, server)
	l.changed.Signal()
	return client, nil
}

// DialContext is Dial in the form a client's dial hook has. Network and
// address are not looked at: there is one place to go.
func (l *Listener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return l.Dial(ctx)
}

// Accept waits for the next connection. The connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, l.opError("accept", net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close wakes Accept and resets the connections nobody has accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.closed = true
	for _, c := range l.queue {
		c.Reset()
	}
	l.queue = nil
	l.changed.Broadcast()
	return nil
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}
