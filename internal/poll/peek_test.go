package poll_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/h1go/h1/internal/poll"

	"github.com/stretchr/testify/require"
)

// tcpPair is the two ends of a connection over loopback.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func TestPeekerSeesWhatCame(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	tests := map[string]struct {
		do   func(server *net.TCPConn) error
		want poll.Sight
	}{
		"octets":                {func(c *net.TCPConn) error { _, err := io.WriteString(c, "x"); return err }, poll.Octets},
		"the end of the stream": {func(c *net.TCPConn) error { return c.CloseWrite() }, poll.End},
		"a reset":               {func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }, poll.Failure},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client, server := tcpPair(t)
			p := poll.NewPeeker(client)
			sight, err := p.Peek()
			require.NoError(t, err)
			require.Equal(t, poll.Silence, sight)
			require.NoError(t, tt.do(server))
			for sight == poll.Silence { // until it has come
				runtime.Gosched()
				sight, err = p.Peek()
			}
			require.Equal(t, tt.want, sight)
			require.Equal(t, tt.want == poll.Failure, err != nil)
			if tt.want == poll.Octets {
				got := make([]byte, 1)
				_, err := io.ReadFull(client, got)
				require.NoError(t, err)
				require.Equal(t, "x", string(got), "looking took nothing away")
			}
		})
	}
}

func TestPeekerOfAClosedConnection(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	client, _ := tcpPair(t)
	p := poll.NewPeeker(client)
	require.NoError(t, client.Close())
	sight, err := p.Peek()
	require.Equal(t, poll.Failure, sight)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestConnectionWithoutDescriptorHasNoPeeker(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Nil(t, poll.NewPeeker(a))
}

func TestPeekAllocatesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system gives no way to look at a connection")
	}
	client, _ := tcpPair(t)
	p := poll.NewPeeker(client)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p.Peek() }))
}

func BenchmarkPeek(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	defer c.Close()
	p := poll.NewPeeker(c)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Peek()
	}
}
