package wiretest

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestEachCutCoversEveryOffset(t *testing.T) {
	got := map[string][]string{}
	EachCut("abc", func(name string, segments []string) { got[name] = segments })
	want := map[string][]string{
		"whole":          {"abc"},
		"octet by octet": {"a", "b", "c"},
		"cut at 1":       {"a", "bc"},
		"cut at 2":       {"ab", "c"},
	}
	require.Empty(t, cmp.Diff(want, got))
}

func TestWriteSegmentsKeepsTheCuts(t *testing.T) {
	EachCut("GET / HTTP/1.1", func(name string, segments []string) {
		a, b := Pair()
		require.NoError(t, WriteSegments(a, segments))
		require.NoError(t, a.CloseWrite())
		var got []string
		p := make([]byte, 100)
		for {
			n, err := b.Read(p)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			got = append(got, string(p[:n]))
		}
		require.Empty(t, cmp.Diff(segments, got), name)
	})
}

func TestWriteSegmentsStopsAtTheFirstError(t *testing.T) {
	a, b := Pair()
	w := Faults{WriteErr: io.ErrClosedPipe, WriteLimit: 3}.Wrap(a)
	require.ErrorIs(t, WriteSegments(w, []string{"ab", "cd", "ef"}), io.ErrClosedPipe)
	require.Equal(t, 3, b.Pending())
}
