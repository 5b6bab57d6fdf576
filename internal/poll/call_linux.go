//go:build linux && (amd64 || arm64) && !race

package poll

import (
	"syscall"
	"unsafe"
)

// receive reads what is there, send writes what there is room for. As with glance
// the runtime is not told of the system call, since it does not wait, whatever mode
// the descriptor is in: it may be shared with a file that somebody made of it. These
// two calls are also shorter than read and write, which look after files too.

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	return untold(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	return untold(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func untold(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		// Invariant: p is as long as the system is told, and is kept alive for the call
		// by standing in its arguments.
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
