package h1

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/h1go/h1/internal/poll"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An idle connection leaves the pool when its server closes it or says
// something, and not only when somebody wants to use it again.
func TestAnIdleConnectionLeavesThePoolWithItsServersWord(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	for _, tt := range []struct {
		name, last string
		after      time.Duration // since the connection became idle
		end        bool
		reason     CloseReason
	}{
		{"the end alone", "", 0, true, ClosePeerEOF},
		{"the end alone, later", "", 3 * armAfter, true, ClosePeerEOF},
		{"a late 408 and the end", late408, 0, true, CloseUnasked},
		{"a late 408", late408, 3 * armAfter, false, CloseUnasked},
		{"a late 408 before it is looked for", late408, 0, false, CloseUnasked},
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
				time.Sleep(tt.after)
				_, _ = io.WriteString(nc, tt.last)
				if !tt.end {
					_, _ = nc.Read(make([]byte, 1)) // until the client closes
				}
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

const late408 = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"

// What TLS sends for itself is no word of the server's: the tickets of TLS 1.3
// come when the handshake is over, and a connection that was made ahead has not
// read them.
func TestSessionTicketsEvictNobody(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert} // so that the tickets wait for the handshake's end
	s.StartTLS()
	defer s.Close()
	for name, wait := range map[string]bool{"used at once": false, "idle for a while": true} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan ConnInfo, 10)
			transport := &Transport{OnConn: onClosed(closed), TLSClientConfig: s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}
			transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			defer transport.CloseIdleConnections()
			require.NoError(t, transport.Prewarm(t.Context(), s.URL, 1))
			var tickets *pooled
			transport.pool.mu.Lock()
			tickets = transport.pool.idle.first
			transport.pool.mu.Unlock()
			peeker := poll.NewPeeker(tickets.c.nc.(*tls.Conn).NetConn().(*meter).Conn)
			waits := func() bool { sight, _ := peeker.Peek(); return sight == poll.Octets }
			if !wait {
				transport.pool.mu.Lock() // nobody reads them meanwhile
				came := assert.Eventually(t, waits, 10*time.Second, time.Millisecond)
				transport.pool.mu.Unlock()
				require.True(t, came)
			} else {
				require.Eventually(t, func() bool { return !waits() }, 10*time.Second, 3*armAfter)
			}
			for range 2 {
				req, err := http.NewRequest("GET", s.URL, nil)
				require.NoError(t, err)
				res, err := transport.RoundTrip(req)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, res.Body)
				require.NoError(t, err)
			}
			require.Empty(t, closed)
			require.EqualValues(t, 2, tickets.c.m.requests.Load())
		})
	}
}
