package h1

// What one request costs the Transport, beside net/http's: over connections in
// memory, which leaves nothing but the Transport's own work, and over loopback.

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var cannedAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!")

// canned is the client's end of a connection whose server answers each request
// with the same octets. It takes each write for a request.
type canned struct {
	asked  chan struct{}
	closed chan struct{}
}

func dialCanned(context.Context, string, string) (net.Conn, error) {
	return &canned{asked: make(chan struct{}, 1), closed: make(chan struct{})}, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.asked <- struct{}{}
	return len(p), nil
}

func (c *canned) Read(p []byte) (int, error) {
	select {
	case <-c.asked:
		return copy(p, cannedAnswer), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *canned) Close() error                     { close(c.closed); return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// serveCanned answers on loopback, and gives the address.
func serveCanned(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				p := make([]byte, 4096)
				for {
					n, err := nc.Read(p)
					if err != nil {
						return
					}
					if bytes.HasSuffix(p[:n], []byte("\r\n\r\n")) {
						_, _ = nc.Write(cannedAnswer)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// idleCloser is what both transports are.
type idleCloser interface {
	http.RoundTripper
	CloseIdleConnections()
}

func BenchmarkRoundTrip(b *testing.B) {
	kinds := []struct {
		name string
		make func(dialFunc) idleCloser
	}{
		{"h1", func(d dialFunc) idleCloser { return &Transport{DialContext: d} }},
		{"net-http", func(d dialFunc) idleCloser { return &http.Transport{DialContext: d, MaxIdleConnsPerHost: 64} }},
	}
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			b.Run("memory/1", func(b *testing.B) { benchRoundTrip(b, kind.make(dialCanned), "127.0.0.1:80", 1) })
			b.Run("memory/64", func(b *testing.B) { benchRoundTrip(b, kind.make(dialCanned), "127.0.0.1:80", 64) })
			d := (&net.Dialer{}).DialContext
			b.Run("loopback/1", func(b *testing.B) { benchRoundTrip(b, kind.make(d), serveCanned(b), 1) })
			b.Run("loopback/64", func(b *testing.B) { benchRoundTrip(b, kind.make(d), serveCanned(b), 64) })
		})
	}
}

func benchRoundTrip(b *testing.B, tr idleCloser, addr string, goroutines int) {
	defer tr.CloseIdleConnections()
	b.ReportAllocs()
	if goroutines == 1 {
		req := newAsk(b, addr)
		for b.Loop() {
			askOnce(b, tr, req)
		}
		return
	}
	b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		req := newAsk(b, addr)
		for pb.Next() {
			askOnce(b, tr, req)
		}
	})
}

func newAsk(b *testing.B, addr string) *http.Request {
	req, err := http.NewRequest("GET", "http://"+addr+"/", nil)
	if err != nil {
		b.Error(err)
	}
	return req
}

func askOnce(b *testing.B, tr http.RoundTripper, req *http.Request) {
	res, err := tr.RoundTrip(req)
	if err != nil {
		b.Error(err)
		return
	}
	if n, err := io.Copy(io.Discard, res.Body); n != 13 || err != nil {
		b.Error(n, err)
	}
	_ = res.Body.Close()
}
