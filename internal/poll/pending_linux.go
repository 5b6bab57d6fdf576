package poll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pending gives the events that are there. As with glance the runtime is not told
// of the system call, since it does not wait.
func pending(fd uintptr, events []unix.EpollEvent) (int, syscall.Errno) {
	// Invariant: events is as long as the system is told, and is kept alive for the
	// call by standing in its arguments.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
