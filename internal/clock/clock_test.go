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
