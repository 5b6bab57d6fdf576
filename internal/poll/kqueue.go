//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package poll

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// system is kqueue. One thread waits in kevent itself: a kqueue inside the
// runtime's kqueue does not wake on all of these systems.
//
// An event names a descriptor only, as user data is a pointer on most of these
// systems and a number must not pose as one. So an event that was fetched
// before its descriptor was closed and used again can reach the new handle. It
// then is no more than a wake-up for nothing: its end-of-file mark is believed
// only for handles that are older than the fetch.
type system struct {
	fd int

	mu    sync.Mutex
	byFD  map[uintptr]ref
	round uint64 // fetches so far
}

// ref is where a descriptor's handle is.
type ref struct {
	slot, gen uint32
	round     uint64 // when it was added
}

func (s *system) open() error {
	fd, err := unix.Kqueue()
	if err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(fd)
	s.fd, s.byFD = fd, map[uintptr]ref{}
	return nil
}

// add asks for edges (EV_CLEAR) of readability, which include the peer's FIN
// (EV_EOF). There is no asking for that alone.
func (s *system) add(fd uintptr, slot, gen uint32, _ bool) error {
	s.mu.Lock()
	s.byFD[fd] = ref{slot, gen, s.round}
	s.mu.Unlock()
	return s.change(fd, unix.EV_ADD|unix.EV_CLEAR)
}

// arm has nothing to do: octets are events all the time.
func (*system) arm(uintptr, uint32, uint32, bool) error { return nil }

func (s *system) del(fd uintptr) { _ = s.change(fd, unix.EV_DELETE) }

func (s *system) change(fd uintptr, flags int) error {
	var ev [1]unix.Kevent_t
	unix.SetKevent(&ev[0], int(fd), unix.EVFILT_READ, flags)
	_, err := unix.Kevent(s.fd, ev[:], nil, nil)
	return os.NewSyscallError("kevent", err)
}

// run delivers events for good.
func (s *system) run(p *Poller) {
	var events [256]unix.Kevent_t
	for {
		n, err := unix.Kevent(s.fd, nil, events[:], nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return // the descriptor is closed: the process ends
		}
		p.mu.Lock()
		s.mu.Lock()
		for i := range events[:n] {
			if r, ok := s.byFD[uintptr(events[i].Ident)]; ok {
				p.happened(r.slot, r.gen, s.endOf(&events[i], r))
			}
		}
		s.round++
		s.mu.Unlock()
		p.mu.Unlock()
		p.roundDone()
	}
}

// endOf is what an event says of the end of the peer behind r; mu is held.
func (s *system) endOf(ev *unix.Kevent_t, r ref) uint32 {
	switch {
	case ev.Flags&unix.EV_EOF == 0:
		return 0
	case r.round < s.round:
		return hungUp
	}
	return perhaps
}
