package h1

// This file bounds how many connections a Server has: in all, from one source,
// and as far as descriptors last. Where there is no room for one more, the
// connection that is idle for longest makes some, as nginx's reusable
// connections do; an exchange is never cut for it.

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/clock"
)

// room is what a Server knows of the places it has for connections.
type room struct {
	wanted atomic.Bool   // somebody waits, and nobody idle was found: the next request's answer says close
	ended  chan struct{} // rung when a connection ended

	mu      sync.Mutex
	open    int                 // places taken; counted where Server.MaxConns limits them
	sources map[sourceKey]int   // how many each source has; made where Server.MaxConnsPerSource limits them
	of      map[*Conn]sourceKey // whose place it is
	idle    []idler             // the longest idle ones, as of the last look at all
	lingers map[*Conn]bool      // those whose close is under way: they carry no request any more; true: asked to make room
	leaving int                 // how many of them were asked
}

// sourceKey is whom connections are counted for.
type sourceKey struct {
	addr netip.Addr // an IPv4 address, or an IPv6 network of 64 bits
	name string     // what Server.Source gave
}

// idler is a connection that was seen idle.
type idler struct {
	c     *Conn
	since int64 // by clock.Mono
}

// admission is what becomes of a connection that was accepted.
type admission uint8

const (
	admitted   admission = iota
	turnedAway           // it is answered with 503 and closed
	cutOff               // it is closed without a word
)

// admit finds a place for an accepted connection; it may wait for one. A
// source's surplus never makes others lose their place.
func (s *Server) admit(nc net.Conn) (sourceKey, admission) {
	var src sourceKey
	a := admitted
	if s.MaxConnsPerSource > 0 {
		src = s.sourceOf(nc)
		a = s.room.claim(src, s.MaxConnsPerSource)
	}
	switch {
	case s.MaxConns <= 0 || a == cutOff:
	case a == admitted:
		s.enter()
	case !s.room.take(s.MaxConns):
		s.room.disclaim(src)
		a = cutOff
	}
	return src, a
}

// enter takes a place, and waits for one where there is none. A server that
// stops takes in whom it has accepted, over its limit if need be.
func (s *Server) enter() {
	limit := s.MaxConns
	for !s.room.take(limit) {
		if s.stopping.Load() {
			limit++
			continue
		}
		s.awaitRoom(s.makeRoom(1))
	}
}

// lookAgain is how long to wait for room that was asked for before it is asked
// for again: who was asked may be busy for long.
const lookAgain = 10 * time.Millisecond

// idleEnough is how long a connection has to be idle to make room, where
// KeepAlive.MinIdle is longer: those who wait for its place count too.
const idleEnough = 500 * time.Millisecond

// makeRoom asks the n connections that are idle for longest to close, and gives
// the time after which to ask again. Those that lingered and were asked count
// among them until they have gone, which they will. A connection that became idle
// just now is left alone, as its client may be about to send; where there are no
// others, the next request's answer is its connection's last.
func (s *Server) makeRoom(n int) time.Duration {
	now, enough := clock.Now(), min(s.set.policy.minIdle, idleEnough)
	for range n - s.room.coming() {
		longest := s.longestIdle()
		if longest.c == nil || now.Sub(clock.At(longest.since)) < enough {
			s.room.wanted.Store(true)
			break
		}
		longest.c.makeWay()
	}
	// To look at all connections may take a while, of which this is a small part.
	return lookAgain + time.Duration(s.room.many())*time.Microsecond
}

// longestIdle is the connection that is idle for longest; the zero idler when
// none is idle. One that lingers was never of less use, however late it began
// (nginx takes those first since 1.19.7).
func (s *Server) longestIdle() idler {
	if c := s.room.anyLingering(); c != nil {
		return idler{c, clock.Mono(longAgo)}
	}
	if i := s.room.stillIdle(); i.c != nil {
		return i
	}
	var all []idler
	for _, c := range s.live() {
		if since, ok := c.idleAt(); ok {
			all = append(all, idler{c, clock.Mono(since)})
		}
	}
	slices.SortFunc(all, func(a, b idler) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.c.id, b.c.id))
	})
	s.room.keep(all)
	return s.room.stillIdle()
}

// lingering notes that a connection's close is under way.
func (r *room) lingering(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lingers == nil {
		r.lingers = map[*Conn]bool{}
	}
	if _, known := r.lingers[c]; !known {
		r.lingers[c] = false
	}
}

// anyLingering gives one of those that linger, to be asked; nil when there is none
// that was not.
func (r *room) anyLingering() *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, asked := range r.lingers {
		if !asked {
			r.lingers[c] = true
			r.leaving++
			return c
		}
	}
	return nil
}

// coming is how many places are about to be free: their connections lingered and
// were closed, and nothing holds them up.
func (r *room) coming() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving
}

