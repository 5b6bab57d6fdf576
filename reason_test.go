package h1

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachReasonHasANameOfItsOwnThatReadsBack(t *testing.T) {
	seen := map[string]bool{}
	for r := range closeReasons {
		name := r.String()
		require.NotEmpty(t, name, "reason %d has no row", r)
		require.NotEmpty(t, r.Explain(), name)
		require.False(t, seen[name], name)
		seen[name] = true
		var back CloseReason
		require.NoError(t, back.UnmarshalText([]byte(name)))
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
