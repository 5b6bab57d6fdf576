//go:build race

package wiretest

// Race tells whether the race detector is on.
const Race = true
