package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpreadOfEvenAndOddCounts(t *testing.T) {
	require.Equal(t, spread{1, 2, 9}, spreadOf([]float64{9, 1, 2}))
	require.Equal(t, spread{1, 2.5, 9}, spreadOf([]float64{9, 1, 2, 3}))
	require.Equal(t, spread{}, spreadOf(nil))
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	floor := []sample{{requests: 10, cpu: 10 * time.Microsecond}, {requests: 10, cpu: 40 * time.Microsecond}, {}}
	subject := []sample{{requests: 10, cpu: 20 * time.Microsecond}, {requests: 10, cpu: 80 * time.Microsecond}, {requests: 1, cpu: 1}}
	require.Equal(t, spread{2, 2, 2}, ratios(subject, floor))
}

func TestFiguresOfASample(t *testing.T) {
	s := sample{requests: 1000, cpu: 500 * time.Millisecond, wall: 2 * time.Second}
	require.Equal(t, 500.0, s.cost())
	require.Equal(t, 500.0, s.perSecond())
	require.Equal(t, 0.25, s.busy())
}

func TestFailedSamplesAreLeftOutOfTheSpread(t *testing.T) {
	samples := []sample{{errors: "failed"}, {requests: 1, cpu: time.Microsecond, wall: time.Second}}
	require.Equal(t, spread{1, 1, 1}, over(samples, sample.cost))
}
