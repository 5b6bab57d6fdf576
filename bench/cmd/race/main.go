// Command race measures how many requests clients lose to the idle-close race: a server that closes an idle connection
// while a request is on its way.
//
// The server is net/http's with a short idle timeout. Some clients at a time send POSTs, each a fixed gap after the answer
// to the one before: about the timeout, so that the server's end and the next request meet. A request is failed when its
// client says so, and repeated when the server's handler saw it twice.
//
// The control is the other way round: a server that has read the request, and then closes or resets the connection. A
// client that takes this for the race does the request twice.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// plan is what to measure.
type plan struct {
	limit   time.Duration // the server's idle timeout
	gaps    []time.Duration
	clients int
	turns   int // requests of each client
	rounds  int
	trials  int // of the control
	only    string
}

func main() {
	p := plan{}
	flag.DurationVar(&p.limit, "limit", 100*time.Millisecond, "the server's idle timeout")
	gaps := flag.String("gaps", "99.5ms,100ms,150ms", "pauses between an answer and the next request")
	flag.IntVar(&p.clients, "clients", 30, "goroutines that send")
	flag.IntVar(&p.turns, "turns", 30, "requests of each; the first finds no idle connection and is not counted")
	flag.IntVar(&p.rounds, "rounds", 3, "how often all of it is measured")
	flag.IntVar(&p.trials, "trials", 2000, "trials of each kind of the control")
	flag.StringVar(&p.only, "only", "", "a part of the names of the clients to measure")
	flag.Parse()
	for _, gap := range strings.Split(*gaps, ",") {
		d, err := time.ParseDuration(gap)
		if err != nil {
			fmt.Fprintln(os.Stderr, "race:", err)
			os.Exit(2)
		}
		p.gaps = append(p.gaps, d)
	}
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "race:", err)
		os.Exit(1)
	}
}

// run measures and prints tables.
func (p *plan) run() error {
	fmt.Printf("POSTs failed, of %d that could reuse a connection; idle timeout %v, %d clients\n\n", p.clients*(p.turns-1), p.limit, p.clients)
	fmt.Println("| client | gap | failed, by round | share | repeated | connections |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, gap := range p.gaps {
		for _, c := range peers {
			if !strings.Contains(c.name, p.only) {
				continue
			}
			if err := p.race(c, gap); err != nil {
				return err
			}
		}
	}
	if p.trials == 0 || !strings.Contains("h1", p.only) {
		return nil
	}
	fmt.Printf("\nControl, h1: the server reads the request, then ends the connection; %d trials each\n\n", p.trials)
	fmt.Println("| end | wire | reported | repeated |")
	fmt.Println("|---|---|---|---|")
	for _, secure := range []bool{false, true} {
		for _, end := range []string{"close", "reset"} {
			if err := p.control(end, secure); err != nil {
				return err
			}
		}
	}
	return nil
}

// race measures one client at one gap. A client that learns is measured a second time with what it knows.
func (p *plan) race(c peer, gap time.Duration) error {
	passes := 1
	if c.learns {
		passes = 2
	}
	failed := make([][]string, passes)
	sum, repeated, conns := make([]int, passes), make([]int, passes), make([]int, passes)
	for range p.rounds {
		s, err := serve(p.limit)
		if err != nil {
			return err
		}
		post, done := c.open(s.addr)
		for pass := range passes {
			s.reset()
			n := p.volley(post, gap)
			failed[pass] = append(failed[pass], fmt.Sprint(n))
			sum[pass] += n
			repeated[pass] += s.repeated()
			conns[pass] += s.conns()
		}
		done()
		s.close()
	}
	of := p.rounds * p.clients * (p.turns - 1)
	for pass := range passes {
		name := c.name
		if c.learns {
			name += []string{", cold", ", learned"}[pass]
		}
		fmt.Printf("| %s | %v | %s | %.2f%% | %d | %d |\n", name, gap, strings.Join(failed[pass], ", "),
			100*float64(sum[pass])/float64(of), repeated[pass], conns[pass]/p.rounds)
	}
	return nil
}
