package poll

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Events name slots by number, and a handle keeps its number for as long as it is
// added, however many come after it.
func TestSlotsStayWhereTheyAre(t *testing.T) {
	const n = 3*pageSize + 1
	var all table
	handles := make([]Handle, n)
	places := map[*slot]bool{}
	for i := range handles {
		all.take(&handles[i], nil)
		places[all.at(handles[i].slot)] = true
	}
	require.Len(t, places, n)
	require.Equal(t, n, all.used)
	for i := range handles {
		require.Same(t, &handles[i], all.at(handles[i].slot).h)
		require.True(t, places[all.at(handles[i].slot)])
	}
	require.Nil(t, all.at(n))
}

// A slot that was given back is taken before the table grows, and its next owner
// can be told from the one before.
func TestSlotsAreTakenAgain(t *testing.T) {
	const n = pageSize + 10
	var all table
	handles := make([]Handle, n)
	for i := range handles {
		all.take(&handles[i], nil)
	}
	for i := 0; i < n; i += 2 {
		all.giveBack(&handles[i])
		require.False(t, handles[i].added)
		require.Nil(t, all.at(handles[i].slot).h)
	}
	require.Equal(t, n/2, all.used)
	for range n / 2 {
		var h Handle
		all.take(&h, nil)
		require.EqualValues(t, 2, h.gen)
		require.Zero(t, h.slot%2, "one that was given back")
	}
	require.EqualValues(t, n, all.made)
	var more Handle
	all.take(&more, nil)
	require.EqualValues(t, n, more.slot)
	require.EqualValues(t, 1, more.gen)
}
