//go:build linux

package h1_test

// The proof that a lost request was not delivered, on real sockets: the server
// closes, or resets, at each moment around a request that reuses its connection.

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/poll"
	"github.com/h1go/h1/internal/wiretest"
)

// duel is a Transport and a server that ends the first connection around its
// second request, and answers on every other.
type duel struct {
	t       *testing.T
	url     string
	tr      *h1.Transport
	client  chan *net.TCPConn
	server  chan *net.TCPConn
	about   func() // called when a connection's second request is about to be written
	applied atomic.Int64
	config  *tls.Config
}

func newDuel(t *testing.T, secure bool) *duel {
	wiretest.NoLeaks(t, "internal/poll")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &duel{t: t, url: "http://" + l.Addr().String(), client: make(chan *net.TCPConn, 2), server: make(chan *net.TCPConn, 2), tr: &h1.Transport{}}
	d.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			d.client <- nc.(*net.TCPConn)
		}
		return nc, err
	}
	d.tr.OnConn = func(e h1.ConnEvent, info h1.ConnInfo) {
		if e == h1.EventRequest && info.Requests == 2 && d.about != nil {
			d.about()
		}
	}
	if secure {
		s := httptest.NewUnstartedServer(nil)
		s.StartTLS()
		d.config = &tls.Config{Certificates: s.TLS.Certificates}
		d.tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		d.tr.TLSClientConfig.ServerName = "example.com"
		s.Close()
		d.url = strings.Replace(d.url, "http:", "https:", 1)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			d.server <- nc.(*net.TCPConn)
			go d.serve(nc)
		}
	}()
	t.Cleanup(func() {
		d.tr.CloseIdleConnections()
		require.NoError(t, l.Close())
		<-done
	})
	return d
}

// serve answers requests until the connection ends, and counts them.
func (d *duel) serve(nc net.Conn) {
	defer nc.Close()
	if d.config != nil {
		nc = tls.Server(nc, d.config)
	}
	in := bufio.NewReader(nc)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		d.applied.Add(1)
		if req.Header.Get("Then") != "" {
			d.end(nc, req.Header.Get("Then"))
			return
		}
		if _, err := io.WriteString(nc, noContent); err != nil {
			return
		}
	}
}

func (d *duel) end(nc net.Conn, how string) {
	raw := nc
	if secure, ok := nc.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	switch how {
	case "close":
		_ = nc.Close()
	case "reset":
		_ = raw.(*net.TCPConn).SetLinger(0)
		_ = raw.Close()
	}
}

func (d *duel) post(then string, body io.Reader) error {
	req, err := http.NewRequest("POST", d.url, body)
	require.NoError(d.t, err)
	if then != "" {
		req.Header.Set("Then", then)
	}
	res, err := d.tr.RoundTrip(req)
	if err != nil {
		return err
	}
	require.Equal(d.t, http.StatusNoContent, res.StatusCode)
	return res.Body.Close()
}

// until waits for the client's end to see what is to be read next.
func until(t *testing.T, nc *net.TCPConn, want poll.Sight) {
	for peeker, began := poll.NewPeeker(nc), time.Now(); ; runtime.Gosched() {
		if sight, _ := peeker.Peek(); sight == want {
			return
		}
		require.Less(t, time.Since(began), 30*time.Second)
	}
}

// eachWire runs a test over plain text and over TLS.
func eachWire(t *testing.T, test func(t *testing.T, d *duel)) {
	t.Run("http", func(t *testing.T) { test(t, newDuel(t, false)) })
	t.Run("https", func(t *testing.T) { test(t, newDuel(t, true)) })
}

