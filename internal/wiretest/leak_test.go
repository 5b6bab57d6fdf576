package wiretest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func stuckHere(stop chan struct{}) { <-stop }

func TestNoLeaks(t *testing.T) {
	tests := []struct {
		name    string
		allowed []string
		early   bool // the goroutine is there before NoLeaks is called
		ends    bool // the goroutine ends while NoLeaks looks
		found   int
	}{
		{name: "goroutine left behind is reported", found: 1},
		{name: "allowed goroutine is not", allowed: []string{"wiretest.stuckHere"}},
		{name: "goroutine from before is not", early: true},
		{name: "goroutine on its way out gets time", ends: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				r := &recorder{TB: t}
				if tt.early {
					go stuckHere(stop)
					synctest.Wait()
				}
				NoLeaks(r, tt.allowed...)
				if !tt.early {
					go stuckHere(stop)
				}
				if tt.ends {
					go close(stop)
				}
				r.cleanUp()
				require.Len(t, r.errors, tt.found)
				for _, e := range r.errors {
					require.Contains(t, e, "wiretest.stuckHere")
				}
				if !tt.ends {
					close(stop)
				}
			})
		})
	}
}
