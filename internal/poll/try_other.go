//go:build !unix

package poll

import (
	"net"
	"syscall"
)

// TryRead is not to be had here; nothing is ever added to a Poller either.
func TryRead(syscall.RawConn, []byte) (int, error) { return 0, ErrUnsupported }

// Read is nc's Read.
func Read(nc net.Conn, _ syscall.RawConn, p []byte) (int, error) { return nc.Read(p) }

// TryWrite writes nothing here: the connection's Write does.
func TryWrite(net.Conn, syscall.RawConn, []byte) (int, error) { return 0, nil }
