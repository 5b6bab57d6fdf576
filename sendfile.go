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

// kernelPiece is how much is moved before the time it took is accounted for.
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
	switch sourceOf(r).Reader.(type) {
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

// kernelSource is what the kernel moves octets from. The net package knows a
// file under one LimitedReader, not under two.
type kernelSource struct {
	io.Reader                   // an *os.File or a connection
	limit     *io.LimitedReader // what was around it; nil: nothing
}

func sourceOf(r io.Reader) kernelSource {
	if limit, ok := r.(*io.LimitedReader); ok {
		return kernelSource{limit.R, limit}
	}
	return kernelSource{r, nil}
}

// left is how many octets there may be, up to most.
func (s kernelSource) left(most int64) int64 {
	if s.limit != nil {
		most = min(most, s.limit.N)
	}
	return most
}

// took accounts for n octets.
func (s kernelSource) took(n int64) {
	if s.limit != nil {
		s.limit.N -= n
	}
}

// position is where in its file the source is; false when it is no file that
// can be read from there again.
func (s kernelSource) position() (int64, bool) {
	seeker, ok := s.Reader.(io.Seeker)
	if !ok {
		return 0, false
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	return at, err == nil
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
	src := sourceOf(r)
	for {
		piece := src.left(min(kernelPiece, a.enc.left()))
		if piece == 0 {
			return total, x.noMore(r)
		}
		n, err := x.c.moveLocked(src, piece)
		total += n
		src.took(n)
		a.written += n
		if _, code := a.enc.before(nil, int(n)); code != fault.None {
			return total, fault.New(code, fault.Local, "writing the response body")
		}
		if err != nil || n < piece {
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

// moveLocked lets the net package move one piece to the connection. It goes on
// after a look at a slow client where the source is a file, which may have been
// read further than octets went out; what was taken from a connection is lost.
func (c *Conn) moveLocked(src kernelSource, piece int64) (total int64, err error) {
	at, resumes := src.position()
	c.writeBegins(clock.Now(), resumes)
	c.sends(piece)
	defer func() { c.bytesOut.Add(total - piece) }()
	for {
		n, err := c.nc.(*net.TCPConn).ReadFrom(&io.LimitedReader{R: src.Reader, N: piece - total})
		total += n
		c.accepted += n
		switch {
		case err == nil:
			c.measure()
			return total, nil
		case resumes && isTimeout(err) && c.bears():
			if _, err := src.Reader.(io.Seeker).Seek(at+total, io.SeekStart); err != nil {
				return total, err
			}
		case isWriteError(err):
			c.werr = c.writeFailed(err)
			return total, c.werr
		default:
			return total, err
		}
	}
}

// isWriteError tells an error of the connection from one of the file, which is
// the handler's to know and leaves the connection as it was.
func isWriteError(err error) bool {
	var reading *os.PathError
	return !errors.As(err, &reading)
}