// stillIdle is the first of those last seen idle that has been idle ever since:
// whoever is not among them became idle later.
func (r *room) stillIdle() idler {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.idle) > 0 {
		first := r.idle[0]
		if since, ok := first.c.idleAt(); ok && clock.Mono(since) == first.since {
			return first
		}
		r.idle[0] = idler{}
		r.idle = r.idle[1:]
	}
	r.idle = nil
	return idler{}
}

// keep remembers the longest idle ones: enough of them that the look at all
// connections costs little for each, and few, as they are kept in memory.
func (r *room) keep(all []idler) {
	few := all[:min(len(all), 32+len(all)/8)]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = slices.Clone(few)
}

func (r *room) take(limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open >= limit {
		return false
	}
	r.open++
	r.wanted.Store(false) // another who waits says so again
	return true
}

func (r *room) many() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// claim counts a connection for its source. Past the limit as many again are
// turned away with a word; who comes after them is worth none.
func (r *room) claim(src sourceKey, limit int) admission {
	if src == (sourceKey{}) {
		return admitted
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.sources[src]
	if n >= 2*limit {
		return cutOff
	}
	if r.sources == nil {
		r.sources, r.of = map[sourceKey]int{}, map[*Conn]sourceKey{}
	}
	r.sources[src] = n + 1
	if n >= limit {
		return turnedAway
	}
	return admitted
}

func (r *room) disclaim(src sourceKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disclaimLocked(src)
}

func (r *room) disclaimLocked(src sourceKey) {
	if r.sources[src]--; r.sources[src] <= 0 {
		delete(r.sources, src)
	}
}

// settle notes whose connection it is that took a place.
func (r *room) settle(c *Conn, src sourceKey) {
	if src == (sourceKey{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[c] = src
}

// leave gives a connection's place back.
func (r *room) leave(c *Conn) {
	r.mu.Lock()
	if r.open > 0 {
		r.open--
	}
	if src, ok := r.of[c]; ok {
		delete(r.of, c)
		r.disclaimLocked(src)
	}
	if r.lingers[c] {
		r.leaving--
	}
	delete(r.lingers, c)
	r.mu.Unlock()
	r.ring()
}

// ring wakes one who waits for room.
func (r *room) ring() {
	select {
	case r.ended <- struct{}{}:
	default:
	}
}

// awaitRoom returns when a connection ended, when the server stops, or after d.
func (s *Server) awaitRoom(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.room.ended:
		if s.stopping.Load() {
			s.room.ring() // for the next who waits
		}
	case <-timer.C:
	}
}

// yields tells whether the connection whose request just came is to make room.
func (r *room) yields() bool {
	return r.wanted.Load() && r.wanted.CompareAndSwap(true, false)
}

// sourceOf names the source of a connection; the zero key is not limited.
func (s *Server) sourceOf(nc net.Conn) sourceKey {
	if s.Source != nil {
		return sourceKey{name: s.Source(nc)}
	}
	var addr netip.Addr
	switch a := nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		addr = a.AddrPort().Addr()
	case nil:
		return sourceKey{}
	default:
		ap, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return sourceKey{}
		}
		addr = ap.Addr()
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		addr = netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return sourceKey{addr: addr}
}

// accept is l's Accept, again and again for as long as it fails for want of
// something that may come back. Nobody who waits to be accepted is lost.
func (s *Server) accept(l net.Listener) (net.Conn, error) {
	var backoff time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			if backoff > 0 {
				s.room.wanted.Store(false)
			}
			return nc, nil
		}
		if t, ok := errors.AsType[net.Error](err); s.stopping.Load() || !ok || !isTemporary(t) {
			return nil, err
		}
		s.acceptFailed(err)
		if outOfDescriptors(err) {
			s.makeRoom(reclaimAtOnce)
		}
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		s.awaitRoom(backoff)
	}
}

// reclaimAtOnce is how many connections are closed when accepting fails for want
// of a descriptor; nginx's number.
const reclaimAtOnce = 32

// isTemporary tells whether accepting may work again later, as when
// descriptors ran out; the standard library has no newer word for it.
func isTemporary(err net.Error) bool {
	//lint:ignore SA1019 accept errors are what it was kept for
	return err.Temporary()
}

// outOfDescriptors tells whether accepting failed because this process, or the
// system, has no descriptor left.
func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// quietMinute is how long accepting has to go well before a failure is news.
const quietMinute = time.Minute

// acceptFailed counts a failure, and logs the first of a run.
func (s *Server) acceptFailed(err error) {
	now := clock.Now()
	s.mu.Lock()
	s.counts.acceptErrors++
	news := s.failed.IsZero() || now.Sub(s.failed) > quietMinute
	s.failed = now
	s.mu.Unlock()
	if news {
		s.logf("h1: accept failed: %v; it is tried again, and not told again before it has gone well for %v", err, quietMinute)
	}
}
