package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// keepAwake runs, on each core that is used, a process that only spins and yields to whoever wants the core. Without it
// the core of a process that waits goes to sleep, which on a virtual machine hands it back to the host: who wakes it pays
// for that, many times over what a write costs, and how often it happens depends on how far ahead the other side is.
func keepAwake(ctx context.Context, s *settings) (stop func(), err error) {
	var awake []*child
	stop = func() {
		for _, c := range awake {
			c.stop()
		}
	}
	cores := []string{s.measureCPU, s.loadCPU}
	if s.measureCPU == s.loadCPU {
		cores = cores[:1]
	}
	for _, core := range cores {
		c, err := startRole(ctx, s, core, "", "awake")
		if err == nil {
			awake = append(awake, c)
			_, err = c.expect("spinning", patience)
		}
		if err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// awakeRole is this program as what spins. It ends with its input.
func awakeRole([]string) error {
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("asking for the policy of who yields to all: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("spinning")
	for {
	}
}
