package h1

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARateIsResolvedWithTheStallLimit(t *testing.T) {
	tests := []struct {
		name     string
		rate     Rate
		stall    time.Duration
		standard int
		want     pacing
	}{
		{"a server's", Rate{}, time.Minute, defaultRate, pacing{240, 20 * time.Second, time.Minute}},
		{"a client's", Rate{}, 0, 0, pacing{0, never, never}},
		{"a client's with a stall limit", Rate{}, time.Minute, 0, pacing{0, time.Minute, time.Minute}},
		{"a client's own", Rate{BytesPerSecond: 1000}, 0, 0, pacing{1000, 20 * time.Second, longestStore}},
		{"none", Rate{BytesPerSecond: -1, Grace: time.Second}, time.Minute, defaultRate, pacing{0, time.Minute, time.Minute}},
		{"a grace over the stall limit", Rate{}, time.Second, defaultRate, pacing{240, time.Second, time.Second}},
		{"no grace", Rate{Grace: -1}, time.Minute, defaultRate, pacing{240, time.Second, time.Minute}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.rate.pacing(tt.stall, tt.standard))
		})
	}
}

func TestOctetsBuyTime(t *testing.T) {
	rate := Rate{BytesPerSecond: 100, Grace: 10 * time.Second}.pacing(30*time.Second, 0)
	silence := Rate{BytesPerSecond: -1}.pacing(30*time.Second, 0)
	none := Rate{}.pacing(0, 0)
	type step struct {
		took   time.Duration
		octets int64
		left   time.Duration // after it
	}
	tests := []struct {
		name  string
		rate  pacing
		steps []step
	}{
		{"silence", rate, []step{{4 * time.Second, 0, 6 * time.Second}, {6 * time.Second, 0, 0}}},
		{"the rate itself", rate, []step{{5 * time.Second, 500, 10 * time.Second}, {9 * time.Second, 900, 10 * time.Second}}},
		{"half the rate", rate, []step{{8 * time.Second, 400, 6 * time.Second}, {5 * time.Second, 250, 3500 * time.Millisecond}}},
		{"a burst fills the store and no more", rate, []step{{0, 1 << 40, 30 * time.Second}, {29 * time.Second, 1, 1010 * time.Millisecond}}},
		{"more octets than can be counted", rate, []step{{0, math.MaxInt64, 30 * time.Second}}},
		{"only silence is limited", silence, []step{{29 * time.Second, 1, 30 * time.Second}, {30 * time.Second, 0, 0}}},
		{"nothing is limited", none, []step{{time.Hour, 0, never}, {time.Hour, 1, never}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p pace
			require.Equal(t, tt.rate.start, p.left(&tt.rate))
			for _, s := range tt.steps {
				p.spend(s.took)
				p.earn(s.octets, &tt.rate)
				require.Equal(t, s.left, p.left(&tt.rate))
			}
		})
	}
}
