// Package sockinfo asks the system what it knows of a TCP connection: how much
// of what was written the peer's system has acknowledged, and how long a segment
// and its acknowledgement take. It knows nothing of what the octets mean. Where
// a system cannot tell, the answers are false and the settings do nothing.
package sockinfo

import (
	"net"
	"time"
)

// Timing is how long the path takes, as the system measured it.
type Timing struct {
	RTT time.Duration // from a segment to its acknowledgement, smoothed
	RTO time.Duration // after which an unacknowledged segment is sent again
}

// Quiet is how long a connection has been silent, as the system saw it, to some
// milliseconds.
type Quiet struct {
	Octets   time.Duration // since octets came
	Segments time.Duration // since anything came, an acknowledgement or the end of the stream
}

// QuietOf tells how long a connection has been silent; false for a nil one.
func QuietOf(nc *net.TCPConn) (Quiet, bool) {
	if nc == nil {
		return Quiet{}, false
	}
	return quiet(nc)
}

// Unacked is how many of the octets written so far the peer's system has not
// acknowledged, whether they have left or not. It can be asked after the
// connection has broken, until it is closed here.
func Unacked(nc *net.TCPConn) (octets int64, ok bool) { return unacked(nc) }

// TimingOf tells how long the path takes.
func TimingOf(nc *net.TCPConn) (Timing, bool) { return timing(nc) }

// LimitUnacked gives a connection up when something it sent stays
// unacknowledged for that long (RFC 5482, TCP_USER_TIMEOUT), unless somebody has
// set such a limit before.
func LimitUnacked(nc *net.TCPConn, limit time.Duration) { limitUnacked(nc, limit) }

// LimitUnsent lets the system take no more to send, beyond what the path can
// hold, than so many octets (TCP_NOTSENT_LOWAT): a peer that does not read
// costs it no more than that.
func LimitUnsent(nc *net.TCPConn, octets int) { limitUnsent(nc, octets) }
