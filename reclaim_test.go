package h1

import (
	"bufio"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outOfFiles is a listener whose Accept fails once, on demand, as it does when
// the process has no descriptor left.
type outOfFiles struct {
	net.Listener
	fail chan struct{}
}

func (l outOfFiles) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	select {
	case <-l.fail:
		_ = nc.Close()
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	default:
		return nc, err
	}
}

func TestTheLongestIdleMakeRoomWhenDescriptorsRunOut(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := outOfFiles{tcp, make(chan struct{}, 1)}
	var mu sync.Mutex
	var reclaimed []string
	closed := make(chan struct{}, 100)
	var logged syncBuffer
	s := &Server{Handler: echoPath, ErrorLog: log.New(&logged, "", 0), OnConn: func(e ConnEvent, info ConnInfo) {
		if e == EventClosed && info.Reason == CloseReclaimed {
			mu.Lock()
			defer mu.Unlock()
			reclaimed = append(reclaimed, info.Remote.String())
			closed <- struct{}{}
		}
	}}
	start(t, s, l)
	var want []string
	conns := make([]net.Conn, reclaimAtOnce+8)
	readers := make([]*bufio.Reader, len(conns))
	for i := range conns { // the first become idle first
		nc := dial(t, l)
		conns[i], readers[i] = nc, bufio.NewReader(nc)
		fetch(t, nc, readers[i], "/")
		if i < reclaimAtOnce {
			want = append(want, nc.LocalAddr().String())
		}
	}
	busy := dial(t, l) // idle for longest of all, but in the middle of a head
	_, err = io.WriteString(busy, "GET /busy HTTP/1.1\r\nHo")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		waiting := 0
		for _, c := range s.live() {
			if c.pk.Parked() {
				waiting++
			}
		}
		return waiting == len(conns)+1
	}, 10*time.Second, time.Millisecond)
	l.fail <- struct{}{}
	dial(t, l)
	for range want {
		<-closed
	}
	mu.Lock()
	require.ElementsMatch(t, want, reclaimed)
	mu.Unlock()
	for i, nc := range conns[reclaimAtOnce:] { // all others are served as before
		_, body := fetch(t, nc, readers[reclaimAtOnce+i], "/again")
		require.Equal(t, "/again", body)
	}
	_, err = io.WriteString(busy, "st: a\r\n\r\n")
	require.NoError(t, err)
	_, body := answerOf(t, bufio.NewReader(busy))
	require.Equal(t, "/busy", body)
	require.Contains(t, logged.String(), "too many open files")
}
