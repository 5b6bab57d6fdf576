//go:build linux

package h1_test

// Connections that lead nowhere, on real sockets: a filter drops what comes in.

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// forget makes the path of a duel's first connection lead nowhere, once it has
// been idle for long enough to be in doubt.
func (d *duel) forget() {
	d.t.Helper()
	require.NoError(d.t, d.post("", nil))
	<-d.client
	wiretest.BlackHole(d.t, <-d.server)
	time.Sleep(1100 * time.Millisecond)
}

func TestARequestLeavesABlackHole(t *testing.T) {
	eachWire(t, func(t *testing.T, d *duel) {
		var l lives
		d.tr.OnConn = l.tell
		d.forget()
		began := time.Now()
		req, err := http.NewRequest("PUT", d.url, strings.NewReader("abc"))
		require.NoError(t, err)
		res, err := d.tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Less(t, time.Since(began), 20*time.Second, "0.4 s on a machine that has nothing else to do")
		require.Equal(t, []string{"black_hole"}, l.ends())
		require.Equal(t, 2, l.count())
	})
}

// What was sent may still arrive, so a request that must not be done twice
// waits for as long as the system is told to.
func TestAPOSTStaysInABlackHole(t *testing.T) {
	d := newDuel(t, false)
	d.tr.UnackedTimeout = 500 * time.Millisecond
	d.forget()
	err := d.post("", strings.NewReader("abc"))
	var lost *h1.RequestError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, h1.OutcomeMaybeProcessed, lost.Outcome, err)
	require.GreaterOrEqual(t, lost.Idle, time.Second)
	require.Equal(t, "read_failed", code(err))
	require.True(t, lost.Timeout())
}

// A server may take its time. Its system acknowledges at once, and that is all
// that is asked for.
func TestASlowServerIsNoBlackHole(t *testing.T) {
	wiretest.NoLeaks(t, "internal/poll")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	tr := &h1.Transport{}
	defer tr.CloseIdleConnections()
	var served sync.WaitGroup
	served.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		k := wiretest.NewTalk(t, nc)
		k.ExpectHead("GET / HTTP/1.1")
		k.Send(noContent)
		k.ExpectHead("GET / HTTP/1.1")
		time.Sleep(1500 * time.Millisecond) // far more than two retransmission timeouts
		k.Send(noContent)
	})
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+l.Addr().String(), nil)
		require.NoError(t, err)
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		time.Sleep(1100 * time.Millisecond)
	}
	served.Wait()
}
