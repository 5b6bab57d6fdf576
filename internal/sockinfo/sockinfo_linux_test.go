package sockinfo_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/h1go/h1/internal/sockinfo"
	"github.com/h1go/h1/internal/wiretest"
)

// pair is two ends of a TCP connection over loopback.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func unacked(t *testing.T, nc *net.TCPConn) int64 {
	t.Helper()
	n, ok := sockinfo.Unacked(nc)
	require.True(t, ok)
	return n
}

func TestWhatThePeersSystemTookIsAcknowledged(t *testing.T) {
	near, _ := pair(t)
	_, err := near.Write([]byte("hello"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return unacked(t, near) == 0 }, 10*time.Second, time.Millisecond,
		"nobody has to read it")
}

// The end of the peer's stream comes first, then our octets find nobody and a
// reset comes back: what was unacknowledged still is.
func TestAResetLeavesTheCountAsItWas(t *testing.T) {
	near, far := pair(t)
	_, err := near.Write([]byte("hello"))
	require.NoError(t, err)
	_, err = io.ReadFull(far, make([]byte, 5))
	require.NoError(t, err)
	require.NoError(t, far.Close())
	_, err = near.Write([]byte("too late"))
	require.NoError(t, err)
	_, err = near.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the end overtakes the reset")
	written := int64(len("too late"))
	require.Eventually(t, func() bool {
		n, err := near.Write([]byte("!"))
		written += int64(n)
		return err != nil // the reset came
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, written, unacked(t, near))
	require.NoError(t, near.Close())
	_, ok := sockinfo.Unacked(near)
	require.False(t, ok, "nobody can say after the close")
}

func TestABlackHoleAcknowledgesNothing(t *testing.T) {
	near, far := pair(t)
	wiretest.BlackHole(t, far)
	_, err := near.Write([]byte("hello"))
	require.NoError(t, err)
	time.Sleep(20 * time.Millisecond) // time enough to be acknowledged otherwise
	require.EqualValues(t, 5, unacked(t, near))
	timing, ok := sockinfo.TimingOf(near)
	require.True(t, ok)
	require.Positive(t, timing.RTT)
	require.Greater(t, timing.RTO, timing.RTT)
}

func TestSilenceIsCountedFromTheLastOctet(t *testing.T) {
	near, far := pair(t)
	_, err := far.Write([]byte("hello"))
	require.NoError(t, err)
	_, err = io.ReadFull(near, make([]byte, 5))
	require.NoError(t, err)
	time.Sleep(60 * time.Millisecond)
	require.NoError(t, far.Close()) // the end is no octet
	_, err = near.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	quiet, ok := sockinfo.QuietOf(near)
	require.True(t, ok)
	require.GreaterOrEqual(t, quiet.Octets, 50*time.Millisecond)
	require.GreaterOrEqual(t, quiet.Octets-quiet.Segments, 40*time.Millisecond)
	_, ok = sockinfo.QuietOf(nil)
	require.False(t, ok)
}

func TestALimitOfTheCallersIsLeftAlone(t *testing.T) {
	near, far := pair(t)
	limit := func(nc *net.TCPConn) (ms int) {
		rc, err := nc.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, rc.Control(func(fd uintptr) {
			ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		}))
		require.NoError(t, err)
		return ms
	}
	sockinfo.LimitUnacked(near, 7*time.Second)
	require.Equal(t, 7000, limit(near))
	sockinfo.LimitUnacked(near, 9*time.Second)
	require.Equal(t, 7000, limit(near))
	require.Zero(t, limit(far))
}
