//go:build unix

package poll

import (
	"os"
	"syscall"
)

const canPeek = true

func peek(fd uintptr) (Sight, error) {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK:
			return Silence, nil
		case err != nil:
			return Failure, os.NewSyscallError("recvfrom", err)
		case n > 0:
			return Octets, nil
		}
		return End, nil
	}
}
