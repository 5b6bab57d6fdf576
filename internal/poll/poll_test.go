//go:build linux

package poll

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// waiter counts what it is told.
type waiter struct {
	Handle
	nc     net.Conn
	rc     syscall.RawConn
	woken  chan *waiter
	hangup chan struct{}
}

func (w *waiter) Hangup() { close(w.hangup) }

func newPoller(t *testing.T) *Poller {
	p, err := New(func(batch []Waiter) {
		for _, w := range batch {
			w := w.(*waiter)
			w.woken <- w
		}
	})
	require.NoError(t, err)
	return p
}

// pair is two ends of a TCP connection over loopback; the second is added.
func pair(t *testing.T, p *Poller) (net.Conn, *waiter) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	w := &waiter{nc: b, woken: make(chan *waiter, 1), hangup: make(chan struct{})}
	w.rc, err = b.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, p.Add(&w.Handle, w, w.rc, Held))
	require.True(t, w.Park())
	return a, w
}

// tryRead is one read that does not wait.
func (w *waiter) tryRead(t *testing.T) string {
	t.Helper()
	var b [64]byte
	var n int
	require.NoError(t, w.rc.Read(func(fd uintptr) bool {
		n, _ = syscall.Read(int(fd), b[:])
		return true
	}))
	return string(b[:max(n, 0)])
}

// park clears, reads and parks until there is nothing to read.
func (w *waiter) park(t *testing.T) (got string) {
	t.Helper()
	for {
		w.Clear()
		got += w.tryRead(t)
		if w.Park() {
			return got
		}
	}
}

func TestAParkedHandleIsWokenByOctets(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	require.Empty(t, w.park(t))
	_, err := a.Write([]byte("x"))
	require.NoError(t, err)
	require.Same(t, w, <-w.woken)
	require.False(t, w.Parked())
	require.Equal(t, "x", w.park(t))
}

func TestParkRefusesWhenSomethingCameInBetween(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	w.Clear()
	_, err := a.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, w.Signaled, 5*time.Second, time.Millisecond)
	require.False(t, w.Park())
	require.Equal(t, "x", w.park(t))
}

