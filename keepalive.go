package h1

// This file is the machine at the core of Conn, Server and Transport. It
// follows one exchange after the other through the phases of its two halves,
// and keeps what persistence turns on: how many requests there were, since
// when the connection is idle, and whether, and why, it has to end.
//
// It does no I/O and asks no clock: time is an argument. It does not know
// which half is ours: the client half is the requests, the server half the
// answers, whoever reads and whoever writes them.
//
// Invariants:
//   - What the table does not allow leaves the state as it was.
//   - The close intent only climbs: keep < drain < no more < last < now. The
//     first reason stays.
//   - One verdict, asked once at the end of each exchange, decides on reuse.

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// half is a direction of messages.
type half uint8

const (
	clientHalf half = iota // requests
	serverHalf             // answers
	halves
)

// phase is how far a half is with its message.
type phase uint8

const (
	illegal        phase = iota // no phase: the table's zero cell
	phaseIdle                   // no message yet
	phaseWait                   // server half: a request's head came, a final head did not
	phaseBody                   // the head is through, the body is not
	phaseDone                   // the message is through
	phaseMaySwitch              // client half: done, and another protocol was offered
	phaseSwitched               // no HTTP from here on
	phaseClosed                 // the half has ended for good
	phases
)

var phaseNames = [phases]string{"-", "idle", "wait", "body", "done", "may-switch", "switched", "closed"}

// event is what happens to a half.
type event uint8

const (
	eventHead   event = iota // a request's head, or a final answer's
	eventInfo                // an informational (1xx) head, 101 excepted
	eventSwitch              // 101, or a 2xx to CONNECT
	eventData                // octets of a body
	eventEnd                 // the message's end
	eventEOF                 // the half's end of stream
	events
)

var eventNames = [events]string{"head", "info", "switch", "data", "end", "eof"}

// table is the whole of what may happen: table[half][phase][event] is the
// phase that follows. What is not listed is a fault.
var table = [halves][phases][events]phase{
	clientHalf: {
		// A request begins an exchange (RFC 9112 section 2.1); between exchanges
		// a side may close at any time (section 9.5, 9.6).
		phaseIdle: {eventHead: phaseBody, eventEOF: phaseClosed},
		// The body ends as its framing says (section 6.3). An end of stream
		// before that leaves it incomplete (section 8): a fault.
		phaseBody: {eventData: phaseBody, eventEnd: phaseDone},
		// The next request belongs to the next exchange (section 9.3.2). A client
		// that closes its half after a request still gets the answer (section 9.6).
		phaseDone: {eventEOF: phaseClosed},
		// The client waits for the server to take or refuse its offer (RFC 9110
		// sections 7.8 and 9.3.6).
		phaseMaySwitch: {eventEOF: phaseClosed},
		phaseClosed:    {eventEOF: phaseClosed},
	},
	serverHalf: {
		// An answer before any request is the server's word on a connection that
		// it closes, as 408 is (RFC 9110 section 15.5.9).
		phaseIdle: {eventHead: phaseBody, eventEOF: phaseClosed},
		// Any number of 1xx, then one final answer (RFC 9110 section 15.2), or the
		// change to another protocol (sections 7.8 and 9.3.6). An end of stream
		// here leaves the request unanswered: a fault.
		phaseWait: {eventHead: phaseBody, eventInfo: phaseWait, eventSwitch: phaseSwitched},
		// As for requests; a body until close ends by eventEnd when the stream
		// does (RFC 9112 section 6.3, step 8).
		phaseBody:   {eventData: phaseBody, eventEnd: phaseDone},
		phaseDone:   {eventEOF: phaseClosed},
		phaseClosed: {eventEOF: phaseClosed},
	},
}

// joint is the phases of both halves, and whether the request under way offers
// another protocol.
type joint struct {
	client, server phase
	offer          bool
}

// pack and unpack are the joint state in one word, which two goroutines may
// move: one that uploads, one that reads the answer.
func (j joint) pack() uint32 {
	word := uint32(j.client) | uint32(j.server)<<3
	if j.offer {
		word |= 1 << 6
	}
	return word
}

func unpack(word uint32) joint {
	return joint{client: phase(word & 7), server: phase(word >> 3 & 7), offer: word>>6&1 != 0}
}

// joints is how many words pack may give.
const joints = 1 << 7

