package reqctx

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

type key struct{}

func TestWithSetsTheContext(t *testing.T) {
	ctx := context.WithValue(t.Context(), key{}, "x")
	r := &http.Request{Method: "GET", Host: "a"}
	got := With(r, ctx)
	require.Equal(t, "x", got.Context().Value(key{}))
	require.Equal(t, "GET", got.Method)
	require.Equal(t, "a", got.Host)
	require.Same(t, r, got, "net/http has changed: requests are copied, which is slower and still right")
	again := got.WithContext(t.Context())
	require.Nil(t, again.Context().Value(key{}))
	require.Equal(t, "x", got.Context().Value(key{}))
}

func TestWithoutTheFieldTheRequestIsCopied(t *testing.T) {
	defer func(was bool) { ok = was }(ok)
	ok = false
	r := &http.Request{Method: "GET"}
	got := With(r, context.WithValue(t.Context(), key{}, "x"))
	require.NotSame(t, r, got)
	require.Equal(t, "x", got.Context().Value(key{}))
}
