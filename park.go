package h1

// This file is how a server-side connection waits between two messages, and in
// the middle of a head: left to the poller it holds no goroutine, and between
// messages no buffer. Where there is no poller for it (in-memory connections,
// wrapped ones, TLS but ServeTLS's, other systems) it blocks in rawRead
// instead; all else is the same.

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/poll"
)

// errParked is what serving returns when the connection was left to the
// poller. From then on it belongs to whoever wakes it: the goroutine that
// parked it must not touch it again.
var errParked = errors.New("h1: parked")

// parking is what a Conn needs to be left to the poller.
type parking struct {
	poll.Handle
	on      atomic.Bool     // it waits at the poller, and does not block a goroutine
	drained bool            // the last read took all there was
	tls     bool            // it speaks TLS: records(nc) tells whether there is more
	rc      syscall.RawConn // the descriptor, of a client's plain connection too; nil: not known, or not to be used
	owner   resumer         // nil for a Conn that is used alone
	until   atomic.Int64    // when the wait ends, by clock.Mono; 0: never. Set before each park
}

// resumer is who serves a connection.
type resumer interface {
	resume()     // the connection was woken; called by a goroutine that may block
	handedOver() // the connection was hijacked
	lingering()  // its close is under way, and is to end early when another needs its place
}

// poller gives the process's poller, started at the first use. Its error means
// that every connection blocks a goroutine.
var poller = sync.OnceValues(func() (*poll.Poller, error) { return poll.New(deliver) })

// deliver hands woken connections to the goroutines that serve.
func deliver(batch []poll.Waiter) {
	woken.submit(batch)
}