// moves is next, worked out for every joint state, as on is asked four times for
// each exchange: the packed state that follows. A fault is 0, which is no state.
var moves = func() (m [halves][events][joints]uint8) {
	for word := range uint32(joints) {
		for h := range halves {
			for e := range events {
				if j, ok := next(unpack(word), h, e); ok {
					m[h][e][word] = uint8(j.pack())
				}
			}
		}
	}
	return m
}()

// next is the joint state after an event: the table, and then the rules that
// concern both halves, in order. It is pure.
func next(j joint, h half, e event) (joint, bool) {
	at := &j.client
	if h == serverHalf {
		at = &j.server
	}
	to := table[h][*at][e]
	if to == illegal || !fits(j, h, e) {
		return j, false
	}
	*at = to
	// 1. A request's head makes the server half owe an answer.
	if h == clientHalf && e == eventHead && j.server == phaseIdle {
		j.server = phaseWait
	}
	// 2. A final answer withdraws the offer: the request goes on as HTTP.
	if h == serverHalf && e == eventHead {
		j.offer = false
		if j.client == phaseMaySwitch {
			j.client = phaseDone
		}
	}
	// 3. A whole request with a standing offer waits for the server's choice.
	if j.client == phaseDone && j.offer {
		j.client = phaseMaySwitch
	}
	// 4. An offer that was taken ends HTTP on both halves, once the request is
	// whole: the octets of its body come first.
	if j.server == phaseSwitched && j.client == phaseMaySwitch {
		j.client = phaseSwitched
	}
	return j, true
}

// fits tells whether an event that its half allows is allowed by the other.
func fits(j joint, h half, e event) bool {
	switch {
	// A request after an answer that nobody asked for would be taken to be
	// answered by it (RFC 9112 section 9.2).
	case h == clientHalf && e == eventHead:
		return j.server == phaseIdle
	// A server must not switch to what the request did not offer (RFC 9110
	// sections 7.8 and 15.2.2).
	case e == eventSwitch:
		return j.offer
	}
	return true
}

// level is how strongly the connection is to be closed.
type level uint8

const (
	levelKeep   level = iota // it persists
	levelDrain               // the next answer that can still say close is the last; a silent connection is kept for a while
	levelNoMore              // no exchange begins any more; those that began, pipelined ones too, are answered
	levelLast                // the exchange whose answer is due is the last
	levelNow                 // nothing more is sent or read
)

// verdict is what becomes of a connection at the end of an exchange.
type verdict uint8

const (
	verdictReuse  verdict = iota // both halves are idle again
	verdictLinger                // all is sent; the peer may not know that nothing more is read
	verdictClose                 // nothing can be lost by closing
)

// machine is the state of one connection. Its owner is whoever holds the
// exchange; on, raise and the reading of the intent are for any goroutine.
type machine struct {
	state    atomic.Uint32 // joint, packed
	intent   atomic.Uint32 // level<<8 | reason
	requests atomic.Int64  // exchanges begun

	born   int64        // when the connection was made, by clock.Mono
	rested atomic.Int64 // its age when it came to rest; while it is busy the complement, less than 0

	answered   int64        // exchanges that ended in reuse; the one whose answer is due comes after them
	hintLast   atomic.Int64 // which exchange is the last the server will take; 0: not told
	hintWithin int32        // the server's Keep-Alive timeout in seconds, less the margin; 0: none told
	ageCut     uint16       // how much earlier than others its age is over; see ageCut
}

// open begins the life of a connection.
func (m *machine) open(now time.Time) {
	m.state.Store(joint{client: phaseIdle, server: phaseIdle}.pack())
	m.born = clock.Mono(now)
	m.rested.Store(0)
}

// on moves a half; false when the event is a fault in its phase. It is the
// only change of a phase.
func (m *machine) on(h half, e event) bool {
	for {
		word := m.state.Load()
		to := moves[h][e][word%joints]
		if to == 0 {
			return false
		}
		if m.state.CompareAndSwap(word, uint32(to)) {
			return true
		}
	}
}

// offer notes that the request whose head was just told of asks for another
// protocol: CONNECT, or Upgrade.
func (m *machine) offer() {
	for {
		word := m.state.Load()
		j := unpack(word)
		j.offer = true
		if m.state.CompareAndSwap(word, j.pack()) {
			return
		}
	}
}

// phase is where a half is.
func (m *machine) phase(h half) phase {
	j := unpack(m.state.Load())
	if h == clientHalf {
		return j.client
	}
	return j.server
}

