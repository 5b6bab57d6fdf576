// Package poll tells when connections that nobody reads become readable, so
// that a waiting connection needs neither a goroutine nor a buffer.
//
// It stands beside the Go runtime's own poller and does not replace it: a
// connection may be read by net.Conn.Read while it is added here. Descriptors
// are only touched inside SyscallConn callbacks, where they cannot be closed
// and used again for another file, and an event carries a slot and the slot's
// generation, so that one that was on its way when its connection was removed
// reaches nobody.
//
// Events are edges: one for each change. A reader therefore has to Clear the
// handle before it reads, and may Park after it has read all there was; Park
// refuses when something came in between.
package poll

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrUnsupported is what New returns on a system without a poller of this
// package.
var ErrUnsupported = errors.New("poll: not supported on this system")

// Waiter is who waits on a Handle.
type Waiter interface {
	// Hangup tells that the peer sent FIN or reset the connection. It is
	// called by the poller's goroutine, at most once, whether the handle is
	// parked or not, and must not block.
	Hangup()
}

// Receiver is a Waiter that is told of what arrives by the poller's goroutine,
// in the place of being delivered.
type Receiver interface {
	Waiter
	// Arrived tells that the parked handle had an event and is the receiver's now.
	// It must not block.
	Arrived()
}

// Handle is one connection at a Poller. It is meant to be a field of whoever
// waits; the zero Handle is not added anywhere.
type Handle struct {
	state atomic.Uint32
	slot  uint32
	gen   uint32
	added bool
}

// The bits of Handle.state.
const (
	parked   uint32 = 1 << iota // nobody reads; the next event wakes
	signaled                    // an event came since Clear
	hungUp                      // the peer sent FIN, or reset
	perhaps                     // or a peer of the descriptor's former life did
)

// Clear forgets the events so far. Call it before reading.
func (h *Handle) Clear() { h.state.And(^signaled) }

// Signaled tells whether an event came since Clear.
func (h *Handle) Signaled() bool { return h.state.Load()&signaled != 0 }

// HungUp tells whether the peer sent FIN or reset the connection.
func (h *Handle) HungUp() bool { return h.state.Load()&hungUp != 0 }

// Ending tells whether the peer may have sent FIN or reset the connection, with
// octets or without: then there is no event to come, and who reads has to read to
// the end of the stream.
func (h *Handle) Ending() bool { return h.state.Load()&(hungUp|perhaps) != 0 }

// Park leaves the connection to the poller: the next event is delivered. It
// refuses, with false, when an event came since Clear: read again.
func (h *Handle) Park() bool {
	for {
		s := h.state.Load()
		if s&signaled != 0 {
			return false
		}
		if h.state.CompareAndSwap(s, s|parked) {
			return true
		}
	}
}

// Parked tells whether the connection is left to the poller.
func (h *Handle) Parked() bool { return h.state.Load()&parked != 0 }

// Unpark takes the connection back without an event; false when somebody else
// was first. Of all who would wake a connection exactly one succeeds.
func (h *Handle) Unpark() bool {
	for {
		s := h.state.Load()
		if s&parked == 0 {
			return false
		}
		if h.state.CompareAndSwap(s, s&^parked) {
			return true
		}
	}
}

// event notes an event; end is what it says of the peer's end: nothing, hungUp or
// perhaps. wake tells that the handle was parked and now is its receiver's; hangup
// that the peer's FIN or reset was not known before.
func (h *Handle) event(end uint32) (wake, hangup bool) {
	for {
		s := h.state.Load()
		to := (s | signaled | end) &^ parked
		if h.state.CompareAndSwap(s, to) {
			return s&parked != 0, to&^s&hungUp != 0
		}
	}
}

// Poller waits for the handles added to it, in one goroutine. It lives as long
// as the process.
type Poller struct {
	sys     system
	deliver func([]Waiter)
	batch   []Waiter

	mu    sync.Mutex
	slots table
}

// New starts a Poller. deliver gets the waiters whose parked handles had an
// event; it is called by the poller's goroutine, has to return soon and must
// not keep the slice.
func New(deliver func([]Waiter)) (*Poller, error) {
	p := &Poller{deliver: deliver}
	if err := p.sys.open(); err != nil {
		return nil, err
	}
	go p.sys.run(p)
	return p, nil
}

// Mode is how a handle begins at the Poller.
type Mode uint8

// The modes.
const (
	Held    Mode = iota // to be parked; what there is to read already is an event
	Hangups             // to be told of the peer's end; of octets only once it is armed
)

// Add registers the connection behind rc.
func (p *Poller) Add(h *Handle, w Waiter, rc syscall.RawConn, mode Mode) error {
	p.mu.Lock()
	p.slots.take(h, w)
	p.mu.Unlock()
	h.state.Store(0)
	var failed error
	err := rc.Control(func(fd uintptr) { failed = p.sys.add(fd, h.slot, h.gen, mode == Hangups) })
	if err == nil {
		err = failed
	}
	if err != nil {
		p.forget(h)
	}
	return err
}

// Arm makes octets events too for a handle that was added for hang-ups, and with
// on false ends that. What is there to be read already is an event at once where
// the system can tell; look for it after Park to be sure.
func (p *Poller) Arm(h *Handle, rc syscall.RawConn, on bool) error {
	var failed error
	err := rc.Control(func(fd uintptr) { failed = p.sys.arm(fd, h.slot, h.gen, on) })
	if err == nil {
		err = failed
	}
	return err
}

// Remove takes the handle off, before its connection is closed or given away:
// no event reaches it from then on. rc may be nil for a connection that is
// closed right away, as closing a descriptor takes it off too.
func (p *Poller) Remove(h *Handle, rc syscall.RawConn) {
	if !p.forget(h) || rc == nil {
		return
	}
	_ = rc.Control(func(fd uintptr) { p.sys.del(fd) }) // an error means it is closed, hence off
}

func (p *Poller) forget(h *Handle) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.added {
		return false
	}
	p.slots.giveBack(h)
	return true
}

// Len is how many handles are added.
func (p *Poller) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slots.used
}

// happened is called for each event of a round; mu is held. end is as with event.
func (p *Poller) happened(at, gen, end uint32) {
	s := p.slots.at(at)
	if s == nil || s.h == nil || s.gen != gen {
		return // of a connection that is no more
	}
	wake, hangup := s.h.event(end)
	if hangup {
		s.w.Hangup()
	}
	if !wake {
		return
	}
	if r, ok := s.w.(Receiver); ok {
		r.Arrived()
	} else {
		p.batch = append(p.batch, s.w)
	}
}

// roundDone delivers what a round of events woke.
func (p *Poller) roundDone() {
	if len(p.batch) == 0 {
		return
	}
	p.deliver(p.batch)
	clear(p.batch)
	p.batch = p.batch[:0]
}
