//go:build unix

package poll

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// reader is one read on its way through RawConn.Read. It is kept for the next
// one, since its closure would cost an allocation each time.
type reader struct {
	p   []byte
	n   int
	err error
	do  func(fd uintptr) bool
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.do = func(fd uintptr) bool {
		for {
			r.n, r.err = unix.Read(int(fd), r.p)
			if r.err != unix.EINTR {
				return true // whatever came of it: this does not wait
			}
		}
	}
	return r
}}

// TryRead reads what is there into p and does not wait: n is 0 with a nil error
// when there is nothing. The error is io.EOF at the end of the stream.
func TryRead(rc syscall.RawConn, p []byte) (n int, err error) {
	r := readers.Get().(*reader)
	r.p = p
	failed := rc.Read(r.do)
	n, err = r.n, r.err
	r.p, r.n, r.err = nil, 0, nil
	readers.Put(r)
	switch {
	case failed != nil:
		return 0, failed
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
