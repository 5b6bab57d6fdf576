package wiretest

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

var errBroken = errors.New("broken")

func TestZeroFaultsKeepTheNetConnContract(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pair()
		wrapped := Faults{}.Wrap(a)
		return wrapped, b, func() { wrapped.Close(); b.Close() }, nil
	})
}

func TestReadAtMostMakesShortReads(t *testing.T) {
	a, b := Pair()
	c := Faults{ReadAtMost: 2}.Wrap(a)
	io.WriteString(b, "abcde")
	b.CloseWrite()
	p := make([]byte, 10)
	n, err := c.Read(p)
	require.NoError(t, err)
	require.Equal(t, "ab", string(p[:n]))
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "cde", string(rest))
}

func TestReadFailsAfterItsLimit(t *testing.T) {
	for limit := range 4 {
		a, b := Pair()
		c := Faults{ReadErr: errBroken, ReadLimit: limit}.Wrap(a)
		io.WriteString(b, "abcde")
		got, err := io.ReadAll(c)
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, "abcde"[:limit], string(got))
	}
}

func TestWriteIsCutAtItsLimit(t *testing.T) {
	for limit := range 4 {
		a, b := Pair()
		c := Faults{WriteErr: errBroken, WriteLimit: limit}.Wrap(a)
		n, err := io.WriteString(c, "abcde")
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, limit, n)
		_, err = io.WriteString(c, "f")
		require.ErrorIs(t, err, errBroken)
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "abcde"[:limit], string(got))
	}
}

func TestWriteThatEndsAtTheLimitSucceeds(t *testing.T) {
	a, _ := Pair()
	c := Faults{WriteErr: errBroken, WriteLimit: 3}.Wrap(a)
	_, err := io.WriteString(c, "abc")
	require.NoError(t, err)
}

func TestErrorsFromBelowPassThrough(t *testing.T) {
	a, b := Pair()
	c := Faults{CloseErr: errBroken}.Wrap(a)
	b.Reset()
	_, err := io.WriteString(c, "x")
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	reads, writes := c.Calls()
	require.Equal(t, 1, reads)
	require.Equal(t, 1, writes)
	require.ErrorIs(t, c.Close(), errBroken)
	require.ErrorIs(t, c.Close(), net.ErrClosed)
}

func TestCloseWriteIsUnsupportedWhereTheConnHasNone(t *testing.T) {
	a, _ := net.Pipe()
	require.ErrorIs(t, Faults{}.Wrap(a).CloseWrite(), errors.ErrUnsupported)
}
