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

// choose gives the first idle connection, in the origin's order, that may be used
// for all that is known of its server's idle limit; nil when there is none and one
// may be dialled. twice tells that the request may be sent twice, and so may find
// out whether the limit still holds. mu is held.
func (p *pool) choose(o *origin, now time.Time, twice bool) *pooled {
	for pc := o.idle.first; pc != nil; pc = pc.links[byChoice].after {
		pc.weigh(now, twice)
		if pc.wary {
			continue
		}
		if pc.first && !twice {
			o.explorer = pc
		}
		return pc
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
	pc.age, pc.first, pc.late, pc.wary, pc.fence = now.Sub(pc.c.m.idleSince()), false, false, false, 0
}

// weigh notes how long a connection has been idle, and what that means.
func (pc *pooled) weigh(now time.Time, twice bool) {
	pc.handedOn(now)
	limit := &pc.origin.limit
	switch {
	case pc.c.m.requests.Load() == 0:
		return // servers have another limit for those that were never used
	case limit.age == 0:
		pc.first = limit.unexplored(pc.age)
		pc.wary = pc.first && !twice && pc.origin.explorer != nil
		return
	}
	s := limit.stands(pc.age, pc.rtt)
	pc.late = s >= beyondLimit
	switch {
	case s == beforeLimit:
		pc.fence = limit.fence(pc.rtt)
	case pc.peeker == nil: // nobody can see whether it is open
		pc.wary = !twice
	default:
		pc.wary = s == nearLimit || s == beyondLimit && !twice
	}
}

// tick is how fine the system's own clock of a connection is at worst.
const tick = 10 * time.Millisecond

// older tells whether a connection has been idle for longer than it seemed to
// who used it last, on a machine that was busy, and is near its server's limit.
// The system is asked only where there is such a limit.
func (pc *pooled) older() bool {
	if pc.fence == 0 || pc.age < tick {
		return false
	}
	if quiet, ok := sockinfo.QuietOf(pc.c.client.wire.tcp); ok && quiet.Octets > pc.age+tick {
		pc.age = quiet.Octets
	}
	return pc.age >= pc.fence
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
			p.learnClosed(pc, pc.ageAtEnd(clock.Now()))
		}
	}
}

// ageAtEnd is how long a connection had been idle when its server's end came.
// Where the machine was too busy to notice in time, the system knows better.
func (pc *pooled) ageAtEnd(now time.Time) time.Duration {
	age := now.Sub(pc.c.m.idleSince())
	if quiet, ok := sockinfo.QuietOf(pc.c.client.wire.tcp); ok {
		if ended := quiet.Octets - quiet.Segments; ended >= 0 && (ended-age).Abs() > tick {
			return ended
		}
	}
	return age
}

// learnClosed learns that the server closed a connection that was idle for so
// long.
func (p *pool) learnClosed(pc *pooled, age time.Duration) {
	now := clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pc.origin.limit.closed(age, pc.rtt, now)
}

// learnAnswered learns from an answer on a connection that should have been
// closed by then, or that was the first to be idle for so long.
func (p *pool) learnAnswered(pc *pooled) {
	if !pc.late && !pc.first {
		return
	}
	pc.late, pc.first = false, false
	now := clock.Now()
	p.mu.Lock()
	pc.origin.limit.outlived(pc.age, pc.rtt, now)
	p.mu.Unlock()
	p.explored(pc)
}

// explored ends the time in which others leave unexplored ages to a connection,
// if it is the one. What it found out has been learned by then: between its end
// and the lesson the next one would be risked for nothing.
func (p *pool) explored(pc *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pc.origin.explorer == pc {
		pc.origin.explorer = nil
	}
}

// sentAgain counts a request that is sent a second time.
func (p *pool) sentAgain(pc *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pc.origin.count.resent++
}
