//go:build unix

package handover

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dup gives a second descriptor of a listener. Unlike the one of its File
// method, this one is not made blocking on its way to the child: the mode belongs
// to the socket, which both processes share, and this one goes on to accept.
func dup(l syscall.Conn, name string) (*os.File, error) {
	rc, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = rc.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = os.NewSyscallError("fcntl", failed)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
