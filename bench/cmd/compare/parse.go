package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// headSize is the size of the request head that parsers are measured with.
const headSize = 703

// bigHead is a browser's request of headSize octets: nine fields, the longest a cookie. The same text stands in the
// root's parser_bench_test.go, where h1's own parser is measured.
var bigHead = []byte("GET /media/library/uploads/2024/03/a-picture-of-two-kittens.jpg HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; some-distribution 10.6; xx-XX; rv:128.0.12) Gecko/20100101 Firefox/128.0 Tracker/0.9\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: de,en-us;q=0.7,en;q=0.3\r\n" +
	"Accept-Encoding: gzip,deflate\r\n" +
	"Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n" +
	"Keep-Alive: 115\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: visitor_session_n=2; visitor_session_last_time=1711111111; " +
	"first=111111111.1111111111.1111111111.1111111111.1111111111.1; " +
	"second=111111111.1111111111.1.1.source=(referral)|from=reader.example.com|path=/reader/|medium=referral_link\r\n\r\n")

// parser is one row of the parser table. open returns a function that parses bigHead once; it is nil where measure has
// another way to the figure.
type parser struct {
	name    string
	peer    string // whose code it needs, see build.go; empty: nobody's
	open    func() func() error
	measure func(context.Context, *settings) (parseFigure, error)
}

// parsers in the order of the table; peers' add themselves.
var parsers = []parser{
	{name: "h1", measure: parseH1},
	{name: "net/http", open: openNetHTTPParser},
}

// parseFigure is what one round says of a parser.
type parseFigure struct{ nanoseconds, allocs float64 }

// runParsers measures the parsers, interleaved like everything else.
func runParsers(ctx context.Context, s *settings, _ int) error {
	if !chosen(s.cases, "parse") {
		return nil
	}
	rows := make([]parseRow, len(parsers))
	for range s.rounds {
		for i, p := range parsers {
			if chosen(s.subjects, p.name) {
				rows[i].add(parseOnce(ctx, s, p))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	fmt.Printf("### parse: %s\n\n", parseTitle)
	printRow(os.Stdout, "parser", "ns/head", "spread", "allocations", "errors")
	printRow(os.Stdout, "---", "---:", "---", "---:", "---")
	for i, p := range parsers {
		rows[i].print(p.name)
	}
	fmt.Println()
	return nil
}

// parseRow is what all rounds say of one parser.
type parseRow struct {
	nanoseconds, allocs []float64
	failed              error
}

func (r *parseRow) add(f parseFigure, err error) {
	if err != nil {
		r.failed = err
		return
	}
	r.nanoseconds = append(r.nanoseconds, f.nanoseconds)
	r.allocs = append(r.allocs, f.allocs)
}

func (r *parseRow) print(name string) {
	said := "none"
	if r.failed != nil {
		said = cell(reason(r.failed))
	}
	switch n := spreadOf(r.nanoseconds); {
	case len(r.nanoseconds) > 0:
		printRow(os.Stdout, name, fmt.Sprintf("%.0f", n.median), fmt.Sprintf("%.0f to %.0f", n.low, n.high),
			fmt.Sprintf("%.0f", spreadOf(r.allocs).median), said)
	case r.failed != nil:
		printRow(os.Stdout, name, "-", "-", "-", said)
	}
}

func parseOnce(ctx context.Context, s *settings, p parser) (f parseFigure, err error) {
	if p.measure != nil {
		return p.measure(ctx, s)
	}
	c, err := startRole(ctx, s, s.measureCPU, p.peer, "parse", "-name", p.name, "-for", s.measured.String())
	if err != nil {
		return f, err
	}
	defer c.stop()
	line, err := c.line(s.measured + patience)
	if err != nil {
		return f, err
	}
	_, err = fmt.Sscanf(line, "parsed %g %g", &f.nanoseconds, &f.allocs)
	return f, err
}

// parseRole is this program as the process that parses.
func parseRole(args []string) error {
	flags := flag.NewFlagSet("parse", flag.ExitOnError)
	name := flags.String("name", "", "parser")
	length := flags.Duration("for", time.Second, "how long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	i := slices.IndexFunc(parsers, func(p parser) bool { return p.name == *name && p.open != nil })
	if i < 0 {
		return fmt.Errorf("no parser %q", *name)
	}
	f, err := timeParser(parsers[i].open(), *length)
	if err != nil {
		return err
	}
	fmt.Println("parsed", f.nanoseconds, f.allocs)
	return nil
}

// timeParser parses for about the given time. CPU time, not wall time: a neighbour on the core does not count.
func timeParser(parse func() error, length time.Duration) (parseFigure, error) {
	const batch = 1000
	run := func() error {
		for range batch {
			if err := parse(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(); err != nil { // warms caches and pools
		return parseFigure{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	count, cpu, end := 0, ownCPU(), time.Now().Add(length)
	for time.Now().Before(end) {
		if err := run(); err != nil {
			return parseFigure{}, err
		}
		count += batch
	}
	spent := ownCPU() - cpu
	runtime.ReadMemStats(&after)
	return parseFigure{float64(spent.Nanoseconds()) / float64(count), float64(after.Mallocs-before.Mallocs) / float64(count)}, nil
}
