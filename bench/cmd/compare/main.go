// Command compare measures h1 and its peers in one call, on one machine, in turn.
//
// Its figure is the CPU time that the measured process spends for each request, and the ratio of that time to a floor
// that was measured in the same round. Requests per second are printed too, but on a busy machine they say more about
// the neighbours than about the server. README.md in the folder above tells how to read the tables.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// settings is what the flags choose.
type settings struct {
	rounds     int
	warm       time.Duration // load before the measured stretch
	measured   time.Duration // the measured stretch
	idleConns  int
	measureCPU string // the core of the measured process
	loadCPU    string // the core of its opposite
	awake      bool   // neither sleeps
	cases      []string
	subjects   []string
	scratch    string // temporary folder: certificate, Lua script, nginx files
}

func main() {
	// Children die with the thread that started them (see proc.go): keep to the first thread, it lives as long as we do.
	runtime.LockOSThread()
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			fail(role(os.Args[2:]))
			return
		}
	}
	s, list := parseFlags()
	if list {
		printNames()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(compare(ctx, s))
}

// roles are the parts that this program plays as its own child.
var roles = map[string]func([]string) error{
	"awake": awakeRole,
	"serve": serveRole,
	"call":  callRole,
	"hold":  holdRole,
	"parse": parseRole,
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parseFlags() (s *settings, list bool) {
	s = &settings{}
	var cases, subjects string
	var quick bool
	flag.IntVar(&s.rounds, "rounds", 3, "rounds; each round measures every subject once")
	flag.DurationVar(&s.measured, "duration", 1200*time.Millisecond, "length of a measured stretch")
	flag.DurationVar(&s.warm, "warm", 500*time.Millisecond, "load before each measured stretch")
	flag.IntVar(&s.idleConns, "idle", 10000, "connections held open by the idle cases")
	flag.StringVar(&s.measureCPU, "cpu", "0", "core of the measured process")
	flag.StringVar(&s.loadCPU, "loadcpu", "1", "core of the load, or of the server that a client calls")
	flag.BoolVar(&s.awake, "awake", false, "keep both cores from sleeping, by processes that yield to all others")
	flag.StringVar(&cases, "cases", "*", "cases to run: names or patterns, separated by commas")
	flag.StringVar(&subjects, "only", "*", "servers and clients to run: names or patterns, separated by commas (floors always run)")
	flag.BoolVar(&quick, "quick", false, "a look in about two minutes: one short round, fewer cases and idle connections")
	flag.BoolVar(&list, "list", false, "print the names of cases, servers and clients")
	flag.Parse()
	if quick {
		s.rounds, s.measured, s.warm, s.idleConns = 1, 500*time.Millisecond, 200*time.Millisecond, 2000
		if cases == "*" {
			cases = quickCases
		}
	}
	s.cases, s.subjects = strings.Split(cases, ","), strings.Split(subjects, ",")
	return s, list
}

// compare runs every chosen case and prints its table as soon as it is done.
func compare(ctx context.Context, s *settings) error {
	dir, err := os.MkdirTemp("", "h1bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.scratch = dir
	if err := prepareScratch(s); err != nil {
		return err
	}
	limit, err := raiseOpenFiles()
	if err != nil {
		return err
	}
	printMachine(os.Stdout, s, limit)
	if s.awake {
		sleep, err := keepAwake(ctx, s)
		if err != nil {
			return err
		}
		defer sleep()
	}
	for _, part := range []func(context.Context, *settings, int) error{runServerCases, runClientCases, runIdleCases, runParsers} {
		if err := part(ctx, s, limit); err != nil {
			return err
		}
	}
	return nil
}

// prepareScratch writes the files that children read.
func prepareScratch(s *settings) error {
	if err := writeCertificate(s.scratch); err != nil {
		return err
	}
	return writeScript(s.scratch)
}

// chosen tells whether name matches one of the patterns. A slash in a name is a letter like any other.
func chosen(patterns []string, name string) bool {
	letters := strings.NewReplacer("/", ":")
	for _, p := range patterns {
		if ok, err := path.Match(letters.Replace(p), letters.Replace(name)); ok && err == nil {
			return true
		}
	}
	return false
}

func printNames() {
	fmt.Println("cases:")
	for _, c := range serverCases {
		fmt.Printf("  %-12s %s\n", c.name, c.title)
	}
	for _, c := range clientCases {
		fmt.Printf("  %-12s %s\n", c.name, c.title)
	}
	for _, c := range idleCases {
		fmt.Printf("  %-12s %s\n", c.name, c.title)
	}
	fmt.Printf("  %-12s %s\n", "parse", parseTitle)
	fmt.Println("servers:")
	for _, v := range servers {
		fmt.Printf("  %-14s %s\n", v.name, v.note)
	}
	fmt.Println("clients:")
	for _, c := range clients {
		fmt.Printf("  %-14s %s\n", c.name, c.note)
	}
}
