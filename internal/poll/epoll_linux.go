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

// run delivers events for good. It stays within one call of RawConn.Read, which
// waits whenever the callback is false: what the runtime's poller tells meanwhile
// is not forgotten, so that nobody has to ask in vain before each wait.
func (s *system) run(p *Poller) {
	_ = s.rc.Read(func(fd uintptr) bool { // an error means that the descriptor is closed: the process ends
		for {
			n, errno := pending(fd, s.events[:])
			switch {
			case errno == unix.EINTR:
				continue
			case errno != 0:
				return true
			}
			s.round(p, s.events[:n])
			if n < len(s.events) {
				return false // of what comes from here on the runtime's poller tells
			}
		}
	})
}

// round delivers events.
func (s *system) round(p *Poller, events []unix.EpollEvent) {
	if len(events) == 0 {
		return
	}
	p.mu.Lock()
	for i := range events {
		ev := &events[i]
		var end uint32
		if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			end = hungUp
		}
		p.happened(uint32(ev.Fd), uint32(ev.Pad), end)
	}
	p.mu.Unlock()
	p.roundDone()
}
