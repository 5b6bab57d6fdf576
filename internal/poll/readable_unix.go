//go:build unix

package poll

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Readable tells whether a descriptor can be read without waiting; of a
// listener, whether a connection waits to be accepted. It does not wait.
func Readable(rc syscall.RawConn) bool {
	ready := false
	err := rc.Control(func(fd uintptr) {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			if err != unix.EINTR {
				ready = n > 0
				return
			}
		}
	})
	return err == nil && ready
}
