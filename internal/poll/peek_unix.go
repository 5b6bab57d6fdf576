//go:build unix

package poll

import (
	"os"
	"syscall"
)

const canPeek = true

func peek(fd uintptr) (Sight, error) {
	for {
		n, err := glance(fd)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK:
			return Silence, nil
		case err != 0:
			return Failure, os.NewSyscallError("recvfrom", err)
		case n > 0:
			return Octets, nil
		}
		return End, nil
	}
}
