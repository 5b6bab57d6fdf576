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
	events [256]unix.EpollEvent // Poller.looking guards it
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
	_ = s.rc.Read(func(uintptr) bool { // an error means that the descriptor is closed: the process ends
		p.looking.Lock()
		defer p.looking.Unlock()
		for {
			n, errno := s.look(p)
			if errno != 0 && errno != unix.EINTR {
				return true
			}
			p.roundDone(p.deliver)
			if errno == 0 && n < len(s.events) {
				return false // of what comes from here on the runtime's poller tells
			}
		}
	})
}

// look takes the events that are there; p.looking is held.
func (s *system) look(p *Poller) (int, syscall.Errno) {
	n, errno := pending(uintptr(s.fd), s.events[:])
	if n == 0 {
		return 0, errno
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range s.events[:n] {
		ev := &s.events[i]
		var end uint32
		if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			end = hungUp
		}
		p.happened(uint32(ev.Fd), uint32(ev.Pad), end)
	}
	return n, 0
}
