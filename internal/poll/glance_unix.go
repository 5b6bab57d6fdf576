//go:build unix && !(linux && (amd64 || arm64))

package poll

import "syscall"

// glance asks for one octet without taking it.
func glance(fd uintptr) (int, syscall.Errno) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	errno, _ := err.(syscall.Errno)
	return n, errno
}
