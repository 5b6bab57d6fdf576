//go:build unix

package poll

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// trial is one read or write on its way through a RawConn. It is kept for the
// next one, since its closures would cost an allocation each time.
type trial struct {
	p           []byte
	n           int
	errno       syscall.Errno
	read, write func(fd uintptr) bool
}

var trials = sync.Pool{New: func() any {
	t := new(trial)
	t.read = func(fd uintptr) bool { return t.once(receive, fd) }
	t.write = func(fd uintptr) bool { return t.once(send, fd) }
	return t
}}

// once makes one system call. It is true whatever came of it, so that the RawConn
// does not wait.
func (t *trial) once(call func(uintptr, []byte) (int, syscall.Errno), fd uintptr) bool {
	for {
		if t.n, t.errno = call(fd, t.p); t.errno != syscall.EINTR {
			return true
		}
	}
}

// outcome gives the trial back. failed is what the RawConn said; nothing done and
// no error: it would have to wait.
func (t *trial) outcome(call string, failed error) (int, error) {
	n, errno := t.n, t.errno
	t.p, t.n, t.errno = nil, 0, 0
	trials.Put(t)
	switch {
	case failed != nil:
		return 0, failed
	case errno == syscall.EAGAIN || errno == syscall.EWOULDBLOCK:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError(call, errno)
	}
	return n, nil
}

// TryRead reads what is there into p, which is not empty, and does not wait: n is
// 0 with a nil error when there is nothing. The error is io.EOF at the end of the
// stream.
func TryRead(rc syscall.RawConn, p []byte) (int, error) {
	t := trials.Get().(*trial)
	t.p = p
	failed := rc.Read(t.read)
	end := failed == nil && t.n == 0 && t.errno == 0
	n, err := t.outcome("read", failed)
	if end {
		err = io.EOF
	}
	return n, err
}

// TryWrite writes what there is room for and does not wait: less of p than all of
// it, with a nil error, when there is no room for the rest.
func TryWrite(rc syscall.RawConn, p []byte) (int, error) {
	t := trials.Get().(*trial)
	t.p = p
	return t.outcome("write", rc.Write(t.write))
}
