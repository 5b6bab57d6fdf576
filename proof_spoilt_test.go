//go:build linux

package h1

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The system tells of a reset once. When a Write was told, Read gives the end of
// the stream, as if the server had closed in good order.
func TestAnEndAfterAWriteThatWasResetProvesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, tt := range []struct {
		name   string
		wrote  error // what a Write was told
		read   error
		proven bool
	}{
		{"no Write failed", nil, io.EOF, true},
		{"an end within a TLS record", nil, io.ErrUnexpectedEOF, true},
		{"a Write failed after the end", syscall.EPIPE, io.EOF, true},
		{"a Write was told of the reset", syscall.ECONNRESET, io.EOF, false},
		{"Read was told of the reset", nil, syscall.ECONNRESET, false},
		{"the connection was closed here", nil, net.ErrClosed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer nc.Close()
			c, err := NewClientConn(nc, nil)
			require.NoError(t, err)
			c.client.wire = wireOf(nc, nc)
			if tt.wrote != nil {
				c.werr = c.writeFailed(&net.OpError{Op: "write", Err: os.NewSyscallError("write", tt.wrote)})
			}
			c.streamEnd(tt.read)
			require.Equal(t, tt.proven, c.client.undelivered(0))
		})
	}
}

// What lies between the Conn and TCP without being counted takes the proof away.
func TestOnlyACountedWireProves(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	wrapped := struct{ net.Conn }{nc}
	require.NotNil(t, wireOf(nc, nc).tcp)
	require.NotNil(t, wireOf(wrapped, &meter{Conn: nc}).tcp)
	require.Nil(t, wireOf(wrapped, nc).tcp)
	require.Nil(t, wireOf(wrapped, wrapped).tcp)
	require.Nil(t, wireOf(nc, &meter{Conn: wrapped}).tcp)
}
