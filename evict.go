package h1

// This file takes an idle connection out of the pool as soon as its server
// closes it. The poller tells; where there is none, the look before reuse finds
// it (pooled.condemned).

import (
	"net"
	"syscall"

	"github.com/h1go/h1/internal/poll"
)

// endWatch is a pooled connection's place at the poller. Only the peer's end is
// asked for: answers would be events too, and cost each request a wake-up.
type endWatch struct {
	poll.Handle
	pool *pool
	rc   syscall.RawConn // nil: not watched
}

// watchEnd begins to watch; raw is the connection under TLS.
func (pc *pooled) watchEnd(p *pool, raw net.Conn) {
	rc := pollable(raw)
	if rc == nil {
		return
	}
	watcher, err := poller()
	if err != nil {
		return
	}
	pc.end.pool = p
	if watcher.Add(&pc.end.Handle, pc, rc, poll.Hangups) == nil {
		pc.end.rc = rc
	}
}

// unwatchEnd ends the watch; keep tells that the connection lives on.
func (pc *pooled) unwatchEnd(keep bool) {
	if pc.end.rc == nil {
		return
	}
	watcher, _ := poller()
	if keep {
		watcher.Remove(&pc.end.Handle, pc.end.rc)
	} else {
		watcher.Remove(&pc.end.Handle, nil)
	}
}

// Hangup implements poll.Waiter.
func (pc *pooled) Hangup() { go pc.end.pool.evict(pc) }

// evict closes a connection whose server has closed it, if it is idle. One that
// is in use finds out by itself.
func (p *pool) evict(pc *pooled) {
	p.mu.Lock()
	idle := pc.listed
	if idle {
		p.unlist(pc)
	}
	p.mu.Unlock()
	if !idle {
		return
	}
	reason := ClosePeerEOF
	if pc.peeker != nil {
		if sight, err := pc.peeker.Peek(); sight == poll.Octets {
			reason = CloseUnasked // and the end after them
		} else if sight == poll.Failure {
			reason = CloseReadFailed
			pc.c.note(err)
		}
	}
	p.drop(pc, reason)
}
