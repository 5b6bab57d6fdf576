package h1

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReasonsReadBackFromTheirNames(t *testing.T) {
	for r := range closeReasons {
		text, err := r.MarshalText()
		require.NoError(t, err)
		var back CloseReason
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, r, back)
	}
	var r CloseReason
	require.EqualError(t, r.UnmarshalText([]byte("no such\n")), `h1: unknown close reason "no such\n"`)
}

func TestCloseCountsReadWellAsJSON(t *testing.T) {
	var tally closeTally
	tally[CloseIdle], tally[ClosePeerEOF] = 2, 1
	counts := tally.counts()
	require.EqualValues(t, 3, counts.Total())
	text, err := json.Marshal(counts)
	require.NoError(t, err)
	require.JSONEq(t, `{"idle": 2, "peer_eof": 1}`, string(text))
	var back CloseCounts
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, counts, back)
}
