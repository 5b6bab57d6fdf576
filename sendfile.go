package h1

// This file sends bodies that the kernel can move by itself: from a file
// (sendfile) or from another connection (splice) to a plain TCP connection.
// The net package knows how; what is left to do here is the framing's account
// and the deadlines.

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
)

// kernelPiece is how much is moved before the write deadline is set anew: a
// client that takes less than this in the time of a stall is too slow, as it
// would be for ordinary writes.
const kernelPiece = 256 << 10

// ReadFrom adds all that r gives, up to io.EOF, to the answer's body. From an
// *os.File, or a connection, whose length was declared, the kernel moves the
// octets without copying them through this process. The errors are those of
// Write and of r.
func (x *Exchange) ReadFrom(r io.Reader) (int64, error) {
	if x.movable(r) {
		return x.moveFrom(r)
	}
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	return io.CopyBuffer(struct{ io.Writer }{x}, r, b[:])
}

// movable tells whether the kernel may move r's octets: they need no chunks and
// no coding around them, and nobody has to look at them.
func (x *Exchange) movable(r io.Reader) bool {
	if limited, ok := r.(*io.LimitedReader); ok {
		r = limited.R
	}
	switch r.(type) {
	case file, *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	if _, plain := x.c.nc.(*net.TCPConn); !plain {
		return false
	}
	a := &x.answer
	learns := a.sniff && !a.typed && !a.encoded && !a.begun && len(a.staged) == 0
	return a.length >= 0 && !learns && a.coded == nil && bodyAllowed(x.in.head.methodID, x.status())
}

// file is an *os.File, or what its WriteTo makes of it for io.Copy.
type file interface {
	syscall.Conn
	Stat() (os.FileInfo, error)
}

// moveFrom lets the kernel move r's octets, piece by piece.
func (x *Exchange) moveFrom(r io.Reader) (total int64, err error) {
	x.settle(1)
	x.c.wmu.Lock()
	defer x.c.wmu.Unlock()
	a := &x.answer
	if a.over || x.c.ended.Load() {
		return 0, fault.New(fault.WrongState, fault.Local, "writing the response body")
	}
	if !a.begun {
		if err := x.start(nil); err != nil {
			return 0, err
		}
	}
	if a.enc.kind != bodyLength {
		return 0, http.ErrBodyNotAllowed
	}
	if err := x.c.flushLocked(nil); err != nil {
		return 0, err
	}
	for {
		piece := io.LimitedReader{R: r, N: min(kernelPiece, a.enc.left())}
		if piece.N == 0 {
			return total, x.noMore(r)
		}
		n, err := x.c.moveLocked(&piece)
		total += n
		a.written += n
		if _, code := a.enc.before(nil, int(n)); code != fault.None {
			return total, fault.New(code, fault.Local, "writing the response body")
		}
		if err != nil || piece.N > 0 {
			return total, err
		}
	}
}

// noMore is http.ErrContentLength when r has more than was declared.
func (x *Exchange) noMore(r io.Reader) error {
	var one [1]byte
	if n, err := r.Read(one[:]); n > 0 {
		return http.ErrContentLength
	} else if err != io.EOF {
		return err
	}
	return nil
}

// moveLocked lets the net package move one piece to the connection.
func (c *Conn) moveLocked(piece *io.LimitedReader) (int64, error) {
	c.armWrite(clock.Now())
	n, err := c.nc.(*net.TCPConn).ReadFrom(piece)
	c.bytesOut.Add(n)
	if err != nil && isWriteError(err) {
		c.werr = c.writeFailed(err)
		return n, c.werr
	}
	return n, err
}

// isWriteError tells an error of the connection from one of the file, which is
// the handler's to know and leaves the connection as it was.
func isWriteError(err error) bool {
	var reading *os.PathError
	return !errors.As(err, &reading)
}
