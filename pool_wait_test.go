package h1

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request may be cancelled at the moment when its turn comes. What it was
// given must not get lost then, or the origin is one connection short for good.
func TestTurnOfARequestThatGaveUpIsPassedOn(t *testing.T) {
	key := originKey{"http", "example.com:80"}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // select takes either way
		p := &pool{maxHost: 1, policy: &policy{}}
		_, err := p.take(t.Context(), key, false)
		require.NoError(t, err)
		_, first := p.tryTake(key, false)
		_, second := p.tryTake(key, false)
		p.gaveUp(key) // the first one's turn
		if _, err := p.await(given, first); err == nil {
			p.gaveUp(key)
		}
		_, err = p.await(t.Context(), second)
		require.NoError(t, err)
		p.gaveUp(key)
		require.Empty(t, p.origins, "nothing is kept of an origin without connections")
	}
}
