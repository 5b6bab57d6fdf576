package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// costTable is one table of CPU time for each request.
type costTable struct {
	name, title, what string
	rows              []*costRow
}

type costRow struct {
	name    string
	floor   bool
	measure func() (sample, error)
	samples []sample
}

func newCostTable(name, title, what string) *costTable {
	return &costTable{name: name, title: title, what: what}
}

func (t *costTable) add(name string, floor bool, measure func() (sample, error)) {
	t.rows = append(t.rows, &costRow{name: name, floor: floor, measure: measure})
}

// fill measures every row once a round. Each round begins one row later, so that no row always follows the same one.
// A row that fails stays in the table with the reason: a missing figure must be seen.
func (t *costTable) fill(ctx context.Context, rounds int) error {
	for round := range rounds {
		for i := range t.rows {
			r := t.rows[(i+round)%len(t.rows)]
			got, err := r.measure()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				got = sample{errors: reason(err)}
			}
			r.samples = append(r.samples, got)
			fmt.Fprintf(os.Stderr, "%s round %d: %s %.2f us, %.0f/s %s\n", t.name, round+1, r.name, got.cost(), got.perSecond(), got.errors)
		}
	}
	return nil
}

func (t *costTable) floorSamples() []sample {
	for _, r := range t.rows {
		if r.floor {
			return r.samples
		}
	}
	return nil
}

func (t *costTable) print(w io.Writer) {
	fmt.Fprintf(w, "### %s: %s\n\n", t.name, t.title)
	printRow(w, t.what, "CPU us/request", "spread", "ratio to floor", "spread", "requests/s", "core busy", "errors")
	printRow(w, "---", "---:", "---", "---:", "---", "---:", "---:", "---")
	floor := t.floorSamples()
	for _, r := range t.rows {
		cost, ratio := over(r.samples, sample.cost), ratios(r.samples, floor)
		if cost.median == 0 {
			printRow(w, r.name, "-", "-", "-", "-", "-", "-", r.complaints())
			continue
		}
		printRow(w, r.name,
			fmt.Sprintf("%.2f", cost.median), fmt.Sprintf("%.2f to %.2f", cost.low, cost.high),
			fmt.Sprintf("%.2f", ratio.median), fmt.Sprintf("%.2f to %.2f", ratio.low, ratio.high),
			fmt.Sprintf("%.0f", over(r.samples, sample.perSecond).median),
			fmt.Sprintf("%.0f%%", 100*over(r.samples, sample.busy).median), r.complaints())
	}
	fmt.Fprintln(w)
}

// complaints gathers the errors of all rounds; "none" says that somebody looked.
func (r *costRow) complaints() string {
	var said []string
	for i, s := range r.samples {
		if s.errors != "" {
			said = append(said, fmt.Sprintf("round %d: %s", i+1, cell(s.errors)))
		}
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, "; ")
}

// cell fits an error into a table; standard error had it whole.
func cell(s string) string {
	const most = 160
	s = strings.ReplaceAll(s, "|", "/")
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}

func printRow(w io.Writer, cells ...string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// printMachine says where and how the figures below were made.
func printMachine(w io.Writer, s *settings, limit int) {
	load, _ := os.ReadFile("/proc/loadavg") // only a remark; an empty one does no harm
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(w, "Run on %s: `%s`\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), strings.Join(append([]string{"compare"}, os.Args[1:]...), " "))
	fmt.Fprintf(w, "%s, Linux %s, %d cores (%s), measured process on core %s, load on core %s, open files up to %d, load average at the start %s.\n",
		runtime.Version(), strings.TrimSpace(string(kernel)), runtime.NumCPU(), processorName(), s.measureCPU, s.loadCPU, limit, firstWord(string(load)))
	fmt.Fprintf(w, "%d rounds, %v measured after %v of warming in each. Peers: %s.\n\n", s.rounds, s.measured, s.warm, peerVersions())
	if s.measureCPU == s.loadCPU {
		fmt.Fprintf(w, "The load shares the core of the measured process: the figures hold less than usual.\n\n")
	}
}

func processorName() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// peerVersions reads the versions from the build itself, and nginx's from nginx.
func peerVersions() string {
	said := moduleVersions()
	if out, err := exec.Command("nginx", "-v").CombinedOutput(); err == nil {
		if _, version, ok := strings.Cut(strings.TrimSpace(string(out)), "nginx/"); ok {
			said = append(said, "nginx "+version)
		}
	}
	return strings.Join(said, ", ")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
