package reqctx

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

type key struct{}

func TestSetSetsTheContext(t *testing.T) {
	ctx := context.WithValue(t.Context(), key{}, "x")
	r := &http.Request{Method: "GET", Host: "a"}
	Set(r, ctx)
	require.Equal(t, "x", r.Context().Value(key{}))
	require.Equal(t, "GET", r.Method)
	require.Equal(t, "a", r.Host)
	require.Zero(t, testing.AllocsPerRun(10, func() { Set(r, ctx) }), "net/http has changed: requests are copied, which is slower and still right")
	again := r.WithContext(t.Context())
	require.Nil(t, again.Context().Value(key{}))
	require.Equal(t, "x", r.Context().Value(key{}))
}

func TestWithoutTheFieldTheRequestIsCopied(t *testing.T) {
	defer func(was bool) { ok = was }(ok)
	ok = false
	r := &http.Request{Method: "GET"}
	Set(r, context.WithValue(t.Context(), key{}, "x"))
	require.Equal(t, "x", r.Context().Value(key{}))
	require.Equal(t, "GET", r.Method)
}