// raise lets the close intent climb; true when it did. The first reason stays,
// whatever comes after. It is the only change of the intent.
func (m *machine) raise(l level, r CloseReason) bool {
	for {
		word := m.intent.Load()
		if l <= level(word>>8) {
			return false
		}
		if first := CloseReason(word & 0xff); first != CloseNone {
			r = first
		}
		if m.intent.CompareAndSwap(word, uint32(l)<<8|uint32(r)) {
			return true
		}
	}
}

// closing is the close intent and its reason.
func (m *machine) closing() (level, CloseReason) {
	word := m.intent.Load()
	return level(word >> 8), CloseReason(word & 0xff)
}

// answers notes that the head of an answer is about to be made. more tells that
// the next request has begun to arrive: one that was read before the client was
// told of the close is still answered, so a drain makes the answer after which
// nothing waits the last.
func (m *machine) answers(more bool) {
	if l, r := m.closing(); l == levelDrain && !more {
		m.raise(levelNoMore, r)
	}
}

// begin counts an exchange, and asks the limits, in one chain and at this one
// moment, whether it is the last.
func (m *machine) begin(now time.Time, p *policy) {
	m.stir()
	n := m.requests.Add(1)
	hinted := m.hintLast.Load()
	switch {
	case p.maxRequests > 0 && n >= p.maxRequests:
		m.raise(levelNoMore, CloseMaxRequests)
	case p.maxAge > 0 && !now.Before(m.aged(p)):
		m.raise(levelNoMore, CloseMaxAge)
	case hinted > 0 && n >= hinted:
		m.raise(levelNoMore, ClosePeerHint)
	}
}

// aged is when the connection's age is over, as far as the policy limits it.
func (m *machine) aged(p *policy) time.Time {
	return clock.At(m.born + int64(p.maxAge-p.maxAge/10/1024*time.Duration(m.ageCut)))
}

// hasRoom tells whether the limit on requests leaves one more after the next n.
func (m *machine) hasRoom(n int, p *policy) bool {
	return p.maxRequests == 0 || m.requests.Load()+int64(n) < p.maxRequests
}

// rest notes that the connection is idle from now on.
func (m *machine) rest(now time.Time) { m.rested.Store(max(0, clock.Mono(now)-m.born)) }

// stir notes that the connection is idle no more: a request's first octet came,
// or is about to be sent.
func (m *machine) stir() {
	if rested := m.rested.Load(); rested >= 0 {
		m.rested.Store(^rested)
	}
}

// idle tells whether the connection is idle.
func (m *machine) idle() bool { return m.rested.Load() >= 0 }

// idleSince is when the connection became idle, the last time.
func (m *machine) idleSince() time.Time {
	rested := m.rested.Load()
	return clock.At(m.born + max(rested, ^rested))
}

// hint takes what a server told in Keep-Alive: seconds it will wait, requests
// it will still take; negative when not told. They are hints, never promises,
// so a margin is left, and what leaves no headroom is not used at all.
//
// A client that pipelines begins exchanges while hint counts them: begin counts
// before it looks, hint tells before it looks, so one of them sees the other.
func (m *machine) hint(timeout, max int32) {
	if max >= 0 {
		last := m.answered + 1 + int64(max)
		m.hintLast.Store(last)
		if m.requests.Load() >= last {
			m.raise(levelNoMore, ClosePeerHint)
		}
	}
	if timeout < 0 {
		return
	}
	m.hintWithin = timeout - int32(hintMargin/time.Second)
	if m.hintWithin <= 0 {
		m.raise(levelNoMore, ClosePeerHint)
	}
}

// hinted is how long the server's Keep-Alive timeout lets the connection be idle;
// 0 when it told none.
func (m *machine) hinted() time.Duration { return time.Duration(m.hintWithin) * time.Second }

// hintMargin is how long before the server's advertised timeout a connection
// is given up: the server's clock started when it sent, and a request needs
// time to arrive. Node advertises one second less than it waits, undici
// subtracts two.
const hintMargin = time.Second

