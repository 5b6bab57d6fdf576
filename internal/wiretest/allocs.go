package wiretest

import "testing"

// allocRuns is how often Allocs runs the function. A collection that empties a
// pool in the midst of them costs less than one allocation a run.
const allocRuns = 1000

// Allocs fails the test when f allocates more often than budget in one run,
// on average and rounded down. It counts for the whole process, so it is not
// for parallel tests. Under the race detector it only runs f: there
// sync.Pool drops what it is given at random.
func Allocs(t testing.TB, budget int, f func()) {
	t.Helper()
	if Race {
		f()
		return
	}
	if got := testing.AllocsPerRun(allocRuns, f); int(got) > budget {
		t.Errorf("%v allocations a run, at most %d expected", got, budget)
	}
}
