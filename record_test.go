package h1

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// A tls.Conn must find at most one record in what it reads at once, however the
// octets arrive, and all octets in their order.
func TestARecordSourceReadsRecordByRecord(t *testing.T) {
	wire := "\x17\x03\x03\x00\x05first" + "\x15\x03\x03\x00\x00" + "\x17\x03\x03\x00\x06second"
	wiretest.EachCut(wire, func(name string, segments []string) {
		a, b := wiretest.Pair()
		for _, s := range segments {
			_, err := a.Write([]byte(s))
			require.NoError(t, err)
		}
		require.NoError(t, a.CloseWrite())
		src := &recordSource{Conn: b}
		var got []string
		var rest string
		p := make([]byte, 512) // as much as crypto/tls asks for
		for {
			n, err := src.Read(p)
			rest += string(p[:n])
			if src.head == 0 && rest != "" {
				got = append(got, rest)
				rest = ""
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.Equal(t, []string{"\x17\x03\x03\x00\x05first", "\x15\x03\x03\x00\x00", "\x17\x03\x03\x00\x06second"}, got, name)
		require.True(t, src.win.Len() == 0)
		_ = b.Close()
	})
}

// overTLS serves over TLS on loopback and gives a way to dial.
func overTLS(t *testing.T, s *Server) func() *tls.Conn {
	t.Helper()
	cert, roots := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = s.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return func() *tls.Conn {
		nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(dialBound)))
		t.Cleanup(func() { _ = nc.Close() })
		return nc
	}
}

func TestTLSConnectionsWaitAtThePoller(t *testing.T) {
	if _, err := poller(); err != nil {
		t.Skip("no poller on this system: ", err)
	}
	s := &Server{Handler: echoPath}
	dial := overTLS(t, s)
	const conns = 50
	before := runtime.NumGoroutine()
	var all []*tls.Conn
	var readers []*bufio.Reader
	for i := range conns {
		nc := dial()
		all, readers = append(all, nc), append(readers, bufio.NewReader(nc))
		if i%2 == 0 {
			_, body := fetch(t, nc, readers[i], "/first")
			require.Equal(t, "/first", body)
		} else {
			require.NoError(t, nc.Handshake())
		}
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+conns/4 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { // a handshake may end later here than at the client
		for info := range s.Conns() {
			if info.Waiting != "poll" || !info.TLS {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
	for i, nc := range all {
		_, body := fetch(t, nc, readers[i], fmt.Sprintf("/again/%d", i))
		require.Equal(t, fmt.Sprintf("/again/%d", i), body)
	}
}

// Requests may share a record, spread over several, and come with any pauses:
// none is missed by a connection that parks between records.
func TestTLSRequestsInAnyRecords(t *testing.T) {
	dial := overTLS(t, &Server{Handler: echoPath})
	nc := dial()
	r := bufio.NewReader(nc)
	random := rand.New(rand.NewPCG(1, 2))
	const requests = 300
	go func() {
		var wire strings.Builder
		for i := range requests {
			fmt.Fprintf(&wire, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		}
		rest := wire.String()
		for rest != "" {
			n := min(1+random.IntN(120), len(rest))
			if _, err := io.WriteString(nc, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
			if random.IntN(3) == 0 {
				runtime.Gosched()
			}
		}
	}()
	for i := range requests {
		_, body := answerOf(t, r)
		require.Equal(t, fmt.Sprintf("/%d", i), body)
	}
}

func TestTLSHangupCancelsTheRequestsContext(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	dial := overTLS(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})})
	nc := dial()
	_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	<-began
	require.NoError(t, nc.Close())
	require.Error(t, <-ended)
}
