package main

import (
	"fmt"
	"syscall"
)

// spareFiles is what a process opens beside its connections: pollers, pipes, listeners.
const spareFiles = 100

// raiseOpenFiles lifts the limit of open files to the highest that this process may have and returns it. Children
// inherit it: the runtime hands them back the limit it was started with only when nobody has set another one.
func raiseOpenFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raising the limit of open files to %d: %w", limit.Max, err)
	}
	return int(min(limit.Max, 1<<30)), nil
}

// tooManyFiles says why conns connections cannot be had under the limit, or nothing when they can.
func tooManyFiles(conns, limit int) string {
	if conns+spareFiles <= limit {
		return ""
	}
	return fmt.Sprintf("left out: %d connections need more than the %d open files that the hard limit of this shell allows", conns, limit)
}
