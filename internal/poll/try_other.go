//go:build !unix

package poll

import "syscall"

// TryRead is not to be had here; nothing is ever added to a Poller either.
func TryRead(syscall.RawConn, []byte) (int, error) { return 0, ErrUnsupported }

// TryWrite writes nothing here: the connection's Write does.
func TryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }
