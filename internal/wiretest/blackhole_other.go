//go:build !linux

package wiretest

import (
	"net"
	"testing"
)

// BlackHole lets everything that is sent to this end of a connection vanish. It
// skips the test, as only Linux has socket filters.
func BlackHole(t testing.TB, _ *net.TCPConn) {
	t.Helper()
	t.Skip("SKIPPED: a black hole needs Linux's socket filters")
}
