package h1

// This file takes an idle connection out of the pool as soon as its server
// closes it or says something. The poller tells; where there is none, the look
// before reuse finds it.
//
// The poller tells of the server's end at all times, but of octets only once a
// connection has been idle for a moment: answers would be events too, and cost
// each request a wake-up. So a busy connection pays nothing for being watched.

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/poll"
)

// endWatch is a pooled connection's place at the poller.
type endWatch struct {
	poll.Handle
	pool  *pool
	rc    syscall.RawConn // nil: not watched
	armed bool            // the poller tells of octets; set and unset by whom the connection belongs to
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

// armAfter is how long a connection is idle before the poller is asked to tell
// of octets, which costs a system call, and another when it is used again.
const armAfter = 50 * time.Millisecond

// armSoon has an idle connection armed; mu is held.
func (p *pool) armSoon(pc *pooled) {
	if pc.end.rc == nil || p.arming {
		return
	}
	p.arming = true
	if p.armTimer == nil {
		p.armTimer = time.AfterFunc(armAfter, p.armIdle)
	} else {
		p.armTimer.Reset(armAfter)
	}
}

// armIdle arms the connections that have been idle for a moment. Those that are
// not armed are the newest.
func (p *pool) armIdle() {
	var stirring []*pooled
	var young *pooled
	p.mu.Lock()
	now := clock.Now()
	for pc := p.idle.last; pc != nil && !pc.end.armed; pc = pc.links[byAge].before {
		switch {
		case pc.end.rc == nil:
		case now.Sub(pc.c.m.idleSince()) < armAfter:
			young = pc
		case !pc.arm():
			stirring = append(stirring, pc)
		}
	}
	if p.arming = false; young != nil {
		p.armSoon(young)
	}
	p.mu.Unlock()
	for _, pc := range stirring {
		p.evict(pc)
	}
}

// arm asks the poller to tell of octets; false when there are some. mu is held.
func (pc *pooled) arm() bool {
	watcher, _ := poller()
	pc.end.armed = true
	pc.end.Clear()
	if watcher.Arm(&pc.end.Handle, pc.end.rc, true) != nil || !pc.end.Park() {
		return false
	}
	sight, _ := pc.peeker.Peek() // not all systems tell of what was there before
	return sight == poll.Silence
}

// disarm ends what arm began, for a connection that was taken.
func (pc *pooled) disarm() {
	if pc.end.armed {
		watcher, _ := poller()
		pc.end.Unpark()
		_ = watcher.Arm(&pc.end.Handle, pc.end.rc, false) // an error means that it is closed
		pc.end.armed = false
	}
}

// Hangup implements poll.Waiter.
func (pc *pooled) Hangup() { go pc.end.pool.evict(pc) }

// Arrived implements poll.Receiver.
func (pc *pooled) Arrived() { go pc.end.pool.evict(pc) }

// evict closes a connection whose server has closed it or said something, if it
// is idle. One that is in use finds out by itself.
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
	pc.disarm()
	reason, err := pc.look()
	if reason == CloseNone && pc.end.HungUp() {
		reason = ClosePeerEOF
	}
	if reason == CloseNone { // TLS spoke to TLS
		p.put(pc)
		return
	}
	pc.c.note(err)
	p.drop(pc, reason)
}

// look tells why what came on an idle connection forbids to use it again;
// CloseNone when it does not. An idle connection is silent: the end of stream
// means that the server closed it, and an octet, a late 408 say, must not be
// taken for the next answer. Under TLS octets need not be the server's words: they
// are read, and then there has to be silence. A read for which time ran out says
// nothing: who was held up has not tried it.
func (pc *pooled) look() (CloseReason, error) {
	if pc.peeker == nil {
		return CloseNone, nil
	}
	for patience := stirTime; ; patience *= 2 {
		switch sight, err := pc.peeker.Peek(); sight {
		case poll.Octets:
			if _, secure := pc.c.nc.(*tls.Conn); !secure || patience > stirLimit {
				return CloseUnasked, nil
			}
			if reason, err := pc.c.stirred(patience); reason != CloseNone {
				return reason, err
			}
		case poll.End:
			return ClosePeerEOF, nil
		case poll.Failure:
			return CloseReadFailed, err
		default:
			return pc.c.heldBack()
		}
	}
}
