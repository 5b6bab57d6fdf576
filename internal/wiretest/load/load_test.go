package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// run sends n requests over one connection each, to a server that answers them
// as serve does.
func run(t *testing.T, serve func(nc net.Conn, r *bufio.Reader)) Result {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		serve(nc, bufio.NewReader(nc))
	}()
	return Load{Conns: 1, Methods: []string{"POST"}, Dial: func() (net.Conn, error) {
		return net.Dial("tcp", l.Addr().String())
	}}.Start().Wait()
}

func request(t *testing.T, r *bufio.Reader) {
	req, err := http.ReadRequest(r)
	require.NoError(t, err)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(body))
}

func TestItCountsWhatBecameOfEachRequest(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []string
		want    Result
	}{
		{"told", []string{"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"}, Result{Answered: 2, Told: 1}},
		{"lost", []string{"HTTP/1.1 204 No Content\r\n\r\n", ""}, Result{Answered: 1, Lost: map[string]int{"reading the head: unexpected EOF": 1}}},
		{"half an answer", []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha"}, Result{Lost: map[string]int{"reading the body: unexpected EOF": 1}}},
		{"an error", []string{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"}, Result{Told: 1, Bad: map[string]int{"502 Bad Gateway": 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, func(nc net.Conn, r *bufio.Reader) {
				for _, answer := range c.answers {
					request(t, r)
					_, _ = io.WriteString(nc, answer)
				}
			})
			var want Result
			want.Add(c.want)
			want.Slowest = got.Slowest
			require.Equal(t, want, got)
		})
	}
}

func TestItSeesAServerThatHasClosed(t *testing.T) {
	got := run(t, func(nc net.Conn, r *bufio.Reader) {})
	require.Zero(t, got.Answered)
	require.Equal(t, 1, got.Ended+got.LostRequests())
}

func TestItCountsConnectionsThatAreRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	got := Load{Conns: 3, Methods: []string{"GET"}, Dial: func() (net.Conn, error) {
		return net.Dial("tcp", l.Addr().String())
	}}.Start().Wait()
	require.Equal(t, 3, got.Refused)
	require.Equal(t, 3, got.Failed())
}
