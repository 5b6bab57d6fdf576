package h1

// This file lets handlers of pipelined requests work side by side. RFC 9112
// section 9.3.2: a server may process a sequence of pipelined requests in
// parallel if they all have safe methods, but has to send the answers in the
// order of the requests.
//
// The connection's goroutine goes on as ever from exchange to exchange, which
// is what keeps the order: it alone decides when a request's turn comes, and
// whether there will be one. But while the handler of one exchange works, in a
// goroutine of its own, it reads on, and begins the handlers of the requests
// that follow. Those note what they do (early.go) until their turn comes.
//
// Whatever is not plainly harmless waits: other methods, bodies, expectations,
// upgrades, HTTP/1.0, and all that is refused. It is looked at when its turn
// comes, and nothing after it before that.

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// lookahead is the handlers that work beside the one whose turn it is, on one
// connection. All but what mu guards is its goroutine's.
type lookahead struct {
	ss   *session
	gone requestContext // ends when the client goes away; all their contexts descend from it
	head head           // the next request to begin with, as far as it is parsed
	jobs []*job         // those at work, in order, without the one whose turn it is
	used int            // octets of the window that are the heads of these
	stop bool           // what follows has to wait for its turn
	deaf bool           // nothing more comes

	held    atomic.Int64 // octets of answers that wait for their turn
	running sync.WaitGroup

	mu      sync.Mutex
	turn    *job          // whose turn it is
	working bool          // the window is looked at, or read into
	rested  sync.Cond     // on mu: it is not any more
	taken   chan struct{} // closed when the connection is given to a hijacker
}

// job is one handler at work.
type job struct {
	w      *responseWriter
	size   int           // of the request's head
	over   chan struct{} // closed when the handler has returned
	failed bool          // it panicked
}

// lookAhead begins what handlers side by side need; nil when that is not wanted.
func (ss *session) lookAhead() *lookahead {
	if ss.s.Parallel < 2 || ss.s.Native != nil {
		return nil
	}
	l := &lookahead{ss: ss, taken: make(chan struct{})}
	l.rested.L = &l.mu
	l.gone.parent, l.gone.conn = ss.ctx, ss.c
	return l
}

// answer runs the handler of one exchange, or takes over from where it came to
// before its turn.
func (l *lookahead) answer(x *Exchange) {
	c := l.ss.c
	j := l.next(x)
	if j == nil {
		l.ss.answer(x)
		return
	}
	x.duplex, x.answer.sniff = false, true
	c.watchedBy(&l.gone)
	j.w.takeTurn(x)
	defer j.w.retire()
	l.await(j)
	if j.failed {
		panic(http.ErrAbortHandler) // what it was is logged
	}
	j.w.complete()
}

// next is the handler of the exchange whose turn has come: the first of those at
// work, or one begun now; nil when it has to work alone.
func (l *lookahead) next(x *Exchange) *job {
	if len(l.jobs) > 0 {
		j := l.jobs[0]
		l.jobs = l.jobs[1:]
		l.used -= j.size
		return j
	}
	l.head.reset()
	l.stop = false
	text := x.c.headText()
	if !l.harmless(&x.in.head, text) {
		return nil
	}
	return l.begin(&x.in.head, text)
}

// harmless tells whether a request may be worked on beside others (RFC 9112
// section 9.3.2): it does nothing, it has no body that would have to be read in
// its turn, and it asks for nothing that concerns the connection.
func (l *lookahead) harmless(h *head, text []byte) bool {
	if !safe(h.methodID) || h.minor == 0 || h.expect != expectNone || h.upgrade || h.form == formAsterisk {
		return false
	}
	f, code := frameRequest(h, text, l.ss.c.set.coding.has)
	return code == fault.None && (f.kind == bodyNone || f.kind == bodyLength && f.length == 0)
}

// begin starts a handler; nil when the target is no URL. After a request that
// says close there are no others.
func (l *lookahead) begin(h *head, text []byte) *job {
	w, ok := l.newEarly(h, text)
	if !ok {
		return nil
	}
	l.stop = persists(h.minor, h.options) != CloseNone
	j := &job{w: w, size: len(text), over: make(chan struct{})}
	l.running.Go(func() { l.run(j) })
	return j
}

