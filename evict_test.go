package h1

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An idle connection leaves the pool when its server closes it, and not only
// when somebody wants to use it again.
func TestAnIdleConnectionLeavesThePoolWithItsServersEnd(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	for _, tt := range []struct {
		name, last string
		reason     CloseReason
	}{
		{"the end alone", "", ClosePeerEOF},
		{"a late 408 and the end", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", CloseUnasked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			idle := make(chan struct{})
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err != nil {
					return
				}
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				<-idle
				_, _ = io.WriteString(nc, tt.last)
			}()
			closed := make(chan ConnInfo, 1)
			transport := &Transport{OnConn: onClosed(closed)}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)
			require.NoError(t, err)
			res, err := transport.RoundTrip(req)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			for info := range transport.Conns() {
				require.False(t, info.Closing)
			}
			close(idle)
			select {
			case info := <-closed:
				require.Equal(t, tt.reason, info.Reason)
			case <-time.After(10 * time.Second):
				require.Fail(t, "the connection stays in the pool")
			}
			require.Eventually(t, func() bool {
				for range transport.Conns() {
					return false
				}
				return true
			}, 10*time.Second, time.Millisecond)
		})
	}
}
