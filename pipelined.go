package h1

// This file lets requests of a Transport share connections. Which of them may,
// and on which connection, is decided here; how they take turns on it is in
// shared.go.
//
// A connection comes from the pool, is shared for as long as requests are in
// line on it, and goes back.

import (
	"container/list"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// Pipelining lets requests share connections (RFC 9112 section 9.3.2): a request
// is sent before those in front of it are answered, and the answers come in that
// order. It saves connections, and system calls, since what many goroutines ask
// leaves in one write. The price is that an answer that takes long, or a Body
// that is read slowly, keeps those behind it waiting.
//
// Only requests that may be repeated without harm are pipelined: GET, HEAD,
// OPTIONS, TRACE, DELETE and PUT, and others with an Idempotency-Key field, all
// without a body; not those that ask for another protocol or say close, and not
// those with a net/http/httptrace trace. All others use connections of their own.
//
// When the connection is lost, a request that had no octet of its answer is sent
// again: on a pipeline when the server had said that it closes (RFC 9112 section
// 9.6), as often as it takes, and otherwise once and on a connection of its own.
type Pipelining struct {
	// Depth is how many requests may be in line on a connection. Zero or one:
	// nothing is pipelined.
	Depth int

	// Conns is how many connections to one origin are shared at a time. Past that
	// requests wait, first come, first served. Zero: 1 (fasthttp PipelineClient).
	Conns int

	// Use tells of a request that may be pipelined whether it is. Nil: all are.
	Use func(*http.Request) bool

	// Pause is how long nothing is pipelined to an origin after a pipeline broke
	// there: the server closed unannounced while answers were due, or sent what
	// cannot be their beginning. Zero: 10 min, in which a server is rarely
	// exchanged for a better one; negative: no pause.
	Pause time.Duration
}

const defaultPause = 10 * time.Minute

// pipelines are a Transport's shared connections.
type pipelines struct {
	pool  *pool
	depth int // of one; below 2: none is shared
	conns int
	pause time.Duration // 0: none

	mu     sync.Mutex
	of     map[originKey]*pipeline
	recent *pipeline // that was asked for last: comparing two keys costs less than the map
}

// pipeline is what one origin has of them.
type pipeline struct {
	key     originKey
	pipes   []*pipe
	opening int
	waiting list.List // of chan *pipe: requests for which there is no room
	paused  time.Time // until then nothing is pipelined; zero: it is
}

// pipe is a connection that is shared now. mu of the pipelines guards n, deep
// and gone; all else is whose turn it is to read.
type pipe struct {
	l        *pipelines
	o        *pipeline
	pc       *pooled
	n        int   // requests in line, or about to be
	deep     bool  // there was more than one
	gone     bool  // it takes no more
	answered bool  // it brought an answer
	trip     *trip // whose Body is being read; nil: nobody's
}

// seat gives a place on a shared connection; nil when nothing is pipelined to the
// origin now. The error is the dial's, or that of a context that ended.
func (l *pipelines) seat(ctx context.Context, key *originKey) (*pipe, error) {
	for {
		l.mu.Lock()
		o := l.at(key)
		if o.pauses() || l.pool.crowded(*key) {
			if len(o.pipes)+o.opening == 0 {
				o.call(o.waiting.Len()) // there is nothing left that would give them a place
			}
			l.mu.Unlock()
			return nil, nil
		}
		if p := o.room(l.depth); p != nil {
			p.n, p.deep = p.n+1, true
			l.mu.Unlock()
			return p, nil
		}
		if len(o.pipes)+o.opening < l.conns {
			o.opening++
			l.mu.Unlock()
			return l.open(ctx, o, *key)
		}
		got := make(chan *pipe, 1)
		place := o.waiting.PushBack(got)
		l.mu.Unlock()
		select {
		case p := <-got:
			if p != nil {
				return p, nil
			}
		case <-ctx.Done():
			l.standUp(o, place, got)
			return nil, cancelled(ctx, "waiting for a connection")
		}
	}
}

// at is the origin of that key; mu is held.
func (l *pipelines) at(key *originKey) *pipeline {
	if l.recent != nil && l.recent.key == *key {
		return l.recent
	}
	o := l.of[*key]
	if o == nil {
		if l.of == nil {
			l.of = map[originKey]*pipeline{}
		}
		if len(l.of) >= maxVacant {
			maps.DeleteFunc(l.of, func(_ originKey, o *pipeline) bool { return o.vacant() })
		}
		o = &pipeline{key: *key}
		l.of[*key] = o
	}
	l.recent = o
	return o
}

// vacant tells whether there is nothing to know of an origin.
func (o *pipeline) vacant() bool {
	return len(o.pipes)+o.opening+o.waiting.Len() == 0 && !o.pauses()
}

func (o *pipeline) pauses() bool {
	return !o.paused.IsZero() && clock.Now().Before(o.paused)
}

// room is a connection that takes one more request, nil when there is none.
// Those that are about to end are no pipes of the origin any more.
func (o *pipeline) room(depth int) *pipe {
	for i := 0; i < len(o.pipes); i++ {
		p := o.pipes[i]
		if level, _ := p.pc.c.m.closing(); level > levelKeep {
			p.leaveOrigin()
			i--
		} else if p.n < depth {
			return p
		}
	}
	return nil
}

// standUp ends the wait of a request that is cancelled. What it got at the same
// time is for the next.
func (l *pipelines) standUp(o *pipeline, place *list.Element, got chan *pipe) {
	var empty *pipe
	l.mu.Lock()
	o.waiting.Remove(place) // nothing happens when it was taken off
	select {
	case p := <-got:
		if p == nil {
			o.call(1)
		} else if p.vacate(1) {
			empty = p
		}
	default:
	}
	l.mu.Unlock()
	if empty != nil {
		empty.rest()
	}
}

// call makes the first n that wait look again; mu is held.
func (o *pipeline) call(n int) {
	for ; n > 0 && o.waiting.Len() > 0; n-- {
		o.waiting.Remove(o.waiting.Front()).(chan *pipe) <- nil
	}
}

// open shares a connection of the pool's.
func (l *pipelines) open(ctx context.Context, o *pipeline, key originKey) (*pipe, error) {
	pc, err := l.pool.take(ctx, key, false, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	o.opening--
	if err != nil {
		o.call(1)
		return nil, err
	}
	p := &pipe{l: l, o: o, pc: pc, n: 1}
	pc.pipe = p
	pc.c.beginSharing()
	o.pipes = append(o.pipes, p)
	for p.n < l.depth && o.waiting.Len() > 0 {
		p.n, p.deep = p.n+1, true
		o.waiting.Remove(o.waiting.Front()).(chan *pipe) <- p
	}
	return p, nil
}

// vacate gives n places to the next that wait, or keeps them free. It tells
// whether nobody is on the connection any more, which is then not shared; mu is
// held.
func (p *pipe) vacate(n int) bool {
	for ; n > 0 && !p.gone && p.o.waiting.Len() > 0; n-- {
		p.o.waiting.Remove(p.o.waiting.Front()).(chan *pipe) <- p
	}
	if p.n -= n; p.n > 0 {
		return false
	}
	p.leaveOrigin()
	return true
}

// leaveOrigin takes the pipe off its origin; mu is held.
func (p *pipe) leaveOrigin() {
	p.gone = true
	if i := slices.Index(p.o.pipes, p); i >= 0 {
		p.o.pipes = slices.Delete(p.o.pipes, i, i+1)
	}
}

// release is called by who read answers, at the end of so many exchanges. It
// tells whether the connection is still shared: the turn is for others then.
func (p *pipe) release(v verdict, exchanges int) bool {
	if r := p.trip; r != nil {
		p.trip = nil
		r.over()
	}
	if v == verdictReuse || exchanges > 1 {
		p.answered = true
		p.l.pool.learnAnswered(p.pc)
	}
	if v != verdictReuse {
		p.pc.c.callEnds()
		p.end()
		return false
	}
	p.l.mu.Lock()
	empty := p.vacate(exchanges)
	p.l.mu.Unlock()
	if empty {
		p.rest()
	}
	return !empty
}

// rest gives the connection back to the pool.
func (p *pipe) rest() {
	c := p.pc.c
	c.callEnds()
	c.endSharing()
	p.pc.pipe = nil
	if level, _ := c.m.closing(); level > levelKeep {
		p.l.pool.drop(p.pc, CloseLocalAsked)
	} else {
		p.l.pool.put(p.pc)
	}
}

// end is when the connection is over. Those still in line get no answer from it.
func (p *pipe) end() {
	c := p.pc.c
	p.l.pool.drop(p.pc, CloseLocalAsked)
	c.loseLine()
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.leaveOrigin()
	if p.l.pause > 0 && p.brokeEarly() {
		p.o.paused = clock.Now().Add(p.l.pause)
		p.o.call(p.o.waiting.Len())
	} else {
		p.o.call(p.l.conns)
	}
}

// brokeEarly tells whether the server may not be up to pipelining: it ended the
// connection, or made it unusable, though more answers were due than one. A
// server that closes an idle connection while a burst is on its way does no harm.
func (p *pipe) brokeEarly() bool {
	if !p.deep || !p.answered && p.pc.again {
		return false
	}
	switch p.pc.c.Reason() {
	case ClosePeerEOF, CloseReadFailed, CloseWriteFailed, CloseBadPeer, CloseUnasked:
		return true
	}
	return false
}

// shares tells whether a request may share a connection. One that is sent again
// may not: what broke the pipeline may be the answer to it (RFC 9112 section
// 9.3.2).
func (r *trip) shares() bool {
	if r.t.lines.depth < 2 || r.resent || r.trace.on() {
		return false
	}
	a, use := r.ask, r.t.Pipelining.Use
	return a.replayable && a.body == nil && !a.offer && !a.last && (use == nil || use(r.req))
}

// share sends the request on a shared connection and waits for its answer's head.
// It is false when nothing is pipelined to the origin now.
func (r *trip) share() (res *http.Response, err error, shared bool) {
	for {
		ctx := r.heed()
		p, err := r.t.lines.seat(ctx, r.origin)
		if p == nil {
			r.unheed()
			return nil, err, err != nil
		}
		res, err := r.rideOn(ctx, p)
		if err == nil {
			res, err = r.arrive(ctx, p, res)
			return res, err, true
		}
		r.unheed()
		if err == errCalledOff {
			return nil, cancelled(ctx, "waiting for the response"), true
		}
		if !p.pc.c.mayRideAgain(r.rider) {
			return nil, err, true
		}
	}
}

// rideOn is share on one connection.
func (r *trip) rideOn(ctx context.Context, p *pipe) (*http.Response, error) {
	c := p.pc.c
	w := r.newRider()
	r.pc, r.rider = p.pc, w
	r.before, r.idle = c.m.requests.Load(), 0
	r.stop, r.up, r.hole = nil, nil, nil
	in, err := c.ride(r.ask, w)
	if err != nil {
		p.turnedAway()
		return nil, err
	}
	if in == nil && p.pc.again && !p.answered {
		w.first, r.idle = true, p.pc.age
	}
	if in != nil {
		c.sendQueued(in)
		if err := c.awaitTurn(ctx, w); err != nil {
			return nil, err
		}
	}
	if w.res != nil {
		w.begun = true
		w.res.Request = r.req
		return w.res, nil
	}
	return c.receiveFor(ctx, w, r.req, r)
}

// newRider is the request's place in line. The first is a part of the trip; to
// the last connection's line that one may still be known.
func (r *trip) newRider() *rider {
	w := &r.first
	if r.rider != nil {
		w = new(rider)
	}
	w.size = len(r.ask.head)
	return w
}

// arrive is when the answer's head has come.
func (r *trip) arrive(ctx context.Context, p *pipe, res *http.Response) (*http.Response, error) {
	if b, ok := res.Body.(*responseBody); ok && !b.here {
		p.read(ctx, r, b)
	} else {
		r.unheed() // the connection is another's by now
	}
	// What a server says on learning that the request was cancelled is no answer.
	if err := r.gone(""); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

// read lets the caller read the Body. Whoever ends that gives the turn on. The
// Body's lock keeps a cancellation that comes at once from ending it before that.
func (p *pipe) read(ctx context.Context, r *trip, b *responseBody) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.answer.Store(b)
	p.trip = r
	if ctx.Done() == nil {
		return
	}
	r.stop = context.AfterFunc(ctx, func() {
		r.cancel(p.pc)
		if p.pc.c.ended.Load() {
			p.end() // those behind do not wait for the caller to close the Body
		}
	})
}

// turnedAway gives up the place of a request that the connection did not take.
func (p *pipe) turnedAway() {
	p.l.mu.Lock()
	p.gone = true
	empty := p.vacate(1)
	p.l.mu.Unlock()
	if empty {
		p.rest()
	}
}