// run is the life of a handler.
func (l *lookahead) run(j *job) {
	defer l.returned(j)
	j.failed = true
	defer func() {
		if j.failed {
			l.ss.logPanic(recover())
		}
	}()
	l.ss.s.handler().ServeHTTP(j.w, &j.w.request)
	j.failed = false
}

// returned wakes the connection's goroutine if it waits for this handler.
func (l *lookahead) returned(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(j.over)
	if l.working && l.turn == j {
		l.ss.c.stopReading()
	}
}

// await waits until the handler has returned whose turn it is, and begins with
// what comes in the meantime.
func (l *lookahead) await(j *job) {
	for l.work(j) {
		l.scan()
		more := l.mayBegin() && l.read()
		l.rest()
		if !more {
			break
		}
	}
	select {
	case <-j.over:
	case <-l.taken:
		l.abandon()
		<-j.over
	}
}

// work begins a look at what follows; false when there is nothing to wait for.
func (l *lookahead) work(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-j.over:
		return false
	case <-l.taken:
		return false
	default:
	}
	l.turn, l.working = j, true
	return true
}

// rest ends it.
func (l *lookahead) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working = false
	l.ss.c.abandoned.Store(false)
	l.rested.Broadcast()
}

// handOver is for a handler that takes the connection: from here on nobody else
// reads from it. When the connection had ended, the handler may try again.
func (l *lookahead) handOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.taken:
	default:
		close(l.taken)
	}
	if l.working {
		l.ss.c.stopReading()
	}
	for l.working {
		l.rested.Wait()
	}
}

// scan begins the handlers of the requests that the window holds.
func (l *lookahead) scan() {
	c := l.ss.c
	for l.mayBegin() {
		octets := c.win.Bytes()[l.used:]
		if len(octets) == 0 {
			return
		}
		done, code := l.head.parseRequest(octets, &c.set.limits.head)
		if !done && code == fault.None {
			return
		}
		text := octets[:l.head.pos]
		if code != fault.None || !l.harmless(&l.head, text) {
			l.stop = true
			return
		}
		j := l.begin(&l.head, text)
		if j == nil {
			l.stop = true
			return
		}
		l.jobs = append(l.jobs, j)
		l.used += j.size
		l.head.reset()
	}
}

// mayBegin tells whether one more handler may begin. A client that does not
// read its answers comes to an end here: it is not read from any more (as
// CVE-2013-4450 was mended).
func (l *lookahead) mayBegin() bool {
	c := l.ss.c
	if l.stop || l.deaf || len(l.jobs)+1 >= l.ss.s.Parallel || l.held.Load() >= c.set.limits.heldBytes {
		return false
	}
	level, _ := c.m.closing()
	return level == levelKeep && c.m.hasRoom(len(l.jobs), &c.set.policy)
}

// read reads more of what follows; false when nothing more comes.
func (l *lookahead) read() bool {
	err := l.ss.c.readAhead()
	if err == nil {
		return true
	}
	if f, ok := err.(*fault.Error); ok && f.Code == fault.Closed {
		return true // called off
	}
	l.deaf = true
	l.gone.hangup()
	return false
}

// hold counts octets of answers that wait; false when there are too many. Less
// is always granted.
func (l *lookahead) hold(n int64) bool {
	if l.held.Add(n) > l.ss.c.set.limits.heldBytes && n > 0 {
		l.held.Add(-n)
		return false
	}
	return true
}

// end is when no further exchange begins here. What was answered leaves before
// the handlers are waited for whose turn will not come.
func (l *lookahead) end() {
	if l == nil {
		return
	}
	if len(l.jobs) > 0 {
		_ = l.ss.c.flush()
	}
	l.abandon()
	l.running.Wait()
}

// abandon tells the handlers at work that their turn will not come.
func (l *lookahead) abandon() {
	for _, j := range l.jobs {
		j.w.lose()
	}
	l.jobs = nil
	l.gone.cancel(context.Canceled)
}

// safe are the methods that ask for nothing to be done (RFC 9110 section 9.2.1).
func safe(m field.Method) bool {
	switch m {
	case field.GET, field.HEAD, field.OPTIONS, field.TRACE:
		return true
	}
	return false
}
