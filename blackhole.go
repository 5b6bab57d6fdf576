package h1

// This file notices that a connection leads nowhere. A router that forgot a
// connection, or a machine that is gone, drops what is sent without a word, and
// the system tries again for minutes. On a connection that was idle for long a
// request looks once, after a time in which it should have been acknowledged,
// and moves to a fresh connection if it was not.

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/sockinfo"
)

// longIdle is from which idle age on a connection's path is in doubt. Load
// balancers and address translators forget connections after minutes; the look
// costs a timer, which a busy connection should not have to pay.
const longIdle = time.Second

// sureLost is how many times the system's own time for an acknowledgement passes
// before a path is given up: the system has sent the request a second time by
// then, and that had as much time as the first.
const sureLost = 2

// holeWatch looks at a connection once, some time after a request was sent.
type holeWatch struct {
	r     *trip
	timer *time.Timer

	mu   sync.Mutex
	over bool // the exchange is over, or has moved
}

// watchHole watches the path of a request that may be sent again. One that may
// not be is left to the system: what it has sent may still arrive.
func (r *trip) watchHole() *holeWatch {
	if r.idle < longIdle || r.resent || !r.ask.replayable {
		return nil
	}
	tcp := r.pc.c.client.wire.tcp
	if tcp == nil {
		return nil
	}
	timing, ok := sockinfo.TimingOf(tcp)
	if !ok {
		return nil
	}
	w := &holeWatch{r: r}
	w.timer = time.AfterFunc(sureLost*timing.RTO, w.look)
	return w
}

// look ends the connection if not one octet of the request was acknowledged. The
// lock keeps the connection the request's own for so long.
func (w *holeWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	c, tcp := w.r.pc.c, w.r.pc.c.client.wire.tcp
	left, ok := sockinfo.Unacked(tcp)
	written := c.wireOut() - w.r.wireOut // asked second: it may only have grown
	if !ok || written == 0 || left < written {
		return
	}
	_ = tcp.SetLinger(0) // what is left of it is not to arrive later
	c.fail(CloseBlackHole, fault.New(fault.Unacknowledged, fault.Server, c.doing(waitAnswer)))
}

// stop ends the watch, before the connection may be another request's.
func (w *holeWatch) stop() {
	if w == nil {
		return
	}
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// leadsNowhere tells whether an error says that the path took nothing, which
// says nothing of when the server closes.
func leadsNowhere(err error) bool {
	return errors.Is(err, fault.Unacknowledged) || errors.Is(err, syscall.ETIMEDOUT)
}

// limitUnacked has the system give a connection up that leads nowhere.
func (t *Transport) limitUnacked(raw net.Conn) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		if limit := pick(t.UnackedTimeout, defaultUnackedTimeout, 0); limit > 0 {
			sockinfo.LimitUnacked(tcp, limit)
		}
	}
}
