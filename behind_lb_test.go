package h1

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
)

func TestBehindLBDerivesEachTimeout(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		idle       time.Duration
		have, want *Server
	}{
		"AWS ALB": {60 * s, &Server{}, &Server{
			ReadHeaderTimeout: 20 * s, StallTimeout: 65 * s, KeepAlive: KeepAlive{IdleTimeout: 65 * s, AdvertiseTimeout: 60 * s, MinIdle: 65 * s}}},
		"Google": {600 * s, &Server{}, &Server{
			ReadHeaderTimeout: 20 * s, StallTimeout: 620 * s, KeepAlive: KeepAlive{IdleTimeout: 620 * s, AdvertiseTimeout: 600 * s, MinIdle: 620 * s}}},
		"a short one": {10 * s, &Server{}, &Server{
			ReadHeaderTimeout: 10 * s, StallTimeout: 15 * s, KeepAlive: KeepAlive{IdleTimeout: 15 * s, AdvertiseTimeout: 10 * s, MinIdle: 15 * s}}},
		"none": {0, &Server{}, &Server{}},
		"what is set stays": {60 * s,
			&Server{IdleTimeout: 90 * s, ReadTimeout: 7 * s, StallTimeout: -1, KeepAlive: KeepAlive{MinIdle: s, AdvertiseTimeout: -1}},
			&Server{IdleTimeout: 90 * s, ReadTimeout: 7 * s, StallTimeout: -1, KeepAlive: KeepAlive{MinIdle: s, AdvertiseTimeout: -1}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.have.BehindLB(tt.idle)
			if diff := cmp.Diff(tt.want, tt.have, cmpopts.IgnoreUnexported(Server{}, KeepAlive{}, Limits{})); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// The balancer may use its connections again until the last moment, and a drain
// takes none from under it.
func TestABalancerGivesUpBeforeItsServer(t *testing.T) {
	const idle = time.Minute
	bubble(t, func(t *testing.T) {
		s := &Server{Native: NativeHandlerFunc(echo)}
		s.BehindLB(idle)
		v := serveOne(t, s)
		for range 3 {
			time.Sleep(idle)
			exchange(v.Talk, "/", "")
		}
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(t.Context()) }()
		time.Sleep(idle)
		synctest.Wait()
		exchange(v.Talk, "/", "close")
		require.NoError(t, <-over)
		require.Equal(t, CloseShutdown, v.over().Reason)
	})
}