func TestOfAllWhoWakeOneSucceeds(t *testing.T) {
	p := newPoller(t)
	_, w := pair(t, p)
	for range 1000 {
		w.park(t)
		var won atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if w.Unpark() {
					won.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
	}
}

func TestHangupIsToldWhetherParkedOrNot(t *testing.T) {
	for _, parked := range []bool{false, true} {
		p := newPoller(t)
		a, w := pair(t, p)
		if parked {
			w.park(t)
		}
		_, err := a.Write([]byte("unread"))
		require.NoError(t, err)
		require.NoError(t, a.(*net.TCPConn).CloseWrite())
		<-w.hangup
		require.True(t, w.HungUp())
		if parked {
			<-w.woken
		}
	}
}

// A descriptor number is used again as soon as it is closed. What was on its
// way for the old connection must not wake, or hang up, the new one.
func TestStaleEventsNeverReachTheNextOwnerOfADescriptor(t *testing.T) {
	p := &Poller{} // events are told by the test
	var h Handle
	w := &waiter{woken: make(chan *waiter, 1), hangup: make(chan struct{})}
	for p.slots.take(&h, w); h.gen < 7; p.slots.take(&h, w) {
		p.slots.giveBack(&h)
	}
	require.True(t, h.Park())
	p.happened(0, 6, hungUp) // of the generation before
	p.happened(9, 1, hungUp) // of no slot at all
	require.True(t, h.Parked())
	require.False(t, h.HungUp())
	p.happened(0, 7, 0)
	require.False(t, h.Parked())
}

func TestRemovedHandlesHearNothing(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	w.park(t)
	p.Remove(&w.Handle, w.rc)
	require.Zero(t, p.Len())
	_, err := a.Write([]byte("x"))
	require.NoError(t, err)
	b, v := pair(t, p) // takes the same slot
	v.park(t)
	_, err = b.Write([]byte("y"))
	require.NoError(t, err)
	require.Same(t, v, <-v.woken)
	require.True(t, w.Parked(), "the removed handle is as it was")
	p.Remove(&w.Handle, w.rc) // twice does no harm
}

func TestHangupsOnlyWakesForNothingElse(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	p.Remove(&w.Handle, w.rc)
	require.NoError(t, p.Add(&w.Handle, w, w.rc, Hangups))
	_, err := a.Write([]byte("x"))
	require.NoError(t, err)
	var b [8]byte
	_, err = w.nc.Read(b[:])
	require.NoError(t, err)
	require.False(t, w.Signaled())
	require.NoError(t, a.Close())
	<-w.hangup
}

// receiver is a waiter that is told of what arrives.
type receiver struct {
	waiter
	arrived chan struct{}
}

func (l *receiver) Arrived() { l.arrived <- struct{}{} }

func TestAnArmedHandleHearsOfOctets(t *testing.T) {
	p := newPoller(t)
	for name, before := range map[string]bool{"that came before": true, "that come later": false} {
		t.Run(name, func(t *testing.T) {
			a, w := pair(t, p)
			p.Remove(&w.Handle, w.rc)
			l := &receiver{arrived: make(chan struct{}, 10)}
			l.rc, l.hangup = w.rc, make(chan struct{})
			require.NoError(t, p.Add(&l.Handle, l, l.rc, Hangups))
			say := func() {
				_, err := a.Write([]byte("x"))
				require.NoError(t, err)
			}
			if before {
				say()
			}
			l.Clear()
			require.True(t, l.Park())
			require.NoError(t, p.Arm(&l.Handle, l.rc, true))
			if !before {
				say()
			}
			<-l.arrived
			require.False(t, l.Parked())

			require.NoError(t, p.Arm(&l.Handle, l.rc, false))
			l.Clear()
			say()
			other, v := pair(t, p) // its event comes later, so that ours would have come
			v.park(t)
			_, err := other.Write([]byte("x"))
			require.NoError(t, err)
			<-v.woken
			require.False(t, l.Signaled())
			require.Empty(t, l.arrived)
		})
	}
}

func TestAddFailsOnAClosedConnection(t *testing.T) {
	p := newPoller(t)
	_, w := pair(t, p)
	p.Remove(&w.Handle, nil)
	require.NoError(t, w.nc.Close())
	require.Error(t, p.Add(&w.Handle, w, w.rc, Held))
	require.Zero(t, p.Len())
}

func TestManyParkAndWakeCycles(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	cycles := 100_000
	if testing.Short() {
		cycles = 1000
	}
	go func() {
		octet := []byte("x")
		ack := make([]byte, 1)
		for range cycles {
			if _, err := a.Write(octet); err != nil {
				return
			}
			if _, err := a.Read(ack); err != nil {
				return
			}
		}
	}()
	got := 0
	for got < cycles {
		n := len(w.park(t))
		if n == 0 {
			<-w.woken
			continue
		}
		// What was read before parking has been followed by a park that held: take
		// it back, unless the event for the next octet has.
		got += n
		_, err := w.nc.Write([]byte("y"))
		require.NoError(t, err)
		if !w.Unpark() {
			<-w.woken
		}
	}
	require.Equal(t, cycles, got)
}

// On some systems an event may be of a descriptor's former life. A FIN in it ends
// nobody's request, and is read for all the same: it came with octets, and no
// other event follows.
func TestAnEndThatMayBeAnothersIsReadFor(t *testing.T) {
	var h Handle
	_, hangup := h.event(perhaps)
	require.False(t, hangup)
	require.False(t, h.HungUp())
	h.Clear()
	require.True(t, h.Ending())
	_, hangup = h.event(hungUp)
	require.True(t, hangup, "now it is known")
	require.True(t, h.HungUp())
}

func TestWritesThatDoNotWait(t *testing.T) {
	p := newPoller(t)
	a, w := pair(t, p)
	n, err := TryWrite(w.nc, w.rc, []byte("hello"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	got := make([]byte, 5)
	_, err = io.ReadFull(a, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))

	for piece := make([]byte, 16<<10); n > 0; {
		n, err = TryWrite(w.nc, w.rc, piece)
		require.NoError(t, err, "there is no room: that is no error")
	}
	require.NoError(t, w.nc.SetWriteDeadline(time.Unix(1, 0)))
	n, err = TryWrite(w.nc, w.rc, []byte("x"))
	require.NoError(t, err, "the connection's own Write says so")
	require.Zero(t, n)
	require.NoError(t, w.nc.SetWriteDeadline(time.Time{}))

	require.NoError(t, a.(*net.TCPConn).SetLinger(0))
	require.NoError(t, a.Close())
	<-w.hangup
	_, err = TryWrite(w.nc, w.rc, []byte("x"))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = TryRead(w.rc, make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the reset was told of already")
	require.NoError(t, w.nc.Close())
	n, err = TryWrite(w.nc, w.rc, []byte("x"))
	require.NoError(t, err)
	require.Zero(t, n)
}

// More events than one look takes are all delivered: the rest makes no edge.
func TestMoreEventsThanOneLookTakes(t *testing.T) {
	woken := make(chan *waiter, 2000)
	hold, held := make(chan struct{}), make(chan struct{}, 2000)
	p, err := New(func(batch []Waiter) {
		held <- struct{}{}
		<-hold
		for _, w := range batch {
			woken <- w.(*waiter)
		}
	})
	require.NoError(t, err)
	var far []net.Conn
	for range 3*len(p.sys.events)/2 + 1 {
		a, w := pair(t, p)
		w.park(t)
		far = append(far, a)
	}
	for i, a := range far {
		_, err := a.Write([]byte("x"))
		require.NoError(t, err)
		if i == 0 {
			<-held // with the first; all others come meanwhile
		}
	}
	close(hold)
	for range far {
		select {
		case <-woken:
		case <-time.After(30 * time.Second):
			t.Fatal("an event was not delivered")
		}
	}
}
