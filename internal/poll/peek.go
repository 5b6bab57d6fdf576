package poll

import (
	"net"
	"syscall"
)

// Peeker looks at what a connection has received without reading it and
// without waiting. It allocates nothing per look, and is for one goroutine at a
// time.
type Peeker struct {
	rc   syscall.RawConn
	look func(fd uintptr)

	got Sight
	err error
}

// Sight is what a Peeker sees.
type Sight uint8

// The sights.
const (
	Silence Sight = iota // nothing came
	Octets               // octets wait to be read
	End                  // the peer has closed, and all it sent was read
	Failure              // the connection is broken
)

// NewPeeker gives a Peeker for a connection that has a descriptor, on a system
// where one can look; nil otherwise.
func NewPeeker(nc net.Conn) *Peeker {
	sc, ok := nc.(syscall.Conn)
	if !ok || !canPeek {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &Peeker{rc: rc}
	p.look = func(fd uintptr) { p.got, p.err = peek(fd) }
	return p
}

// Peek looks once. The error says what is broken, when the sight is Failure.
// It goes through RawConn.Control, which heeds no deadline: one that has passed
// says nothing about the connection.
func (p *Peeker) Peek() (Sight, error) {
	p.got, p.err = Failure, nil
	if err := p.rc.Control(p.look); err != nil {
		return Failure, err
	}
	return p.got, p.err
}
