package h1

// This file heeds, for the pool, what was learned of the idle limits of servers
// (learn.go): which of the idle connections may be used, and which observations
// there are to learn from.

import (
	"net"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/sockinfo"
)

// choose gives the first idle connection, in the origin's order, that is not
// near its server's idle limit; nil when there is none and one may be dialled.
// twice tells that the request may be sent twice: where nobody can see whether a
// connection is still open, such requests find out whether the limit holds. mu
// is held.
func (p *pool) choose(o *origin, now time.Time, twice bool) *pooled {
	for pc := o.idle.first; pc != nil; pc = pc.links[byChoice].after {
		pc.weigh(now, twice)
		if !pc.wary {
			return pc
		}
	}
	first := o.idle.first
	if first == nil || !p.full(o) {
		return nil
	}
	first.wary = !twice // to be closed, to make room for another
	return first
}

// handedOn notes how long a connection has been idle that its last user left to
// the present one.
func (pc *pooled) handedOn(now time.Time) {
	pc.age, pc.past, pc.wary = now.Sub(pc.c.m.idleSince()), false, false
}

// weigh notes how long a connection has been idle, and what that means.
func (pc *pooled) weigh(now time.Time, twice bool) {
	pc.handedOn(now)
	if pc.origin.limit.age == 0 || pc.c.m.requests.Load() == 0 {
		return // unknown; or never used, for which servers have another limit
	}
	s := pc.origin.limit.stands(pc.age, pc.rtt)
	pc.past = s == pastLimit
	if pc.peeker == nil {
		pc.wary = s != beforeLimit && !twice
	} else {
		pc.wary = s == nearLimit
	}
}

// roundTripTime is how long the path takes; 0 when that is not known.
func roundTripTime(nc net.Conn) time.Duration {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return 0
	}
	timing, _ := sockinfo.TimingOf(tcp)
	return timing.RTT
}

// learnEnd learns from the end of an idle connection, when it was the server's
// doing.
func (p *pool) learnEnd(pc *pooled, reason CloseReason) {
	switch reason {
	case ClosePeerEOF, CloseReadFailed, CloseUnasked:
		if pc.c.m.requests.Load() > 0 {
			p.learnClosed(pc, clock.Now().Sub(pc.c.m.idleSince()))
		}
	}
}

// learnClosed learns that the server closed a connection that was idle for so
// long.
func (p *pool) learnClosed(pc *pooled, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pc.origin.limit.closed(age, pc.rtt)
}

// learnAnswered learns from an answer on a connection that should have been
// closed by then.
func (p *pool) learnAnswered(pc *pooled) {
	if !pc.past {
		return
	}
	pc.past = false
	p.mu.Lock()
	defer p.mu.Unlock()
	pc.origin.limit.outlived(pc.age, pc.rtt)
}
