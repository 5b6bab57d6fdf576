package wiretest

import (
	"testing"
	"time"
)

// steadyTries is how often Steadily tries.
const steadyTries = 10

// Steadily is for what a peer may break off when it hears nothing for a while: it
// fails the test when try gives an error, unless this process stood still for
// longer than most in the meantime. Then the peer was right to, and it is tried
// again. Machines that run tests stand still for seconds.
func Steadily(t testing.TB, most time.Duration, try func() error) {
	t.Helper()
	for tries := 1; ; tries++ {
		longest := standstill()
		err := try()
		stood := longest()
		switch {
		case err == nil:
			return
		case stood <= most || tries == steadyTries:
			t.Fatalf("%v; nothing stood still for more than %v", err, stood)
			return
		}
		t.Logf("once more: %v, but all stood still for %v", err, stood)
	}
}

// standstill watches how long this process gets nothing done. The function ends
// the watch, and gives the longest such time.
func standstill() func() time.Duration {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var most time.Duration
		for last, ended := time.Now(), false; !ended; {
			select {
			case <-tick.C:
			case <-stop:
				ended = true
			}
			now := time.Now()
			most, last = max(most, now.Sub(last)), now
		}
		longest <- most
	}()
	return func() time.Duration {
		close(stop)
		return <-longest
	}
}
