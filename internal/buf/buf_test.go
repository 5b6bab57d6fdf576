package buf

import (
	"strings"
	"testing"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

func fill(v *Window, s string) {
	for len(s) > 0 {
		n := copy(v.Room(1), s)
		v.Filled(n)
		s = s[n:]
	}
}

func TestWindowKeepsUnreadOctetsAsItGrows(t *testing.T) {
	var v Window
	text := strings.Repeat("0123456789", 3000)
	fill(&v, text)
	require.Equal(t, text, string(v.Bytes()))
	v.Advance(29_000)
	require.Equal(t, text[29_000:], string(v.Bytes()))
}

func TestPinnedOctetsDoNotMove(t *testing.T) {
	var v Window
	fill(&v, "headbody")
	v.Pin(4)
	lent := v.Pinned()
	for range 5000 {
		fill(&v, "x")
		v.Advance(1)
	}
	require.Equal(t, "head", string(lent))
	require.Equal(t, "head", string(v.Pinned()))
	require.Same(t, &lent[0], &v.Pinned()[0], "a window that is read empty has no need to move")
}

func TestPinnedOctetsWithThoseBehindThem(t *testing.T) {
	var v Window
	fill(&v, "-headbody")
	v.Advance(1)
	v.Pin(4)
	require.Equal(t, "head", string(v.PinnedWith(0)))
	require.Equal(t, "headbo", string(v.PinnedWith(2)))
	require.Equal(t, "body", string(v.Bytes()), "they are still unread")
	require.Panics(t, func() { v.PinnedWith(5) })
	v.Advance(1)
	require.Panics(t, func() { v.PinnedWith(1) })
}

func TestGrowingLeavesLentOctetsAlone(t *testing.T) {
	var v Window
	fill(&v, "head")
	v.Pin(4)
	lent := v.Pinned()
	fill(&v, strings.Repeat("b", 10_000))
	other := get(Small) // had the window given its array back, this would be it
	copy(other, "XXXX")
	require.Equal(t, "head", string(lent))
	require.Equal(t, "head", string(v.Pinned()))
	require.Equal(t, 10_000, v.Len())
}

func TestReleaseKeepsWhatIsUnread(t *testing.T) {
	var v Window
	fill(&v, "x")
	v.Release()
	require.Equal(t, "x", string(v.Bytes()))
	v.Advance(1)
	v.Release()
	require.Nil(t, v.b)
	require.Empty(t, v.Bytes())
}

func TestTheFirstBufferIsAsLargeAsAsked(t *testing.T) {
	for least, want := range map[int]int{-1: Small, 0: Small, Small: Small, Small + 1: 16 << 10, 100 << 10: 128 << 10} {
		v, o := Window{Least: least}, Output{Least: least}
		for range 2 { // also after it was given back
			require.Len(t, v.Room(1), want)
			require.Equal(t, want, cap(o.Ready()))
			v.Release()
			o.Release()
		}
	}
}

func TestMisuseIsLoud(t *testing.T) {
	var v Window
	fill(&v, "x")
	require.Panics(t, func() { v.Advance(2) })
	require.Panics(t, func() { put(make([]byte, 10, Small)) })
	require.Panics(t, func() { put(make([]byte, 10)) })
}

func TestSteadyUseAllocatesNothing(t *testing.T) {
	var v Window
	var o Output
	step := func() {
		v.Filled(copy(v.Room(1), "GET / HTTP/1.1\r\n\r\n"))
		v.Pin(v.Len())
		v.Unpin()
		v.Release()
		o.B = append(o.Ready(), "HTTP/1.1 200 OK\r\n\r\n"...)
		o.Release()
	}
	step()
	if wiretest.Race {
		return // sync.Pool drops some of what it is given under the race detector
	}
	require.Less(t, testing.AllocsPerRun(1000, step), 0.5, "a collection may empty the pools now and then")
}
