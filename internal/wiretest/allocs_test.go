package wiretest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var escaped []byte

func TestAllocsFailsPastItsBudget(t *testing.T) {
	if Race {
		t.Skip("nothing is counted under the race detector")
	}
	once := func() { escaped = make([]byte, 100) }
	r := &recorder{TB: t}
	Allocs(r, 1, once)
	require.Empty(t, r.errors)
	Allocs(r, 0, once)
	require.Len(t, r.errors, 1)
}
