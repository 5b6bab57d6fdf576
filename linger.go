package h1

// This file closes connections in stages. A close while octets are unread, or
// come later, is a reset, and a reset can reach the peer's program before the
// last answer does (RFC 9112 section 9.6). So where the peer may still be sending,
// this end sends its FIN and drops what comes, until there is evidence that
// nothing can be lost: the peer's own FIN, or silence after its system has
// acknowledged all of the answer. Time and octets are budgeted, and a connection
// that lingers at the poller holds no goroutine.

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/sockinfo"
)

// lingering is what is left of the budgets of a lingering close.
type lingering struct {
	on    bool
	left  int64     // octets
	end   time.Time // the end of the time
	heard time.Time // when the peer sent last
}

// How long a silence is evidence.
const (
	// quietAcked is for a peer whose system has acknowledged everything: it has
	// the answer and the FIN, and sends nothing that could meet a reset.
	quietAcked = time.Second
	// quietUnacked is for all others (nginx lingering_timeout).
	quietUnacked = 5 * time.Second
)

// closeStaged ends a connection as the verdict says: what is pending is sent,
// and the close lingers when the peer may still be sending. The error is
// errParked when that goes on at the poller, io.EOF when the connection is over.
func (c *Conn) closeStaged(v verdict) error {
	if !c.ended.Load() && c.flush() == nil && c.maySend(v) && c.sendFIN() {
		return c.linger()
	}
	return c.closeNow()
}

// maySend tells whether the peer may have sent, or still send, what nobody reads.
func (c *Conn) maySend(v verdict) bool {
	if level, _ := c.m.closing(); level == levelNow {
		return false
	}
	return v == verdictLinger || c.win.Len() > 0 || c.pk.on.Load() && (!c.pk.drained || c.pk.Signaled())
}

func (c *Conn) closeNow() error {
	_ = c.abort(CloseLocalAsked, nil)
	c.recycle()
	return io.EOF
}

// sendFIN ends this end's half and begins to linger; false when there is no
// such thing, or no wish to.
func (c *Conn) sendFIN() bool {
	l := &c.set.limits
	carrier, ok := under(c.nc).(interface{ CloseWrite() error })
	if !ok || l.lingerTime <= 0 {
		return false
	}
	// Whoever has seen the FIN may count on it that the connection lingers.
	c.lingers.Store(true)
	if c.pk.owner != nil {
		c.pk.owner.lingering()
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		_ = t.CloseWrite() // says so within TLS; fails before the handshake is done
	}
	if carrier.CloseWrite() != nil {
		return false
	}
	c.now = clock.Now()
	c.lingering = lingering{on: true, left: l.lingerBytes, end: c.now.Add(l.lingerTime), heard: c.now}
	c.releaseExchange()
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.win.Drop(false)
	c.releaseBuffers()
	return true
}

// makeWay ends an idle connection for the sake of others. One that lingers
// carries no request any more, and is the first to go.
func (c *Conn) makeWay() {
	if c.lingers.Load() {
		_ = c.abort(CloseReclaimed, nil)
		return
	}
	c.last(CloseReclaimed)
}

// under is the connection that carries the octets of nc: the one under TLS. What
// is dropped need not be decrypted.
func under(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if s, ok := nc.(*recordSource); ok {
		nc = s.Conn
	}
	return nc
}

// linger drops what comes until the evidence, or the budgets, end it. The error
// is as with closeStaged; after errParked it is called again.
func (c *Conn) linger() error {
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	for c.lingering.left > 0 && c.now.Before(c.lingerEnd()) && !c.ended.Load() {
		n, err := c.discard(b[:])
		if err == errParked {
			return err
		}
		if err != nil {
			break
		}
		c.lingering.left -= int64(n)
		c.lingering.heard = c.now
	}
	return c.closeNow()
}

// discard reads what is there, or waits for it. The error is errParked, or says
// that the lingering is over.
func (c *Conn) discard(p []byte) (n int, err error) {
	for {
		before := c.outlook()
		if !c.pk.on.Load() {
			n, err = c.blockToDiscard(p)
		} else if !c.pk.drained || c.pk.Signaled() || c.pk.Ending() {
			n, err = c.tryRead(p)
		}
		c.now = clock.Now()
		if isTimeout(err) { // of the blocking read: how long is enough is decided below
			err = nil
		}
		if c.bytesIn.Add(int64(n)); n > 0 || err != nil {
			return n, err
		}
		by := c.lingerUntil()
		if before.ended || !c.now.Before(by) {
			return 0, os.ErrDeadlineExceeded
		}
		if c.pk.on.Load() {
			if c.setUntil(by); c.parkWith(before) {
				return 0, errParked
			}
		}
	}
}

// blockToDiscard is for a connection that is not at the poller.
func (c *Conn) blockToDiscard(p []byte) (int, error) {
	by := c.lingerUntil()
	c.readArmed = by
	_ = c.nc.SetReadDeadline(by)
	return under(c.nc).Read(p)
}

// lingerUntil is when the present silence will have been long enough.
func (c *Conn) lingerUntil() time.Time {
	quiet := quietUnacked
	if n, ok := c.unacked(); ok && (n == 0 || c.now.Sub(c.lingering.heard) < quietAcked) {
		quiet = quietAcked // when it is over, it is asked again
	}
	return earlier(c.lingering.heard.Add(quiet), c.lingerEnd())
}

// lingerDraining is how long a peer that goes on sending holds up a drain.
const lingerDraining = time.Second

// lingerEnd is when the lingering is over whatever the peer does.
func (c *Conn) lingerEnd() time.Time {
	end := c.lingering.end
	if plan := c.set.drain.Load(); plan != nil {
		began := end.Add(-c.set.limits.lingerTime)
		end = earlier(end, later(began, plan.from).Add(lingerDraining))
	}
	return end
}

// unacked is how much of the answer, and of the FIN, the peer's system has not
// acknowledged, where that can be told.
func (c *Conn) unacked() (int64, bool) {
	tcp, ok := under(c.nc).(*net.TCPConn)
	if !ok {
		return 0, false
	}
	return sockinfo.Unacked(tcp)
}
