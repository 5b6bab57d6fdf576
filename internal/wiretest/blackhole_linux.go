package wiretest

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// BlackHole lets everything that is sent to this end of a connection vanish, as
// on a path whose router forgot the connection: the peer's octets are neither
// read nor acknowledged, and no reset comes back. A filter on the socket, which
// needs no privilege, drops each segment that arrives. It skips the test where
// the system takes no filter.
func BlackHole(t testing.TB, nc *net.TCPConn) {
	t.Helper()
	rc, err := nc.SyscallConn()
	if err != nil {
		t.Fatalf("black hole: %v", err)
	}
	keep := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // so many octets of each segment
	var failed error
	err = rc.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: 1, Filter: &keep})
	})
	switch {
	case err != nil:
		t.Fatalf("black hole: %v", err)
	case failed != nil:
		t.Skipf("SKIPPED: this system takes no socket filter: %v", failed)
	}
}
