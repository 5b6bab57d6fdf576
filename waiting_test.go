package h1

// The stories of waits that were lost: what the audit of who may touch a
// connection at the same time as its owner found.

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A drain that follows another one has a plan of its own. The connections that
// waited by the first were not told.
func TestALaterDrainIsHeededByThoseWhoDrainAlready(t *testing.T) {
	bothWays(t, func(t *testing.T, listen func() net.Listener) {
		l := listen()
		s := &Server{Handler: echoPath, KeepAlive: KeepAlive{MinIdle: time.Hour}}
		start(t, s, l)
		nc := dial(t, l)
		r := bufio.NewReader(nc)
		fetch(t, nc, r, "/")
		s.SetKeepAlivesEnabled(false)
		time.Sleep(20 * time.Millisecond) // it has looked at that, and waits
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := s.Drain(ctx, DrainOptions{MinIdle: -1})
		require.NoError(t, err)
		require.Equal(t, 1, report.Idle)
	})
}
