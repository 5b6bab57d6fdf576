package wiretest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// modulePath marks the goroutines that are ours: those with a function of this
// module on their stack, and those such a function started.
const modulePath = "github.com/h1go/h1"

// NoLeaks makes the test fail when goroutines of this module that were not
// there before are left after the test and its later cleanups. Goroutines
// whose stack holds one of the allowed strings (a function's name, say) do
// not count. It looks at the whole process, so it is not for parallel tests.
func NoLeaks(t testing.TB, allowed ...string) {
	t.Helper()
	before := make(map[string]bool)
	for _, g := range goroutines() {
		before[goroutineID(g)] = true
	}
	t.Cleanup(func() {
		t.Helper()
		for _, g := range settle(before, allowed) {
			t.Errorf("a goroutine is left behind:\n%s", g)
		}
	})
}

// Main runs a package's tests for its TestMain, and fails the run when
// goroutines of this module are left at the end. See NoLeaks for allowed.
func Main(m *testing.M, allowed ...string) {
	code := m.Run()
	if code == 0 {
		for _, g := range settle(nil, allowed) {
			fmt.Fprintf(os.Stderr, "wiretest: a goroutine is left behind:\n%s\n", g)
			code = 1
		}
	}
	os.Exit(code)
}

// settle returns our goroutines that stay. Those on their way out get time:
// the pauses double from one millisecond on and last eight seconds in all.
func settle(before map[string]bool, allowed []string) []string {
	for pause := time.Millisecond; ; pause *= 2 {
		left := leaked(before, allowed)
		if len(left) == 0 || pause > 4*time.Second {
			return left
		}
		time.Sleep(pause)
	}
}

// leaked returns our goroutines that are neither known from before, nor
// allowed, nor a test's own.
func leaked(before map[string]bool, allowed []string) []string {
	var left []string
	for _, g := range goroutines()[1:] { // the first is the one that asks
		if !strings.Contains(g, modulePath) || strings.Contains(g, "testing.tRunner(") {
			continue
		}
		if before[goroutineID(g)] || containsAny(g, allowed) {
			continue
		}
		left = append(left, g)
	}
	return left
}

// goroutines returns the stack of each goroutine, the caller's own first.
func goroutines() []string {
	for size := 1 << 16; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return strings.Split(string(buf[:n]), "\n\n")
		}
	}
}

// goroutineID returns the number in a stack's first line, "goroutine 7 [...]:".
// Numbers are never given twice.
func goroutineID(stack string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
	return id
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
