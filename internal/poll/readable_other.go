//go:build !unix

package poll

import "syscall"

// Readable is false: this system has no way to look that we use.
func Readable(syscall.RawConn) bool { return false }