// idleUntil is when an idle connection has to be given up: the earliest of the
// idle timeout, the server's hint, the connection's age and the end of a drain;
// false for never. Age and drain leave a client that was just served the time
// to send its next request, whose answer then says close: a request that
// crosses a FIN on its way is lost (RFC 9112 section 9.5).
func (m *machine) idleUntil(p *policy, d *drainPlan) (time.Time, bool) {
	var until time.Time
	since := m.idleSince()
	if p.idle > 0 {
		until = since.Add(p.idle)
	}
	if hinted := m.hinted(); hinted > 0 {
		until = earlier(until, since.Add(hinted))
	}
	if p.maxAge > 0 {
		until = earlier(until, m.agedIdle(p, since))
	}
	if l, _ := m.closing(); l == levelDrain && d != nil {
		until = earlier(until, later(since, d.from).Add(d.quiet))
	}
	return until, !until.IsZero()
}

// drainPlan is how a server drains its connections: since when, and how long
// each has to be silent before it is closed.
type drainPlan struct {
	from  time.Time
	quiet time.Duration
}

// agedIdle is when a connection that is idle since then is given up for its age:
// not before it was idle for as long as the peer may count on.
func (m *machine) agedIdle(p *policy, since time.Time) time.Time {
	return later(m.aged(p), since.Add(p.patience))
}

// whyIdle is the reason for which idleUntil came, at that time.
func (m *machine) whyIdle(now time.Time, p *policy) CloseReason {
	since, hinted := m.idleSince(), m.hinted()
	switch idle := now.Sub(since); {
	case p.maxAge > 0 && !now.Before(m.agedIdle(p, since)) && (p.idle <= 0 || idle < p.idle):
		return CloseMaxAge
	case hinted > 0 && idle >= hinted && (p.idle <= 0 || idle < p.idle):
		return ClosePeerHint
	}
	return CloseIdle
}

// earlier is the earlier of two times of which either may be zero, for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// verdict ends an exchange (RFC 9112 sections 9.3 and 9.6). A connection that
// is to be reused has both halves idle again when it returns.
//
// Both messages whole and nobody wishing to close, or answers to pipelined
// requests still due: reuse. The answer whole, but the peer perhaps still
// sending (a body that is not wanted, requests sent before it learned of the
// close): linger. All else: close.
func (m *machine) verdict() verdict {
	j := unpack(m.state.Load())
	l, reason := m.closing()
	switch {
	case l == levelNow || j.server != phaseDone:
		return verdictClose
	case j.client == phaseDone && (l <= levelDrain || l == levelNoMore && m.requests.Load() > m.answered+1):
		m.answered++
		m.state.Store(joint{client: phaseIdle, server: phaseIdle}.pack())
		return verdictReuse
	case j.client == phaseDone && (reason == ClosePeerAsked || reason == CloseHTTP10):
		return verdictClose // the peer said that it sends no more
	case j.client == phaseClosed:
		return verdictClose // its end of stream was seen
	}
	return verdictLinger
}

// persists is the rule of RFC 9112 section 9.3, in its order: CloseNone when
// the connection persists after a message of that version and those options,
// as far as the message's sender is concerned.
func persists(minor uint8, o connOptions) CloseReason {
	switch {
	case o&optClose != 0:
		return ClosePeerAsked
	case minor >= 1:
		return CloseNone
	case o&optKeepAlive != 0:
		return CloseNone
	}
	return CloseHTTP10
}

// RequestHead is a request's head as a server got it; an *Exchange is one. All
// that it gives is lent until the function it was passed to returns.
type RequestHead interface {
	Method() []byte            // as it was sent
	Target() []byte            // the request target as it was sent
	Path() []byte              // the target's path, still percent-encoded
	Host() []byte              // the authority the request is for
	Proto() (major, minor int) // the version
	Field(name string) []byte  // the first field of that name; nil when there is none
}