// The race that this is about: the end of the server's side is on its way, or
// here, when the request is written.
func TestAPOSTThatMetAClosedServerIsSentAgain(t *testing.T) {
	eachWire(t, func(t *testing.T, d *duel) {
		require.NoError(t, d.post("", nil))
		client, server := <-d.client, <-d.server
		d.about = func() {
			require.NoError(t, server.Close())
			until(t, client, poll.End)
		}
		require.NoError(t, d.post("", strings.NewReader("abc")))
		require.EqualValues(t, 2, d.applied.Load())
		require.EqualValues(t, 1, d.tr.Stats().Total.Resent)
	})
}

func TestTheProofCanBeSwitchedOff(t *testing.T) {
	eachWire(t, func(t *testing.T, d *duel) {
		d.tr.DisableDeliveryProof = true
		require.NoError(t, d.post("", nil))
		client, server := <-d.client, <-d.server
		d.about = func() {
			require.NoError(t, server.Close())
			until(t, client, poll.End)
		}
		err := d.post("", strings.NewReader("abc"))
		var lost *h1.RequestError
		require.ErrorAs(t, err, &lost)
		require.Equal(t, h1.OutcomeMaybeProcessed, lost.Outcome)
		require.EqualValues(t, 1, d.applied.Load())
	})
}

// A server that has read a request, and then closes or resets, looks to a client
// almost like one that never got it. None of these may be sent again.
func TestARequestThatWasReadIsNeverSentAgain(t *testing.T) {
	trials := 200
	if testing.Short() {
		trials = 20
	}
	for _, then := range []string{"close", "reset"} {
		t.Run(then, func(t *testing.T) {
			eachWire(t, func(t *testing.T, d *duel) {
				for i := range int64(trials) {
					d.tr = d.tr.Clone() // it has not learned to shun idle connections to such a server
					require.NoError(t, d.post("", nil))
					<-d.client
					<-d.server
					err := d.post(then, strings.NewReader("abc"))
					var lost *h1.RequestError
					require.ErrorAs(t, err, &lost)
					require.Equal(t, h1.OutcomeMaybeProcessed, lost.Outcome, err)
					require.False(t, lost.Resent)
					require.Equal(t, 2*(i+1), d.applied.Load())
				}
			})
		})
	}
}

// The server's system got the request, its program did not, and closing with
// octets unread makes a reset: nothing is certain.
func TestAResetProvesNothing(t *testing.T) {
	d := newDuel(t, false)
	conns := make(chan *net.TCPConn, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = nc.Read(make([]byte, 4096))
		_, _ = io.WriteString(nc, noContent)
		conns <- nc.(*net.TCPConn)
	}()
	d.url = "http://" + l.Addr().String()
	require.NoError(t, d.post("", nil))
	server := <-conns
	go func() {
		until(t, server, poll.Octets)
		_ = server.Close()
	}()
	err = d.post("", strings.NewReader("abc"))
	require.ErrorIs(t, err, unix.ECONNRESET)
	var lost *h1.RequestError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, h1.OutcomeMaybeProcessed, lost.Outcome)
}

// A body that cannot be had anew is lost all the same, but its caller learns
// that it may ask again. It is sent by a goroutine of its own, and where that is
// writing when the end is read, nothing can be proven: then it is tried again.
func TestAnUndeliveredRequestTellsSo(t *testing.T) {
	eachWire(t, func(t *testing.T, d *duel) {
		var lost *h1.RequestError
		for trials := 0; lost == nil || lost.Outcome == h1.OutcomeMaybeProcessed; trials++ {
			require.Less(t, trials, 100)
			d.tr, d.about = d.tr.Clone(), nil
			require.NoError(t, d.post("", nil))
			client, server := <-d.client, <-d.server
			d.about = func() {
				require.NoError(t, server.Close())
				until(t, client, poll.End)
			}
			require.ErrorAs(t, d.post("", io.MultiReader(strings.NewReader("abc"))), &lost)
		}
		require.Equal(t, h1.OutcomeNotDelivered, lost.Outcome)
		require.Positive(t, lost.Written)
		require.EqualValues(t, 1, lost.Before)
		require.Positive(t, lost.Idle)
		require.False(t, lost.Resent)
	})
}
