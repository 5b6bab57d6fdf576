package poll

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// system is epoll. Its own descriptor is readable when it has events, so it
// waits in the Go runtime's poller like any other and pins no thread.
type system struct {
	file   *os.File
	rc     syscall.RawConn
	fd     int
	events [256]unix.EpollEvent
	n      int
}

func (s *system) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	// A descriptor that does not block is one that os.NewFile gives to the
	// runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	s.fd = fd
	s.file = os.NewFile(uintptr(fd), "epoll")
	s.rc, err = s.file.SyscallConn()
	return err
}

func (s *system) add(fd uintptr, slot, gen uint32, hangups bool) error {
	return s.ctl(unix.EPOLL_CTL_ADD, fd, slot, gen, !hangups)
}

// arm has epoll look anew, so that octets that are there are an event.
func (s *system) arm(fd uintptr, slot, gen uint32, on bool) error {
	return s.ctl(unix.EPOLL_CTL_MOD, fd, slot, gen, on)
}

func (s *system) ctl(op int, fd uintptr, slot, gen uint32, octets bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(slot), Pad: int32(gen)}
	if octets {
		ev.Events |= unix.EPOLLIN
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.fd, op, int(fd), &ev))
}

func (s *system) del(fd uintptr) {
	_ = unix.EpollCtl(s.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
}

// run delivers events for good.
func (s *system) run(p *Poller) {
	take := func(uintptr) bool {
		n, err := unix.EpollWait(s.fd, s.events[:], 0)
		s.n = n
		return n > 0 || err != nil && err != unix.EINTR
	}
	for {
		s.n = 0
		if err := s.rc.Read(take); err != nil {
			return // the descriptor is closed: the process ends
		}
		p.mu.Lock()
		for i := range s.events[:max(s.n, 0)] {
			ev := &s.events[i]
			var end uint32
			if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
				end = hungUp
			}
			p.happened(uint32(ev.Fd), uint32(ev.Pad), end)
		}
		p.mu.Unlock()
		p.roundDone()
	}
}
