package h1_test

// What a program does with a connection that a Transport handed to it: the Body
// of a 101 response, or of a 2xx to CONNECT.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

func upgrade() *http.Request {
	req := request("GET", "")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	return req
}

// A relay passes the end of one direction on by CloseWrite, and the other goes on.
// net/http's Body has the method; ours had not, so that a relay had to close all.
func TestOneDirectionOfASwitchedConnectionEnds(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		got := s.open(upgrade())
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(switching)
		r := <-got
		require.NoError(t, r.err)
		half, ok := r.res.Body.(interface{ CloseWrite() error })
		require.True(t, ok)
		require.NoError(t, half.CloseWrite())
		k.ExpectEOF()
		k.Send("still here")
		text := make([]byte, 10)
		_, err := io.ReadFull(r.res.Body, text)
		require.NoError(t, err)
		require.Equal(t, "still here", string(text))
		require.NoError(t, r.res.Body.Close())
	})
}

// whole is a connection whose directions end together.
type whole struct{ net.Conn }

func TestADirectionThatCannotEndAloneSaysSo(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		dial := s.tr.DialContext
		s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return whole{nc}, err
		}
		got := s.open(upgrade())
		k := s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(switching)
		r := <-got
		require.NoError(t, r.err)
		err := r.res.Body.(interface{ CloseWrite() error }).CloseWrite()
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.NoError(t, r.res.Body.Close())
		k.ExpectEOF()
	})
}

// connect asks for a tunnel; what body has goes into it.
func connect(body io.ReadCloser, length int64) *http.Request {
	return &http.Request{Method: "CONNECT", URL: &url.URL{Scheme: "http", Host: "proxy.test:3128"}, Host: "example.com:443",
		Header: http.Header{}, Body: body, ContentLength: length}
}

// The body of a CONNECT request went out in chunks, ahead of the proxy's word: what
// follows the head of a CONNECT is the tunnel's (RFC 9110 section 9.3.6), so that
// the far end got chunk sizes for data, and a program that talks through a pipe,
// as net/http lets it, waited for an answer for good.
func TestTheBodyOfAConnectGoesIntoTheTunnel(t *testing.T) {
	for _, length := range []int64{-1, 5} {
		inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
			r, w := io.Pipe()
			got := s.open(connect(r, length))
			k := s.accept()
			head := k.ExpectHead("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443")
			require.NotContains(t, head, "Transfer-Encoding")
			require.NotContains(t, head, "Content-Length")
			wrote := make(chan error, 1)
			go func() { _, err := io.WriteString(w, "hello"); wrote <- err }()
			k.ExpectSilence(time.Second) // the proxy may still refuse
			k.Send("HTTP/1.1 200 OK\r\n\r\nfirst")
			reply := <-got
			require.NoError(t, reply.err)
			k.Expect("hello")
			require.NoError(t, <-wrote)

			text := make([]byte, 5)
			_, err := io.ReadFull(reply.res.Body, text)
			require.NoError(t, err)
			require.Equal(t, "first", string(text))

			// The body's end is not the tunnel's, which is there for both to write.
			require.NoError(t, w.Close())
			_, err = io.WriteString(reply.res.Body.(io.Writer), "more")
			require.NoError(t, err)
			k.Expect("more")
			require.NoError(t, reply.res.Body.Close())
			k.ExpectEOF()
		})
	}
}

func TestARefusedConnectSendsNothingOfItsBody(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		body := &watched{Reader: strings.NewReader("hello")}
		got := s.send(connect(body, -1))
		k := s.accept()
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
		k.Send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		r := <-got
		require.NoError(t, r.err)
		require.Equal(t, "no", r.body)
		require.True(t, body.closed.Load())
		again := s.send(connect(nil, 0)) // the connection is as good as before
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
		k.Send(strings.Replace(hello, "200 OK", "403 Forbidden", 1))
		s.requireHello(again)
	})
}

// A tunnel that is closed ends the Read of the body that goes into it, and a body
// that fails ends the tunnel: the far end must not take what came for all.
func TestATunnelAndTheBodyThatGoesIntoItEndTogether(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		r, w := io.Pipe()
		got := s.open(connect(r, -1))
		k := s.accept()
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\n\r\n")
		reply := <-got
		require.NoError(t, reply.err)
		require.NoError(t, reply.res.Body.Close())
		_, err := w.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		k.ExpectEOF()

		r, w = io.Pipe()
		got = s.open(connect(r, -1))
		k = s.accept()
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1")
		k.Send("HTTP/1.1 200 OK\r\n\r\n")
		reply = <-got
		require.NoError(t, reply.err)
		require.NoError(t, w.CloseWithError(io.ErrNoProgress))
		k.ExpectEOF()
		_, err = reply.res.Body.Read(make([]byte, 1))
		require.Error(t, err)
	})
}

// One connection alone has nobody to send what comes after the proxy's word.
func TestConnTakesNoBodyForAConnect(t *testing.T) {
	a, b := wiretest.Pair()
	defer b.Close()
	c, err := h1.NewClientConn(a, nil)
	require.NoError(t, err)
	defer c.Close()
	body := &watched{Reader: strings.NewReader("hello")}
	require.ErrorIs(t, c.Send(connect(body, 5)), h1.CodeBadRequest)
	require.True(t, body.closed.Load())
}
