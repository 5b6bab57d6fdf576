package clock

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDateLineFollowsTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := DateLine(Now())
		require.Equal(t, "Date: "+Now().UTC().Format(http.TimeFormat)+"\r\n", first)
		time.Sleep(999 * time.Millisecond)
		require.Equal(t, first, DateLine(Now()))
		time.Sleep(time.Millisecond)
		require.NotEqual(t, first, DateLine(Now()))
	})
}

func TestDateLineIsBuiltOncePerSecond(t *testing.T) {
	now := Now()
	DateLine(now)
	require.Zero(t, testing.AllocsPerRun(100, func() { DateLine(now) }))
}

func TestMonoAndAtAreInverse(t *testing.T) {
	now := Now()
	require.True(t, At(Mono(now)).Equal(now))
	require.True(t, At(Mono(now.Add(-time.Hour))).Equal(now.Add(-time.Hour)))
	require.NotZero(t, Mono(base))
	synctest.Test(t, func(t *testing.T) { // another clock altogether, and still consistent
		now := Now()
		require.Zero(t, At(Mono(now)).Sub(now))
	})
}
