//go:build !unix

package handover

import (
	"errors"
	"os"
	"syscall"
)

// dup fails: on this system a process cannot be given descriptors.
func dup(syscall.Conn, string) (*os.File, error) { return nil, errors.ErrUnsupported }
