package h1

import "net"

// Listener accepts HTTP/1 connections from another listener: TCP, Unix, TLS, or
// one in memory.
type Listener struct {
	l   net.Listener
	set *settings
}

// NewListener makes a Listener whose connections behave as cfg says. It fails
// only when cfg names a transfer coding that is not registered.
func NewListener(l net.Listener, cfg *ConnConfig) (*Listener, error) {
	set, err := cfg.resolve(ServerRole)
	if err != nil {
		return nil, err
	}
	return &Listener{l: l, set: set}, nil
}

// Accept waits for the next connection. Its errors are those of the listener
// underneath.
func (l *Listener) Accept() (*Conn, error) {
	nc, err := l.l.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(nc, ServerRole, l.set), nil
}

// Close stops accepting; accepted connections go on.
func (l *Listener) Close() error { return l.l.Close() }

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.l.Addr() }
