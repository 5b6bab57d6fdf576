//go:build unix && !(linux && (amd64 || arm64) && !race)

package poll

import "syscall"

// receive reads what is there. Under the race detector the syscall package tells
// it that what was done before the peer wrote came before, also in programs that
// hold both ends.
func receive(fd uintptr, p []byte) (int, syscall.Errno) { return plain(syscall.Read, fd, p) }

// send writes what there is room for.
func send(fd uintptr, p []byte) (int, syscall.Errno) { return plain(syscall.Write, fd, p) }

func plain(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), p)
		if errno, _ := err.(syscall.Errno); errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}
