package h1

import (
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// outOfFiles is a listener whose Accept fails as often as it is told to, as it
// does when the process has no descriptor left. Who waits stays in line.
type outOfFiles struct {
	net.Listener
	left atomic.Int64
}

func (l *outOfFiles) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// fail makes the next n calls of Accept fail, and ends the one under way with k.
func (l *outOfFiles) fail(n int64, dial func() *wiretest.Talk) *wiretest.Talk {
	synctest.Wait() // Accept is under way
	l.left.Store(n)
	k := dial()
	synctest.Wait()
	return k
}

func TestTheLongestIdleMakeRoomWhenDescriptorsRunOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mem := wiretest.Listen()
		l := &outOfFiles{Listener: mem}
		var logged syncBuffer
		s := &Server{Native: NativeHandlerFunc(echo), IdleTimeout: time.Hour, ErrorLog: log.New(&logged, "", 0)}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return mem.Dial(t.Context()) })
		var idle []*wiretest.Talk
		for range reclaimAtOnce + 8 { // the first become idle first
			k := a.talk(t)
			exchange(k, "/", "")
			idle = append(idle, k)
		}
		head := a.talk(t) // it began before all others, and is in the middle of a head
		head.Send("G")
		time.Sleep(time.Second)
		l.fail(1, func() *wiretest.Talk { return a.talk(t) })
		late := a.talk(t)
		exchange(late, "/late", "")
		for _, k := range idle[:reclaimAtOnce] {
			k.ExpectEOF()
		}
		for _, k := range idle[reclaimAtOnce:] { // all others are served as before
			exchange(k, "/", "")
		}
		head.Send(get("/head")[1:])
		expectEcho(head, "/head", "")
		synctest.Wait()
		require.Equal(t, CloseCounts{CloseReclaimed: reclaimAtOnce}, s.Stats().Closed)
		synctest.Wait()
		require.EqualValues(t, 1, s.Stats().AcceptErrors)
	})
}

func TestAcceptFailuresBackOffAndAreToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mem := wiretest.Listen()
		l := &outOfFiles{Listener: mem}
		var logged syncBuffer
		s := &Server{Native: NativeHandlerFunc(echo), ErrorLog: log.New(&logged, "", 0)}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return mem.Dial(t.Context()) })
		lines := func() int { return strings.Count(logged.String(), "too many open files") }
		dialed := func() *wiretest.Talk { return a.talk(t) }

		l.fail(10, dialed).Send("G") // 5, 10, 20 ... 640, 1000, 1000 ms; an idle one would make room
		begin := time.Now()
		more := a.talk(t)
		exchange(more, "/", "")
		require.Equal(t, (5+10+20+40+80+160+320+640+1000+1000)*time.Millisecond, time.Since(begin))
		require.Equal(t, 1, lines())
		synctest.Wait()
		require.EqualValues(t, 10, s.Stats().AcceptErrors)

		time.Sleep(30 * time.Second)
		l.fail(2, dialed)
		exchange(a.talk(t), "/", "")
		require.Equal(t, 1, lines(), "it is the same trouble still")

		time.Sleep(61 * time.Second)
		l.fail(2, dialed)
		exchange(a.talk(t), "/", "")
		require.Equal(t, 2, lines(), "it had gone well for a minute")
	})
}

func TestAConnectionsEndLetsAcceptingGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mem := wiretest.Listen()
		l := &outOfFiles{Listener: mem}
		s := &Server{Native: NativeHandlerFunc(echo), ErrorLog: log.New(new(syncBuffer), "", 0)}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return mem.Dial(t.Context()) })
		first := a.talk(t)
		first.Send("G") // so that it is not idle
		synctest.Wait()
		l.fail(9, func() *wiretest.Talk {
			k := a.talk(t)
			k.Send("G")
			return k
		})
		time.Sleep(1300 * time.Millisecond) // the ninth wait is of a second
		require.Zero(t, l.left.Load())
		begin := time.Now()
		more := a.talk(t)
		more.Send(get("/"))
		first.SendFIN()
		expectEcho(more, "/", "")
		require.Zero(t, time.Since(begin))
		exchange(more, "/", "") // there is room again: nobody is told to make any
	})
}

func TestShutdownDoesNotWaitForABackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mem := wiretest.Listen()
		l := &outOfFiles{Listener: mem}
		s := &Server{Native: NativeHandlerFunc(echo), ErrorLog: log.New(new(syncBuffer), "", 0)}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return mem.Dial(t.Context()) })
		l.fail(1<<40, func() *wiretest.Talk { return a.talk(t) })
		time.Sleep(5 * time.Second)
		begin := time.Now()
		_ = s.Close()
		require.ErrorIs(t, <-a.served, http.ErrServerClosed)
		require.Zero(t, time.Since(begin))
	})
}
