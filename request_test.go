package h1

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// What plainTarget takes, net/url has to take the same way.
func FuzzPlainTarget(f *testing.F) {
	for _, seed := range []string{"/", "/a/b.html?x=1&y=%20", "//host/path", "/a?", "/a??", "/?q", "/%41", "/a b", "/ü", "/a;b=c,d@e:f", "/.././x", "/a#b", "/(x)!*'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if target == "" || target[0] != '/' {
			return
		}
		for i := range len(target) { // the parser lets no other octets into a target
			if target[i] <= ' ' || target[i] >= 0x7f || target[i] == '#' {
				return
			}
		}
		path, query, ok := plainTarget(target)
		if !ok {
			return
		}
		want, err := url.ParseRequestURI(target)
		require.NoError(t, err)
		if diff := cmp.Diff(*want, url.URL{Path: path, RawQuery: query}); diff != "" {
			t.Fatalf("%q: net/url has it otherwise (-net/url +h1):\n%s", target, diff)
		}
	})
}