// pollable is the descriptor of a connection that may be read past its Read
// method, or under TLS. Only the net package's own types are: one that wraps
// them may keep octets of its own, or count what goes through it.
func pollable(nc net.Conn) syscall.RawConn {
	var rc syscall.RawConn
	var err error
	switch nc := nc.(type) {
	case *net.TCPConn:
		rc, err = nc.SyscallConn()
	case *net.UnixConn:
		rc, err = nc.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return rc
}

// mayPark makes the connection ready to wait at the poller, before anybody else
// knows of it; false when it has to block.
func (c *Conn) mayPark() bool {
	if c.pk.rc = pollable(c.nc); c.pk.rc == nil {
		return false
	}
	// The poller comes last: its goroutine must not start in a synctest bubble,
	// where there are connections in memory only.
	if _, err := poller(); err != nil {
		return false
	}
	c.pk.drained = true
	c.setUntil(c.idleDeadline())
	c.pk.on.Store(true)
	return true
}

// park begins the connection's life at the poller. It is false when the system
// does not let it, and the connection has to block after all; after true its
// owner may be resumed at any moment.
func (c *Conn) park() bool {
	p, _ := poller()
	b := c.asleep()
	// Held until the system has taken it: nobody else may resume a connection
	// that is going to be refused.
	if err := p.Add(&c.pk.Handle, (*parked)(c), c.pk.rc, poll.Held); err != nil {
		c.pk.on.Store(false)
		c.busy = b
		return false
	}
	busies.Put(b) // it is as new
	c.enrolled()
	c.parkAgain()
	return true
}

// enrolled is called once the connection is at the poller: who ended it before
// that may have found nothing to take off.
func (c *Conn) enrolled() {
	c.pk.on.Store(true)
	if c.ended.Load() {
		c.unpoll(false)
	}
}

// parkTLS lets a TLS connection wait at the poller from here on, once its
// handshake is done; without effect where that cannot be.
func (c *Conn) parkTLS() {
	src := records(c.nc)
	if src == nil {
		return
	}
	rc := pollable(src.Conn)
	if rc == nil {
		return
	}
	p, err := poller() // last, as in mayPark
	if err != nil {
		return
	}
	if err := p.Add(&c.pk.Handle, (*parked)(c), rc, poll.Held); err == nil {
		src.pk = &c.pk
		c.pk.rc, c.pk.tls, c.pk.drained = rc, true, src.empty()
		c.enrolled()
	}
}

func (c *Conn) setUntil(by time.Time) {
	var until int64
	if !by.IsZero() {
		until = clock.Mono(by)
	}
	c.pk.until.Store(until)
}

// unpoll takes the connection off the poller before it is closed (keep false)
// or handed to the application (keep true).
func (c *Conn) unpoll(keep bool) {
	if !c.pk.on.Load() {
		return
	}
	p, _ := poller()
	if keep {
		p.Remove(&c.pk.Handle, c.pk.rc)
	} else {
		p.Remove(&c.pk.Handle, nil)
	}
}

// parked is a Conn as the poller sees it.
type parked Conn

// Hangup implements poll.Waiter: the peer sent FIN or reset the connection. A
// handler at work is told through its request's context.
func (w *parked) Hangup() { (*Conn)(w).peerGone() }

// woke puts the connection, unparked, in line to be served.
func (c *Conn) woke() { woken.submit([]poll.Waiter{(*parked)(c)}) }

// wake ends a wait, so that the close intent is looked at again: of a parked
// connection by resuming it, of one that blocks by its deadline.
func (c *Conn) wake() {
	switch {
	case !c.pk.on.Load():
		c.poke()
	case c.pk.Unpark():
		c.woke()
	case c.pk.tls: // it may block in the middle of a record
		c.poke()
	}
}

// overdue resumes a parked connection whose wait is over by now, and tells the
// handler of one that was closed under it.
func (c *Conn) overdue(now int64) {
	if ctx := c.watcher.Load(); ctx != nil && c.pk.on.Load() && ctx.Err() == nil && c.goneUnseen() {
		go ctx.hangup()
		return
	}
	if !c.pk.on.Load() || !c.pk.Parked() || !c.pk.due(now) && !c.goneUnseen() || !c.pk.Unpark() {
		return
	}
	// It may have been woken and parked again since it was looked at.
	if c.goneUnseen() {
		c.pk.drained = false // so that it is read, and the read fails
	} else if !c.pk.due(now) {
		c.parkAgain()
		return
	}
	c.woke()
}

// due tells whether the wait is over by now.
func (pk *parking) due(now int64) bool {
	until := pk.until.Load()
	return until != 0 && until <= now
}

// goneUnseen tells whether the application has closed the net.Conn of a
// connection at the poller behind our back. The system drops a closed descriptor from the
// poller without an event.
func (c *Conn) goneUnseen() bool { return c.pk.rc.Control(func(uintptr) {}) != nil }

// parkAgain leaves a connection to the poller that nobody works on. It is
// resumed when something came in between, or when somebody raised the intent
// and found nobody to wake: before it was taken (its wait ends at another time
// than it was parked for), or since.
func (c *Conn) parkAgain() {
	before, until := c.outlook(), c.pk.until.Load()
	if c.busy == nil { // in the middle of a head nothing but the end changes the wait
		c.setUntil(c.idleDeadline())
	}
	if c.interrupted(waitIdle) || c.pk.until.Load() != until || !c.parkWith(before) {
		c.woke()
	}
}

// outlook is what others may change of a wait that is under way.
type outlook struct {
	intent uint32
	ended  bool
	plan   *drainPlan
}

func (c *Conn) outlook() outlook {
	return outlook{c.m.intent.Load(), c.ended.Load(), c.set.drain.Load()}
}

// parkWith parks the connection; false when octets have come that were not looked
// at, and it is still its caller's. before is the outlook that the wait was
// decided by: who changed it since may have found nobody to wake, so that is made
// good here. After true the connection is never the caller's again, not even
// then: in the meantime it may have been resumed, and be parked for something
// else altogether.
func (c *Conn) parkWith(before outlook) bool {
	if !c.pk.Park() {
		return false
	}
	if c.outlook() != before && c.pk.Unpark() {
		c.woke()
	}
	return true
}

// more gets more octets into the window. A connection at the poller that has
// none is parked, and the error is errParked; one that blocks waits here.
func (c *Conn) more(w wait) error {
	if !c.pk.on.Load() {
		if w == waitIdle {
			c.idleMemory()
		}
		return c.fill(w)
	}
	if err := c.flushBeforeRead(); err != nil {
		return err
	}
	for {
		before := c.outlook()
		if level(before.intent>>8) > levelKeep {
			c.now = clock.Now() // a drain ends by the clock, and began after the last read
		}
		over := c.over(w, c.readDeadline(w))
		if over && (w != waitIdle || c.interrupted(waitHead)) {
			return c.waitOver(w)
		}
		if over {
			return c.lastFill()
		}
		// A FIN that came together with the last octets makes no edge of its own.
		if !c.pk.drained || c.pk.Signaled() || c.pk.Ending() {
			n, err := c.tryFill(w)
			if n > 0 || err != nil {
				return err
			}
		}
		if c.leave(w, before) {
			return errParked
		}
	}
}

// lastFill reads an idle connection once more before it is closed: octets may
// have come that nobody has noticed yet. Under TLS, where a record has to be whole
// to be read, one that arrives just now is waited for, as a head is.
func (c *Conn) lastFill() error {
	wire := c.wireOctets()
	n, err := c.tryFill(waitIdle)
	switch {
	case n > 0 || err != nil:
		return err
	case c.wireOctets() > wire:
		c.began = c.now
		return c.fill(waitHead)
	}
	return c.waitOver(waitIdle)
}

// leave parks the connection; false when it has to be looked at again. before is
// the outlook when that was done last.
func (c *Conn) leave(w wait, before outlook) bool {
	c.setUntil(c.readDeadline(w))
	if w != waitIdle {
		return c.parkWith(before)
	}
	b := c.asleep()
	if c.parkWith(before) {
		*b = busy{win: b.win, out: b.out} // both are empty and hold no memory
		busies.Put(b)
		return true
	}
	c.wmu.Lock()
	c.busy = b
	c.wmu.Unlock()
	return false
}

// tryFill reads what is there into the window, without waiting.
func (c *Conn) tryFill(w wait) (n int, err error) {
	room := c.win.Room(minRoom)
	if !c.pk.tls {
		n, err = c.tryRead(room)
	} else {
		n, err = c.tryRecords(room)
	}
	c.win.Filled(n)
	c.bytesIn.Add(int64(n))
	if err == nil || n > 0 || err == io.EOF {
		return n, err
	}
	return 0, c.readFailed(w, err)
}

// tryRead reads what is there, without waiting. A deadline that was set for a
// body, or to wake another goroutine, fails even such a read: then nothing was
// read, the signal is cleared, and who parked would wait for octets that are
// there. So the deadline is lifted, as this wait has its own.
func (c *Conn) tryRead(p []byte) (int, error) {
	for {
		c.pk.Clear()
		n, err := poll.TryRead(c.pk.rc, p)
		c.pk.drained = n < len(p)
		if !isTimeout(err) {
			return n, err
		}
		c.disarmRead()
	}
}

// tryRecords is tryRead under TLS: what is there of records that are whole.
func (c *Conn) tryRecords(p []byte) (int, error) {
	s := records(c.nc)
	s.tries = true
	defer func() { s.tries = false }()
	for {
		n, err := c.nc.Read(p)
		c.pk.drained = n < len(p) && s.empty()
		switch {
		case errors.Is(err, errNotYet):
			return 0, nil
		case !isTimeout(err):
			return n, err
		}
		c.disarmRead()
	}
}
