package field

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachKnownNameIsFoundInAnyCase(t *testing.T) {
	for id := Host; id < ids; id++ {
		name := id.String()
		require.NotEmpty(t, name)
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			require.Equalf(t, id, Lookup([]byte(s)), "%s", s)
		}
	}
}

// Names become keys of an http.Header.
func TestKnownNamesAreWrittenAsNetHTTPWritesThem(t *testing.T) {
	for id := Host; id < ids; id++ {
		require.Equal(t, http.CanonicalHeaderKey(id.String()), id.String())
	}
}

func TestOtherNamesAreUnknown(t *testing.T) {
	for id := Host; id < ids; id++ {
		name := id.String()
		for i := range len(name) {
			b := []byte(name)
			b[i] ^= 1 // another letter, another sign
			if got := Lookup(b); got != Unknown {
				require.Equalf(t, http.CanonicalHeaderKey(string(b)), got.String(), "%q", b)
			}
			require.NotEqual(t, id, Lookup(b))
		}
		require.NotEqual(t, id, Lookup([]byte(name[1:])))
		require.NotEqual(t, id, Lookup([]byte(name+"s")))
	}
	require.Equal(t, Unknown, Lookup(nil))
	require.Equal(t, Unknown, Lookup([]byte("X-Whatever")))
	require.Equal(t, Unknown, Lookup([]byte("Hos\xd4")))
	require.Equal(t, Unknown, Lookup([]byte("\x68\x4f\x53\x54\x00")))
	require.Empty(t, Unknown.String())
}

func TestCanonical(t *testing.T) {
	require.Equal(t, "Content-Length", Canonical([]byte("CONTENT-length")))
	require.Equal(t, "X-My-Own", Canonical([]byte("x-MY-own")))
	require.Zero(t, testing.AllocsPerRun(10, func() { Canonical([]byte("content-type")) }))
}

func TestMethods(t *testing.T) {
	for m := GET; int(m) < len(methods); m++ {
		require.NotEmpty(t, m.String())
		require.Equal(t, m, LookupMethod([]byte(m.String())))
		require.Equal(t, OtherMethod, LookupMethod([]byte(strings.ToLower(m.String()))), "case matters")
	}
	require.Equal(t, OtherMethod, LookupMethod([]byte("GETS")))
	require.Equal(t, OtherMethod, LookupMethod(nil))
	require.Empty(t, OtherMethod.String())
}

func BenchmarkLookup(b *testing.B) {
	for _, name := range []string{"Content-Length", "content-length", "X-Unknown-Name"} {
		wire := []byte(name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Lookup(wire)
			}
		})
	}
}

func TestASetHoldsWhatWasAdded(t *testing.T) {
	var s Set
	for id := range ids {
		require.False(t, s.Add(id))
		require.True(t, s.Add(id))
	}
}
