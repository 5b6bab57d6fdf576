// Command shutdown measures what servers lose when they shut down under load.
//
// Every round starts a server, connects clients that send POSTs with pauses
// between them, and shuts the server down after a while. The clients look for
// the server's FIN before each request, obey `Connection: close` and retry
// nothing: what they count as lost was written and got no answer.
//
// Client and server share the process, and so the machine's noise; what is
// compared is a count and no time.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/h1go/h1/internal/wiretest/load"
)

// scene is one kind of load.
type scene struct {
	name        string
	conns       int
	least, most time.Duration
	single      bool // each request has a connection of its own
}

var scenes = []scene{
	{"busy", 100, 10 * time.Millisecond, 46 * time.Millisecond, false},
	{"saturated", 400, time.Millisecond, 7 * time.Millisecond, false},
	{"new connections", 50, 0, 4 * time.Millisecond, true},
}

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 10, "rounds for each server and load")
	only := flag.String("only", "", "servers to measure: those whose name has this in it")
	flag.Parse()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "load\tserver\tanswered\tlost\tof connections\tlongest shutdown\tlost by")
	for _, sc := range scenes {
		for _, s := range servers {
			if !strings.Contains(s.name, *only) {
				continue
			}
			if err := measure(w, sc, s, *rounds); err != nil {
				log.Fatalf("%s, %s: %v", sc.name, s.name, err)
			}
		}
	}
}

func measure(w *tabwriter.Writer, sc scene, s server, rounds int) error {
	var all load.Result
	var longest time.Duration
	for range rounds {
		got, took, err := round(sc, s)
		if err != nil {
			return err
		}
		all.Add(got)
		longest = max(longest, took)
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%v\t%v\n", sc.name, s.name, all.Answered, all.LostRequests(),
		rounds*sc.conns, longest.Round(time.Millisecond), all.Lost)
	return w.Flush()
}

// busyFor is how long the load runs before the shutdown.
const busyFor = 300 * time.Millisecond

func round(sc scene, s server) (load.Result, time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return load.Result{}, 0, err
	}
	addr := l.Addr().String()
	shutdown, dial := s.start(l)
	if dial == nil {
		dial = func() (net.Conn, error) { return net.Dial("tcp", addr) }
	}
	running := load.Load{Conns: sc.conns, Dial: dial, MinPause: sc.least, MaxPause: sc.most,
		Methods: []string{"POST"}, Single: sc.single, Again: sc.single}.Start()
	running.Begun()
	time.Sleep(busyFor)
	began := time.Now()
	err = shutdown()
	took := time.Since(began)
	if !sc.single {
		return running.Wait(), took, err
	}
	return running.Stop(), took, err
}
