//go:build unix

package poll

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// trial is one read or write on its way through a RawConn. It is kept for the
// next one, since its closures would cost an allocation each time.
type trial struct {
	p                  []byte
	n                  int
	errno              syscall.Errno
	read, await, write func(fd uintptr) bool
}

var trials = sync.Pool{New: func() any {
	t := new(trial)
	t.read = func(fd uintptr) bool { t.n, t.errno = receive(fd, t.p); return true }
	t.await = func(fd uintptr) bool { t.n, t.errno = receive(fd, t.p); return !again(t.errno) }
	t.write = func(fd uintptr) bool { t.n, t.errno = send(fd, t.p); return true }
	return t
}}

func again(errno syscall.Errno) bool { return errno == syscall.EAGAIN || errno == syscall.EWOULDBLOCK }

func try(p []byte) *trial {
	t := trials.Get().(*trial)
	t.p = p
	return t
}

// over gives the trial back, and tells what came of it.
func (t *trial) over() (int, syscall.Errno) {
	n, errno := t.n, t.errno
	t.p, t.n, t.errno = nil, 0, 0
	trials.Put(t)
	return n, errno
}

// TryRead reads what is there into p, which is not empty, and does not wait: n is
// 0 with a nil error when there is nothing. The error is io.EOF at the end of the
// stream.
func TryRead(rc syscall.RawConn, p []byte) (int, error) {
	t := try(p)
	failed := rc.Read(t.read)
	switch n, errno := t.over(); {
	case failed != nil:
		return 0, failed
	case again(errno):
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// little is how much one system call may move that the runtime is not told of.
// Copying it takes a few microseconds, and the runtime's monitor would not
// interfere before 20.
const little = 16 << 10

// Read is nc's Read, by system calls that the runtime is not told of where p is
// little: before each call that it is told of, and after it, it prepares for one
// that takes long, and its monitor wakes up to see whether it does. What has to wait
// waits at the runtime's poller. rc is nc's descriptor.
func Read(nc net.Conn, rc syscall.RawConn, p []byte) (int, error) {
	if len(p) == 0 || len(p) > little {
		return nc.Read(p)
	}
	t := try(p)
	failed := rc.Read(t.await)
	switch n, errno := t.over(); {
	case failed != nil: // its time is over, or it is closed: it says so in its own words
		return nc.Read(p)
	case errno != 0:
		return 0, failure(nc, "read", errno)
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// TryWrite writes what there is room for and does not wait: less of p than all of
// it, with a nil error, when there is no room for the rest, when p is not little,
// or when nc's Write has to say why it fails. rc is nc's descriptor.
func TryWrite(nc net.Conn, rc syscall.RawConn, p []byte) (int, error) {
	if len(p) == 0 || len(p) > little {
		return 0, nil
	}
	t := try(p)
	failed := rc.Write(t.write)
	switch n, errno := t.over(); {
	case failed != nil || again(errno):
		return 0, nil
	case errno != 0:
		return 0, failure(nc, "write", errno)
	default:
		return n, nil
	}
}

// failure is the error that the connection itself gives.
func failure(nc net.Conn, call string, errno syscall.Errno) error {
	local := nc.LocalAddr()
	return &net.OpError{Op: call, Net: local.Network(), Source: local, Addr: nc.RemoteAddr(), Err: os.NewSyscallError(call, errno)}
}