// KeepAlive is how long and how often connections are used, on either side. In
// every field zero means the default named there and a negative value none.
type KeepAlive struct {
	// MaxRequests is how many requests a connection carries; the answer to the
	// last one says close (nginx keepalive_requests). Default 100000: nginx's
	// 1000 bounds memory that it keeps for each connection until its end, and h1
	// keeps none, so that a number is left only to let load move now and then.
	MaxRequests int

	// MaxAge is how long a connection may live; the first exchange after that is
	// the last (nginx keepalive_time). Default 1 h, as nginx. For each connection
	// it is shortened by up to a tenth, spread evenly, so that connections that
	// were made together do not end together.
	//
	// A server says close in that exchange's answer and, as nginx, does not close
	// an idle connection for its age, since a request may be on its way: it waits
	// for IdleTimeout, or for 75 s where there is none. A client, who knows that
	// it has nothing to send, closes an idle connection at once.
	MaxAge time.Duration

	// IdleTimeout is how long a connection may be idle between two exchanges.
	// Default 75 s on a server (nginx keepalive_timeout; load balancers give up
	// theirs at 60 s, and the server should be the later one) and 60 s on a
	// client (nginx upstream keepalive_timeout; below the 75 s of servers).
	// Server.IdleTimeout and Transport.IdleConnTimeout, when set, take its place.
	IdleTimeout time.Duration

	// MinIdle is how long an idle connection is kept at the least when it is the
	// server that wishes to close it: by Shutdown, by SetKeepAlivesEnabled(false),
	// or to make room, for which no more than 500 ms of it count (nginx
	// keepalive_min_timeout). The time counts from the end of the last exchange, through a drain from the drain's begin. A
	// request that comes in that time is answered, with `Connection: close`, so
	// that a client in use is told and not cut. Default 500 ms on a server: longer
	// than the pauses of a busy client, and short enough for a Shutdown to end
	// within a second (nginx has none by default). Behind a load balancer choose
	// it longer than the balancer keeps an idle connection to the server: then no
	// connection is closed under it at all. A client has none.
	MinIdle time.Duration

	// Disable, when it says true for a request, makes its answer the last on the
	// connection, as for clients that are known to mishandle persistence (nginx
	// keepalive_disable) or for requests that load is to move after. It is called
	// once the request's head is read, by the goroutine that serves the
	// connection, for native and net/http handlers alike. A client does not ask
	// it.
	Disable func(RequestHead) bool

	// Advertise sends `Keep-Alive: timeout=, max=` with each answer that leaves
	// the connection open (nginx: the second argument of keepalive_timeout). The
	// fields are hints: clients may heed them, and lose fewer requests to the
	// race between their next request and the server's idle timeout.
	Advertise bool

	// AdvertiseTimeout is the timeout told to clients. Default: a fifteenth less
	// than IdleTimeout, and at least a second less, since the client's clock
	// starts when the answer arrives and its request needs time to come. Negative
	// means that only max= is told.
	AdvertiseTimeout time.Duration
}

// policy is a KeepAlive with every default in its place; 0 is none.
type policy struct {
	maxRequests  int64
	maxAge, idle time.Duration
	minIdle      time.Duration
	advertise    bool
	tell         time.Duration
	patience     time.Duration          // how long a connection whose age is over is kept idle
	disable      func(RequestHead) bool // may be nil
}

func (k KeepAlive) resolve(client bool) policy {
	idle, minIdle := 75*time.Second, 500*time.Millisecond
	if client {
		idle, minIdle = 60*time.Second, 0
	}
	p := policy{
		maxRequests: int64(pick(k.MaxRequests, 100_000, 0)),
		maxAge:      pick(k.MaxAge, time.Hour, 0),
		idle:        pick(k.IdleTimeout, idle, 0),
		minIdle:     pick(k.MinIdle, minIdle, 0),
		advertise:   k.Advertise,
		disable:     k.Disable,
	}
	p.tell = pick(k.AdvertiseTimeout, max(0, p.idle-max(p.idle/15, time.Second)), 0)
	switch {
	case client:
	case p.idle > 0:
		p.patience = p.idle
	default:
		p.patience = max(idle, p.tell+time.Second)
	}
	return p
}

// ageCut is how much earlier than others the nth connection's age is over: up to
// a tenth, in 1024th parts of that. Multiples of the golden ratio, the whole taken
// off, lie apart as evenly as can be however many there are, and need no random
// number.
func ageCut(n uint64) uint16 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return uint16(n * golden >> 54)
}

// appendKeepAlive adds the value of a Keep-Alive field: the seconds the server
// will wait and the requests it will still take, which count down. A part
// without limit is left out.
func appendKeepAlive(dst []byte, m *machine, p *policy) []byte {
	seconds := int64(p.tell / time.Second)
	if seconds > 0 {
		dst = append(dst, "timeout="...)
		dst = strconv.AppendInt(dst, seconds, 10)
	}
	if p.maxRequests > 0 {
		if seconds > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, "max="...)
		dst = strconv.AppendInt(dst, max(p.maxRequests-m.requests.Load(), 0), 10)
	}
	return dst
}

// advertises tells whether a Keep-Alive field would say anything.
func (p *policy) advertises() bool {
	return p.advertise && (p.tell >= time.Second || p.maxRequests > 0)
}
