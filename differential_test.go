package h1_test

// Both Transports, net/http's and h1's, before the same scripted server.

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// roundTripper is what both Transports are.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// The two Transports, as indices.
const (
	netHTTP = iota
	ours
)

// scene is the server's end of one connection. Whatever it sends, it sends when
// all else has come to rest, so that a test goes the same way each time.
type scene struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	in bytes.Buffer // all that was read

	req *http.Request // whose head was read last
}

// head reads a request's head; false when none comes.
func (s *scene) head() bool {
	var err error
	s.req, err = http.ReadRequest(s.r)
	s.rest()
	return err == nil
}

// body reads the body of the request whose head was read.
func (s *scene) body() bool {
	_, err := io.Copy(io.Discard, s.req.Body)
	s.rest()
	return err == nil
}

// whole reads a request.
func (s *scene) whole() bool { return s.head() && s.body() }

func (s *scene) send(text string) {
	_, _ = io.WriteString(s.nc, text) // the client may have gone
	s.rest()
}

// rest lets all others come to rest: only then does the time of a bubble pass.
func (s *scene) rest() { time.Sleep(time.Millisecond) }

// answerAll gives each request the same answer.
func (s *scene) answerAll(text string) {
	for s.whole() {
		s.send(text)
	}
}

// inBoth lets each Transport meet a server whose connections are played by
// play, which gets their number and closes them when it returns. One connection
// at a time has something to do.
func inBoth(t *testing.T, play func(s *scene, n int), meet func(t *testing.T, kind int, tr roundTripper)) {
	t.Helper()
	for kind := range 2 {
		synctest.Test(t, func(t *testing.T) {
			l := wiretest.Listen()
			var server sync.WaitGroup
			server.Go(func() {
				for n := 0; ; n++ {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					s := &scene{t: t, nc: nc}
					s.r = bufio.NewReader(io.TeeReader(nc, &s.in))
					server.Go(func() {
						defer nc.Close()
						play(s, n)
					})
				}
			})
			var tr roundTripper = &http.Transport{DialContext: l.DialContext, ExpectContinueTimeout: time.Second}
			if kind == ours {
				tr = &h1.Transport{DialContext: l.DialContext}
			}
			meet(t, kind, tr)
			tr.CloseIdleConnections()
			require.NoError(t, l.Close())
			server.Wait()
		})
	}
}

// afresh is the request again, with a body of its own.
func afresh(r *http.Request) *http.Request {
	again := r.Clone(r.Context())
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		again.Body = io.NopCloser(bytes.NewReader(text))
	}
	return again
}
