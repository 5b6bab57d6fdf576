//go:build unix

package poll_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/h1go/h1/internal/poll"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// direct is a connection by system calls that the runtime is not told of.
type direct struct {
	*net.TCPConn
	rc syscall.RawConn
}

func (d direct) Read(p []byte) (int, error) { return poll.Read(d.TCPConn, d.rc, p) }

// Write is what writes of connections do with TryWrite.
func (d direct) Write(p []byte) (int, error) {
	n, err := poll.TryWrite(d.TCPConn, d.rc, p)
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := d.TCPConn.Write(p[n:])
	return n + m, err
}

// directPair is one, and the other end of its connection.
func directPair(t *testing.T) (direct, *net.TCPConn) {
	t.Helper()
	client, server := tcpPair(t)
	rc, err := client.SyscallConn()
	require.NoError(t, err)
	return direct{client, rc}, server
}

func TestDirectReadsAndWrites(t *testing.T) {
	d, server := directPair(t)
	got := make([]byte, 64)
	go func() {
		n, _ := server.Read(make([]byte, 64))
		runtime.Gosched() // most often the other one waits by now
		_, _ = server.Write(bytes.Repeat([]byte{'a'}, n))
		_ = server.CloseWrite()
	}()
	n, err := d.Write([]byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	n, err = d.Read(got)
	require.NoError(t, err)
	require.Equal(t, "aaaaa", string(got[:n]))
	_, err = d.Read(got)
	require.Equal(t, io.EOF, err)
}

// More than the system has room for, and more than goes directly: all of it
// arrives, in order.
func TestDirectWritesWhatHasToWait(t *testing.T) {
	d, server := directPair(t)
	var want bytes.Buffer
	for i := 0; want.Len() < 8<<20; i++ {
		want.Write(bytes.Repeat([]byte{byte(i)}, []int{100, 16 << 10, 40 << 10}[i%3]))
	}
	failed := make(chan error, 1)
	go func() {
		rest := want.Bytes()
		for i := 0; len(rest) > 0; i++ {
			n, err := d.Write(rest[:min(len(rest), []int{16 << 10, 100, 40 << 10}[i%3])])
			if err != nil {
				failed <- err
				return
			}
			rest = rest[n:]
		}
		failed <- d.CloseWrite()
	}()
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.NoError(t, <-failed)
	require.True(t, bytes.Equal(want.Bytes(), got))
}

func TestDirectReadsMuch(t *testing.T) {
	d, server := directPair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = server.Write(want)
		_ = server.CloseWrite()
	}()
	var got []byte
	for size, err := 1, error(nil); err == nil; size = size*3%50_000 + 1 {
		var n int
		p := make([]byte, size)
		n, err = d.Read(p)
		got = append(got, p[:n]...)
	}
	require.True(t, bytes.Equal(want, got))
}

// Errors are those of the connection itself.
func TestDirectErrors(t *testing.T) {
	tests := map[string]struct {
		before func(direct, *net.TCPConn)
		is     error
	}{
		"reset":    {func(_ direct, server *net.TCPConn) { _ = server.SetLinger(0); _ = server.Close() }, syscall.ECONNRESET},
		"deadline": {func(d direct, _ *net.TCPConn) { _ = d.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":   {func(d direct, _ *net.TCPConn) { _ = d.Close() }, net.ErrClosed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, server := directPair(t)
			tt.before(d, server)
			_, err := d.Read(make([]byte, 10))
			op, ok := err.(*net.OpError)
			require.True(t, ok, "%T", err)
			require.ErrorIs(t, err, tt.is)
			require.Equal(t, "read", op.Op)
			require.Equal(t, "tcp", op.Net)
			require.NotNil(t, op.Source)
			require.NotNil(t, op.Addr)
			_, err = d.Write([]byte("x"))
			op, ok = err.(*net.OpError)
			require.True(t, ok, "%T", err)
			require.Equal(t, "write", op.Op)
			if name == "reset" {
				require.ErrorIs(t, err, syscall.EPIPE) // the reset itself is told once
			} else {
				require.ErrorIs(t, err, tt.is)
			}
		})
	}
}

func TestDirectReadIsCalledOff(t *testing.T) {
	d, _ := directPair(t)
	failed := make(chan error, 1)
	go func() {
		_, err := d.Read(make([]byte, 10))
		failed <- err
	}()
	runtime.Gosched()
	require.NoError(t, d.SetReadDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
}

// A file made of a connection may put the descriptor that both share into the mode in which
// calls wait; these do not.
func TestDirectReadDoesNotWaitInTheSystem(t *testing.T) {
	if wiretest.Race || runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the calls made here wait when the descriptor does")
	}
	d, server := directPair(t)
	f, err := d.File()
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.SetNonblock(int(f.Fd()), false))
	failed := make(chan error, 1)
	go func() {
		_, err := d.Read(make([]byte, 10))
		failed <- err
	}()
	runtime.Gosched()
	_, err = server.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-failed)
}

func TestDirectAllocatesNothing(t *testing.T) {
	if wiretest.Race {
		t.Skip("SKIPPED: under the race detector pools drop what they are given")
	}
	d, server := directPair(t)
	p := make([]byte, 100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = d.Write(p[:1])
		_, _ = server.Read(p)
		_, _ = server.Write(p[:1])
		_, _ = d.Read(p)
	}))
}
