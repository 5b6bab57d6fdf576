package sockinfo

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// control does something with the descriptor of a connection; false when the
// connection is closed, or the system does not do it.
func control(nc *net.TCPConn, do func(fd int) error) bool {
	rc, err := nc.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = rc.Control(func(fd uintptr) { failed = do(int(fd)) })
	return err == nil && failed == nil
}

// unacked asks SIOCOUTQ, which is the distance between the last octet written
// and the last one acknowledged. A reset drops the octets and leaves both marks
// where they were. Multipath TCP counts otherwise, as an acknowledgement on one
// path says nothing of the stream.
func unacked(nc *net.TCPConn) (octets int64, ok bool) {
	if multi, err := nc.MultipathTCP(); err != nil || multi {
		return 0, false
	}
	ok = control(nc, func(fd int) error {
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		octets = int64(n)
		return err
	})
	return octets, ok
}

func timing(nc *net.TCPConn) (t Timing, ok bool) {
	info := tcpInfo(nc)
	if info == nil {
		return t, false
	}
	t.RTT = time.Duration(info.Rtt) * time.Microsecond
	t.RTO = time.Duration(info.Rto) * time.Microsecond
	return t, true
}

func quiet(nc *net.TCPConn) (q Quiet, ok bool) {
	info := tcpInfo(nc)
	if info == nil {
		return q, false
	}
	q.Octets = time.Duration(info.Last_data_recv) * time.Millisecond
	q.Segments = time.Duration(info.Last_ack_recv) * time.Millisecond
	return q, true
}

// tcpInfo is all that the system tells; nil when it does not.
func tcpInfo(nc *net.TCPConn) (info *unix.TCPInfo) {
	control(nc, func(fd int) (err error) {
		info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	})
	return info
}

func limitUnacked(nc *net.TCPConn, limit time.Duration) {
	control(nc, func(fd int) error {
		set, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil || set != 0 {
			return err
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit/time.Millisecond))
	})
}

func limitUnsent(nc *net.TCPConn, octets int) {
	control(nc, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, octets)
	})
}
