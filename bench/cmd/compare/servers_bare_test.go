package main

import (
	"io"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// socket is a connection over loopback and its other end.
func socket(tb testing.TB) (near, far net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer func() { _ = ln.Close() }()
	near, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(tb, err)
	far, err = ln.Accept()
	require.NoError(tb, err)
	return near, far
}

// dress puts a bare socket into a net.Conn again.
func dress(tb testing.TB, b *bare, set int) net.Conn {
	require.NoError(tb, unix.EpollCtl(set, unix.EPOLL_CTL_DEL, b.fd, nil))
	f := os.NewFile(uintptr(b.fd), "socket")
	nc, err := net.FileConn(f)
	require.NoError(tb, err)
	require.NoError(tb, f.Close())
	return nc
}

func TestAStrippedSocketLivesOn(t *testing.T) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer func() { _ = unix.Close(set) }()
	near, far := socket(t)
	defer func() { _ = far.Close() }()
	b, err := strip(near, set)
	require.NoError(t, err)
	_, err = far.Write([]byte("x"))
	require.NoError(t, err)
	again := dress(t, b, set)
	defer func() { _ = again.Close() }()
	var p [1]byte
	_, err = io.ReadFull(again, p[:])
	require.NoError(t, err)
	require.Equal(t, "x", string(p[:]))
}

// BenchmarkStripAndDress is what one deep parking costs, and the return from it.
func BenchmarkStripAndDress(b *testing.B) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(b, err)
	defer func() { _ = unix.Close(set) }()
	near, far := socket(b)
	defer func() { _ = far.Close() }()
	for b.Loop() {
		bare, err := strip(near, set)
		require.NoError(b, err)
		near = dress(b, bare, set)
	}
	_ = near.Close()
}
