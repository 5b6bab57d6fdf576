package h1

// This file makes room when descriptors run out: the connections that are idle
// for longest are closed, as nginx does with its reusable connections.

import (
	"errors"
	"slices"
	"syscall"
	"time"
)

// reclaimAtOnce is how many connections are closed when accepting fails for want
// of a descriptor; nginx's number.
const reclaimAtOnce = 32

// outOfDescriptors tells whether accepting failed because this process, or the
// system, has no descriptor left.
func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// reclaim closes up to n of the connections that are idle at the poller, those
// that are idle for longest. No exchange is cut.
func (s *Server) reclaim(n int) {
	type idle struct {
		c     *Conn
		since time.Time
	}
	var all []idle
	for _, c := range s.live() {
		if since, ok := c.idleAt(); ok {
			all = append(all, idle{c, since})
		}
	}
	slices.SortFunc(all, func(a, b idle) int { return a.since.Compare(b.since) })
	for _, i := range all[:min(n, len(all))] {
		i.c.last(CloseReclaimed)
	}
}
