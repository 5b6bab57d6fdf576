package h1

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A request may be cancelled at the moment when its turn comes. What it was
// given must not get lost then, or the origin is one connection short for good.
func TestTurnOfARequestThatGaveUpIsPassedOn(t *testing.T) {
	key := originKey{scheme: "http", addr: "example.com:80"}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // select takes either way
		p := &pool{maxHost: 1, maxIdle: 1, maxIdleHost: 1, policy: &policy{}}
		p.connect = func(context.Context, originKey) (*pooled, error) { return &pooled{c: &Conn{}}, nil }
		pc, err := p.take(t.Context(), key, false, false)
		require.NoError(t, err)
		_, first := p.tryTake(given, key, time.Now(), false, false)
		_, second := p.tryTake(t.Context(), key, time.Now(), false, false)
		p.put(pc) // the first one's turn
		if got, err := p.await(given, first); err == nil {
			p.put(got)
		}
		got, err := p.await(t.Context(), second)
		require.NoError(t, err)
		require.Same(t, pc, got)
		p.put(got)
		require.Equal(t, 1, p.idle.n)
	}
}

// Of the origins that have no connection any more a bounded number is
// remembered.
func TestOriginsWithoutConnectionsAreForgottenInTheEnd(t *testing.T) {
	p := &pool{policy: &policy{}}
	p.connect = func(context.Context, originKey) (*pooled, error) { return nil, context.Canceled }
	for i := range 2 * maxVacant {
		_, err := p.take(t.Context(), originKey{scheme: "http", addr: string(rune('a' + i))}, false, false)
		require.Error(t, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.origins, maxVacant)
	require.Equal(t, maxVacant, p.vacant.Len())
	require.Contains(t, p.origins, originKey{scheme: "http", addr: string(rune('a' + 2*maxVacant - 1))})
}

// The origin that was asked for last is found again without a look at the map,
// but not once it was forgotten.
func TestAForgottenOriginIsNotTheRecentOne(t *testing.T) {
	p := &pool{policy: &policy{}}
	key := func(i int) originKey { return originKey{scheme: "http", addr: string(rune('a' + i))} }
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range maxVacant + 1 {
		p.occupy(p.at(key(i)))
	}
	first := p.at(key(0))
	for i := range maxVacant + 1 {
		p.vacate(p.origins[key(i)])
	}
	require.Len(t, p.origins, maxVacant)
	again := p.at(key(0))
	require.NotSame(t, first, again)
	require.Same(t, again, p.origins[key(0)])
}
