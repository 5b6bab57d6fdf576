package main

// What deep parking could save: an idle socket taken out of its net.Conn, of which nothing is left but the descriptor in an
// epoll set and as much memory as h1 keeps for an idle connection of its own.

import (
	"crypto/tls"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// bareServer is the floor of deep parking.
var bareServer = server{
	name:     "bare",
	note:     "the floor of deep parking: answers once, then keeps the descriptor without its net.Conn, and h1's 440 octets",
	floor:    true,
	idleOnly: true,
	noTLS:    true,
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		answer := newCanned(w).answer
		set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		var mu sync.Mutex
		var kept []*bare
		return acceptAll(tlsConfig, ready, func(nc net.Conn) {
			if !answerOnce(nc, answer) {
				return
			}
			b, err := strip(nc, set)
			if err != nil {
				return
			}
			mu.Lock()
			kept = append(kept, b)
			mu.Unlock()
		})
	},
}

// bare is a socket without a net.Conn.
type bare struct {
	fd    int
	state [440]byte // what h1 keeps for an idle connection beside its net.Conn
}

// strip takes a socket out of its net.Conn, which is closed: the socket lives on under another descriptor.
func strip(nc net.Conn, set int) (*bare, error) {
	defer nc.Close()
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &bare{fd: -1}
	failed := rc.Control(func(fd uintptr) {
		b.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(b.fd)}
	return b, unix.EpollCtl(set, unix.EPOLL_CTL_ADD, b.fd, &ev)
}
