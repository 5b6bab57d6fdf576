package wiretest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSteadilyTriesAgainOnlyWhenAllStoodStill(t *testing.T) {
	broken := errors.New("broken off")
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		tries := 0
		r.run(func() {
			Steadily(r, time.Second, func() error {
				tries++
				return broken
			})
		})
		require.Equal(t, 1, tries)
		require.True(t, r.failed)
	})
	synctest.Test(t, func(t *testing.T) {
		Steadily(t, time.Second, func() error { return nil })
	})
}

// A time of zero is always exceeded.
func TestSteadilyGivesUp(t *testing.T) {
	for _, tt := range []struct {
		good, tries int
		failed      bool
	}{{3, 3, false}, {steadyTries + 1, steadyTries, true}} {
		r := &recorder{TB: t}
		tries := 0
		r.run(func() {
			Steadily(r, -1, func() error {
				if tries++; tries < tt.good {
					return errors.New("broken off")
				}
				return nil
			})
		})
		require.Equal(t, tt.tries, tries)
		require.Equal(t, tt.failed, r.failed)
	}
}
