package h1

// This file lets several goroutines share a client's connection: each sends its
// request behind the others' and reads its own answer when its turn comes. No
// goroutine reads for all.
//
// Whose turn it is reads until its answer is over, deals the answers that have
// come with it (deal.go), and hands the turn on. What the others have queued
// meanwhile it sends before it waits; so a burst of requests leaves in one write,
// as a burst of answers comes in one read.

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
)

// sharing is what a client's connection has beside while it is shared.
type sharing struct {
	taken   bool         // it is somebody's turn; guarded by clientSide.mu
	calling *rider       // whose wait for the answer's head may be called off; guarded by clientSide.mu
	free    []chan news  // riders' that need them no more; guarded by clientSide.mu
	waits   atomic.Bool  // whose turn it is may be waiting: who queues something has to send it
	sending atomic.Bool  // somebody is about to send what is queued
	at      atomic.Int64 // when the turn was passed on last, by clock.Mono; 0: not yet
}

// now is the time, as near as it matters. As long as whose turn it is does not
// wait, the turn has just been passed on: a burst asks the clock once.
func (s *sharing) now() time.Time {
	if at := s.at.Load(); at != 0 && !s.waits.Load() {
		return clock.At(at)
	}
	return clock.Now()
}

// burstBuffer is the size of buffers that take a burst: the answers of one read,
// the requests of one write.
const burstBuffer = 16 << 10

// rider is a request in line on a shared connection. What is not said to be
// unguarded is guarded by clientSide.mu.
type rider struct {
	turn chan news      // told once; nil when the turn came at once
	res  *http.Response // the answer, when another read it; not guarded
	next *rider         // among those that are dealt answers; not guarded
	size int            // of the request; not guarded

	came     bool // the turn
	lost     bool // the connection ended before its answer
	again    bool // nothing of an answer came
	forsaken bool // nobody wants the answer
	queued   bool // it is in line, or was; not guarded
	begun    bool // its answer's head came; not guarded
	first    bool // on a connection that was idle before; not guarded
}

// beginSharing and endSharing are called while nobody else uses the connection.
func (c *Conn) beginSharing() {
	c.setSharing(&sharing{})
	c.win.Least, c.out.Least = max(c.set.readBuffer, burstBuffer), max(c.set.writeBuffer, burstBuffer)
}

func (c *Conn) endSharing() {
	c.setSharing(nil)
	c.win.Least, c.out.Least = c.set.readBuffer, c.set.writeBuffer
}

func (c *Conn) setSharing(s *sharing) {
	c.client.mu.Lock()
	c.client.share = s
	c.client.mu.Unlock()
}

// errCalledOff is what the wait for an answer ends with when its request was
// cancelled. The exchange goes on: somebody has to read the answer.
var errCalledOff = errors.New("h1: called off")

// news is what a rider that waits is told.
type news uint8

const (
	itsTurn    news = iota // to read its answer
	answered               // by who read another's
	lostInLine             // the connection ended before its answer
)

// channel is one for a rider that has to wait; mu is held.
func (s *sharing) channel() chan news {
	last := len(s.free) - 1
	if last < 0 {
		return make(chan news, 1)
	}
	turn := s.free[last]
	s.free = s.free[:last]
	return turn
}

// lose tells a rider that its answer will not come.
func (w *rider) lose(again bool) {
	w.lost, w.again = true, again
	if !w.came && !w.forsaken {
		w.turn <- lostInLine
	}
}

// ride puts a request without a body in line and queues it for sending. in is
// what it waits in; nil when it is its turn at once. The error is that the
// connection takes no more; that sending failed is for the reader to find out, as
// the server may have answered before.
func (c *Conn) ride(a *ask, w *rider) (in *sharing, err error) {
	k := c.client
	c.wmu.Lock()
	defer c.unlockOut()
	k.mu.Lock()
	if err := c.joinLine(a, w, sentWhole, k.share.now()); err != nil {
		k.mu.Unlock()
		return nil, err
	}
	w.queued = true
	if k.share.taken {
		in = k.share
		w.turn = in.channel()
	} else {
		k.share.taken, w.came = true, true
	}
	k.mu.Unlock()
	_ = c.sendLocked(a.head)
	return in, nil
}

// sendQueued sends what is queued, unless who reads will do so before it waits.
// Others that are ready to run may join first. Once the answer is dealt, which
// may be at any time, the connection is not shared any more or by others.
func (c *Conn) sendQueued(s *sharing) {
	if !s.waits.Load() || !s.sending.CompareAndSwap(false, true) {
		return
	}
	runtime.Gosched()
	s.sending.Store(false) // before the lock: who finds it set has queued before that
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_ = c.flushLocked(nil)
}

// awaitTurn waits until it is the rider's turn to read, or until its answer is
// there. When ctx ends before, the rider is forsaken and the error is
// errCalledOff: its answer is dropped when it comes.
func (c *Conn) awaitTurn(ctx context.Context, w *rider) error {
	var told news
	if done := ctx.Done(); done == nil {
		told = <-w.turn
	} else {
		select {
		case told = <-w.turn:
		case <-done:
			return c.forsake(w)
		}
	}
	c.keepChannel(w.turn) // it is not told again
	if told == lostInLine {
		return c.lostAnswer()
	}
	return nil
}

// keepChannel keeps a channel for the next rider, if there may be one: who was dealt
// an answer may find the connection at rest.
func (c *Conn) keepChannel(turn chan news) {
	k := c.client
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.share != nil {
		k.share.free = append(k.share.free, turn)
	}
}

// lostAnswer is the error of a rider whose turn never came. What another
// request's end did to the connection is not this one's error.
func (c *Conn) lostAnswer() error {
	var cause error
	if first := c.err.Load(); first != nil {
		if f, ok := (*first).(*fault.Error); ok && f.By == fault.Server {
			cause = f
		}
	}
	return c.faultOf(fault.Closed, waitAnswer, cause)
}

