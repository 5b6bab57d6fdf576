package h1_test

// slowhttptest's attacks: many clients that send or read as slowly as they can.
// Others have to be answered as always, and none of it may cost memory for good.

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// attackers is how many connections each attack opens.
const attackers = 300

func TestSlowhttptest(t *testing.T) {
	wiretest.Program(t, "slowhttptest")
	attacks := []struct {
		name  string
		flags []string
		path  string
		why   error // what most of its connections ended with; nil: they took their answers
	}{
		{"slow headers", []string{"-H", "-i", "1", "-x", "10"}, "/small", fault.HeadTimeout},
		{"slow bodies", []string{"-B", "-i", "1", "-x", "10", "-s", "100000"}, "/echo", fault.BodyTimeout},
		{"ranges", []string{"-R", "-a", "1", "-b", "3000", "-t", "GET"}, "/ranges", nil},
		{"slow reading", []string{"-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "5"}, "/huge", fault.WriteTimeout},
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { underAttack(t, a.flags, a.path, a.why) })
	}
}

var (
	colours      = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	availability = regexp.MustCompile(`service available: +(\S+)`)
)

func underAttack(t *testing.T, flags []string, path string, why error) {
	mux := http.NewServeMux()
	mux.Handle("/", realHandler())
	huge := payload(floodSize)
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) { w.Write(huge) })
	mux.HandleFunc("/ranges", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "f.bin", time.Time{}, bytes.NewReader(payload(bigSize)))
	})
	s := serveReal(t, &h1.Server{Handler: mux, ReadHeaderTimeout: 2 * time.Second, StallTimeout: 3 * time.Second,
		Limits: h1.Limits{
			MinReadRate:  h1.Rate{Grace: 2 * time.Second},
			MinWriteRate: h1.Rate{BytesPerSecond: 1000, Grace: 2 * time.Second},
		}})
	client, transport := netClient(t)
	usual := median(answerTimes(t, client, s.url, time.Second, nil))
	transport.CloseIdleConnections()
	before := footprint()

	args := append([]string{"-c", fmt.Sprint(attackers), "-r", fmt.Sprint(attackers), "-l", "7", "-p", "5", "-u", s.url + path}, flags...)
	ended, out := make(chan struct{}), ""
	go func() {
		defer close(ended)
		out = wiretest.Run(t, "slowhttptest", args...)
	}()
	times := answerTimes(t, client, s.url, 0, ended)
	transport.CloseIdleConnections()
	probes := availability.FindAllStringSubmatch(colours.ReplaceAllString(out, ""), -1)
	require.NotEmpty(t, probes, out)
	for _, probe := range probes {
		require.Equal(t, "YES", probe[1], "slowhttptest's own probe")
	}
	during := median(times)
	t.Logf("a small answer took %v before and %v during the attack, %v at most, of %d", usual, during, slices.Max(times), len(times))
	require.Less(t, during, 10*usual+50*time.Millisecond) // the machine has other work, too
	ends := s.all(t)
	require.Greater(t, len(ends), attackers/2)
	if why != nil {
		n := 0
		for _, end := range ends {
			if errors.Is(end.Err, why) {
				n++
			}
		}
		require.Greater(t, n, attackers/3, "%v, of %d", why, len(ends))
	}
	after := footprint()
	t.Logf("before: %v; after: %v", before, after)
	require.Less(t, after.memory, before.memory+8<<20)
	require.Less(t, after.goroutines, before.goroutines+restingGoroutines)
}

// restingGoroutines are those that a process keeps for the next burst.
const restingGoroutines = 80

// answerTimes asks again and again for a small answer, for a while or until
// stop is closed, and tells how long each took.
func answerTimes(t *testing.T, client *http.Client, url string, long time.Duration, stop <-chan struct{}) (times []time.Duration) {
	t.Helper()
	end := make(<-chan time.Time)
	if long > 0 {
		end = time.After(long)
	}
	for {
		begin := time.Now()
		fetch(t, client, http.MethodGet, url+"/small", nil)
		times = append(times, time.Since(begin))
		select {
		case <-end:
			return times
		case <-stop:
			return times
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// print is what a process holds.
type print struct {
	memory     uint64 // in heap and stacks
	goroutines int
}

func (p print) String() string {
	return fmt.Sprintf("%d KiB, %d goroutines", p.memory>>10, p.goroutines)
}

func footprint() print {
	runtime.GC()
	runtime.GC() // what pools hold goes at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return print{m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()}
}
