package h1

// This file lets a TLS connection wait at the poller with stock crypto/tls. A
// tls.Conn reads ahead of the record it needs, so that one cannot tell from
// outside whether it holds more; record by record it cannot read ahead, and
// nothing is held that the poller does not know of. A read that would have to wait
// can be broken off, which crypto/tls takes for a timeout, and goes on later.

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/h1go/h1/internal/buf"
	"github.com/h1go/h1/internal/poll"
)

// recordSource is the connection under a tls.Conn. Its Read hands out no octet
// past the end of the present record (RFC 8446 section 5.1); what came with it
// is kept here.
type recordSource struct {
	net.Conn
	win   buf.Window
	left  int   // octets of the present record that are still to be handed out
	head  int   // octets of the present record's header handed out; recordHeader while its body goes
	size  int   // the record's length, as far as its header was seen
	short bool  // the last read took all there was
	tries bool  // a read does not wait
	in    int64 // octets read

	// writer is the Conn whose output is being written, which bears with a slow
	// peer; nil for what crypto/tls writes on its own account. Writes are made
	// one at a time: crypto/tls holds a lock meanwhile, for which the writer waits.
	writer atomic.Pointer[Conn]

	pk *parking // its signal is cleared before each read; nil until the connection is at the poller
}

// errNotYet is what a read fails with that would have to wait. crypto/tls goes on
// after an error that is temporary, and after no other.
var errNotYet net.Error = notYet{}

type notYet struct{}

func (notYet) Error() string   { return "h1: the record is not whole yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// recordHeader is the size of a record's header: type, version, length.
const recordHeader = 5

// Read implements net.Conn.
func (s *recordSource) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.win.Len() == 0 {
		room := s.win.Room(1)
		n, err := s.fill(room)
		s.win.Filled(n)
		s.in += int64(n)
		s.short = n < len(room)
		if n == 0 {
			s.win.Release()
			return 0, err
		}
	}
	n := s.hand(p)
	if s.win.Len() == 0 {
		s.win.Release()
	}
	return n, nil
}

// fill reads from the connection underneath.
func (s *recordSource) fill(p []byte) (int, error) {
	if s.pk != nil {
		s.pk.Clear()
	}
	if !s.tries {
		return s.Conn.Read(p)
	}
	n, err := poll.TryRead(s.pk.rc, p)
	if n == 0 && err == nil {
		err = errNotYet
	}
	return n, err
}

// Write implements net.Conn. A write that takes long goes on down here for as
// long as the client may be waited for, as crypto/tls does not resume one.
func (s *recordSource) Write(p []byte) (int, error) {
	if c := s.writer.Load(); c != nil {
		return c.putOn(s.Conn, p)
	}
	return s.Conn.Write(p)
}

// hand copies octets of the present record's header, or of its body, to p.
func (s *recordSource) hand(p []byte) int {
	most := s.left
	if s.head < recordHeader {
		most = recordHeader - s.head
	}
	n := copy(p[:min(len(p), most)], s.win.Bytes())
	if s.head < recordHeader {
		for _, octet := range p[:n] {
			s.head++
			if s.head > recordHeader-2 { // the last two octets are the length
				s.size = s.size<<8 | int(octet)
			}
		}
		if s.head == recordHeader {
			s.left, s.size = s.size, 0
		}
	} else {
		s.left -= n
	}
	if s.head == recordHeader && s.left == 0 {
		s.head = 0
	}
	s.win.Advance(n)
	return n
}

// empty tells whether nothing is held back and nothing is to be read, as far as
// the last read saw: the poller tells of what comes next. Half a record is held by
// crypto/tls, and of no use before the rest comes.
func (s *recordSource) empty() bool { return s.win.Len() == 0 && s.short }

// tlsListener accepts connections whose records are read one by one.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&recordSource{Conn: nc}, l.config), nil
}

// records is the source under a TLS connection that was accepted by a
// tlsListener; nil for every other connection.
func records(nc net.Conn) *recordSource {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return nil
	}
	s, _ := t.NetConn().(*recordSource)
	return s
}