// loseLine tells all that are in line that no answer will come.
func (c *Conn) loseLine() {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	c.client.queue.lost(false, c.client.leftOver)
}

// mayRideAgain tells whether a rider without an answer may ride on the next
// connection: this one did not take its request, or the server had said that it
// takes none after another, and did not look at it (RFC 9112 section 9.6).
func (c *Conn) mayRideAgain(w *rider) bool {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	return !w.queued || w.lost && w.again && c.Reason().announced()
}

// facts are what is known of a rider's request after it failed.
func (c *Conn) facts(w *rider, f failure) failure {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	f.written = w.queued
	f.answered = w.begun || w.lost && !w.again
	// Those in front had used the connection before, or the server was free to
	// close it as it likes.
	f.reused = true
	f.delivered = !w.first // as far as an idle connection's end is concerned
	return f
}

// forsake leaves the line; a turn that came at the same time is used up.
func (c *Conn) forsake(w *rider) error {
	c.client.mu.Lock()
	came, lost := w.came, w.lost
	w.forsaken = true
	c.client.mu.Unlock()
	if came && !lost {
		go c.dropAnswer()
	}
	return errCalledOff
}

// passOn gives the turn to the next in line, if anybody is. The last of those
// whose answers were dealt is told after it: of goroutines that are made ready
// the last one runs first, and the others in their order. So those that were
// answered get to queue their next requests before who reads next sends them.
func (c *Conn) passOn(d *dealt) {
	d.tellOthers()
	k := c.client
	k.mu.Lock()
	defer k.mu.Unlock()
	c.callOver()
	t, ok := k.queue.next()
	k.share.taken = ok
	if !ok {
		return
	}
	k.share.at.Store(clock.Mono(clock.Now()))
	k.share.waits.Store(false) // who has the turn sees to what is queued
	w := t.of.(*rider)
	w.came = true
	if w.forsaken {
		go c.dropAnswer()
		return
	}
	w.turn <- itsTurn
}

// dropAnswer reads the answer to a request that nobody waits for any more, within
// the time of a drain. When it takes longer the connection ends, as those in line
// behind it are better off with another.
func (c *Conn) dropAnswer() {
	if limit := c.set.limits.drainTime; limit != never {
		c.readBy.Store(clock.Mono(clock.Now().Add(limit)))
	}
	if res, err := c.receive(nil, nil, nil); err == nil {
		_ = res.Body.Close()
	}
}

// receiveFor is receive for a rider whose turn it is. The wait for the head can be
// called off by ctx; the error is then errCalledOff.
func (c *Conn) receiveFor(ctx context.Context, w *rider, req *http.Request, of explainer) (*http.Response, error) {
	k := c.client
	if w.turn != nil && c.win.Len() == 0 {
		runtime.Gosched() // others are on it, and may join what is about to be sent
	}
	if ctx.Done() != nil {
		k.mu.Lock()
		k.share.calling = w
		k.mu.Unlock()
		stop := context.AfterFunc(ctx, func() { c.callOff(w) })
		defer stop()
	}
	if c.set.headTime > 0 {
		k.sentAt.Store(clock.Mono(clock.Now())) // what the others' answers took is not its own
	}
	res, err := c.receive(req, nil, of)
	if err == errCalledOff {
		c.callEnds()
		go c.dropAnswer()
	}
	if err != nil {
		return nil, err
	}
	w.begun = true
	if b, ok := res.Body.(*responseBody); ok && !b.here {
		c.callEnds()
		k.share.waits.Store(true) // its caller takes what time it likes
		_ = c.flush()
	}
	return res, nil
}

// callOff wakes the reader of an answer's head.
func (c *Conn) callOff(w *rider) {
	k := c.client
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.share != nil && k.share.calling == w {
		c.abandoned.Store(true)
		c.poke()
	}
}

// callEnds ends the time in which the wait may be called off. It is called before
// another goroutine reads.
func (c *Conn) callEnds() {
	k := c.client
	k.mu.Lock()
	defer k.mu.Unlock()
	c.callOver()
}

// callOver is callEnds with mu held.
func (c *Conn) callOver() {
	c.client.share.calling = nil
	if c.abandoned.Load() {
		c.abandoned.Store(false)
	}
	if c.readBy.Load() != 0 {
		c.readBy.Store(0)
	}
}

// calledOff tells whether err is no more than that.
func (c *Conn) calledOff(err error) bool {
	f, ok := err.(*fault.Error)
	level, _ := c.m.closing()
	return ok && f.Code == fault.Closed && c.client.share != nil && level < levelNow && c.abandoned.Load()
}

// littleBodies is how long a body may be that lies in one piece of memory with
// its head. Who keeps a field of an answer keeps that piece.
const littleBodies = 512

// littleBody is the length of a body that takeBody will take and that is small
// enough to be copied with its head; 0 for all others.
func (c *Conn) littleBody(f framing) int {
	if c.client.share == nil || f.kind != bodyLength || f.length > min(littleBodies, int64(c.win.Len())) {
		return 0
	}
	return int(f.length)
}

// takeBody takes the body out of the window, when all of it is there and the
// connection is shared: the turn is passed on before the caller gets to read.
func (c *Conn) takeBody(b *responseBody) bool {
	n := c.in.dec.remaining()
	if c.client.share == nil || c.in.coded != nil || n < 0 || n > int64(c.win.Len()) {
		return false
	}
	if b.here = true; b.held == "" {
		b.held = string(c.win.Bytes()[:n])
	}
	c.win.Advance(int(n))
	c.tookBody(int(n))
	return true
}
