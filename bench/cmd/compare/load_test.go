package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadLoadFindsTheFiguresAmongWrksOwnLines(t *testing.T) {
	got, err := readLoad([]string{
		"Running 3s test @ http://127.0.0.1:1/", "h1bench measured 500 6000000 1000000000",
		"h1bench measured 1000 12000000 2000000000", "  Thread Stats   Avg", "h1bench errors 0 0 0 0 0",
	}, 2*time.Second)
	require.NoError(t, err)
	require.Equal(t, sample{requests: 1000, cpu: 12 * time.Millisecond, wall: 2 * time.Second}, got)
}

func TestReadLoadNeverHidesErrors(t *testing.T) {
	got, err := readLoad([]string{"h1bench measured 1 1 1", "h1bench errors 1 2 3 4 5"}, 1)
	require.NoError(t, err)
	require.Equal(t, "1 failed connects, 2 read errors, 3 write errors, 4 answers past 399, 5 timeouts", got.errors)
}

func TestReadLoadWithoutFigureSaysWhatWrkSaid(t *testing.T) {
	_, err := readLoad([]string{"unable to connect", "h1bench errors 0 0 0 0 0"}, 100)
	require.ErrorContains(t, err, "unable to connect")
	_, err = readLoad([]string{"h1bench measured 1 1 1"}, 1)
	require.Error(t, err, "wrk did not finish")
	_, err = readLoad([]string{"h1bench measured 1 1 49", "h1bench errors 0 0 0 0 0"}, 100)
	require.Error(t, err, "less than half of the stretch")
}
