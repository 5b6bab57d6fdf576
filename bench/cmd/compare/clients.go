package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// client is one row of the client tables.
type client struct {
	name, note string
	peer       string // whose code it needs, see build.go; empty: nobody's
	floor      bool
	pipelined  bool // its requests share one connection
	// open returns a function that makes one caller for each goroutine; a caller fetches the URL once and reads the
	// whole answer.
	open func(addr string) (newCaller func() (call func() error, err error), err error)
}

// clients in the order of the tables; peers' add themselves. The first is the floor.
var clients = []client{rawClient, h1Client, h1Pipelined, netHTTPClient}

// runClientCases measures every chosen client against the canned server.
func runClientCases(ctx context.Context, s *settings, _ int) error {
	for _, c := range clientCases {
		if !chosen(s.cases, c.name) {
			continue
		}
		t := newCostTable(c.name, c.title, "client")
		for _, v := range clients {
			if v.floor || v.pipelined == c.pipelined && chosen(s.subjects, v.name) {
				t.add(v.name, v.floor, func() (sample, error) { return callServer(ctx, s, v, c) })
			}
		}
		if err := t.fill(ctx, s.rounds); err != nil {
			return err
		}
		t.print(os.Stdout)
	}
	return nil
}

// callServer measures one client once: the canned server takes the core of the load, the client the measured one.
func callServer(ctx context.Context, s *settings, v client, c clientCase) (sample, error) {
	swapped := *s
	swapped.measureCPU = s.loadCPU
	srv, addr, err := cannedServer.launch(ctx, &swapped, work{task: taskSmall}, false)
	if err != nil {
		return sample{}, err
	}
	defer srv.stop()
	p, err := startRole(ctx, s, s.measureCPU, v.peer, "call", "-name", v.name, "-addr", addr, "-goroutines", fmt.Sprint(c.goroutines),
		"-warm", s.warm.String(), "-measured", s.measured.String())
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	line, err := p.line(s.warm + s.measured + patience)
	if err != nil {
		return sample{}, err
	}
	return readCalls(line)
}

func readCalls(line string) (sample, error) {
	var out sample
	var failures int
	if _, err := fmt.Sscanf(line, "called %d %d %d %d", &out.requests, &out.cpu, &out.wall, &failures); err != nil {
		return sample{}, fmt.Errorf("the client said %q: %w", line, err)
	}
	if failures > 0 {
		out.errors = fmt.Sprintf("%d failed requests", failures)
	}
	return out, nil
}

// callRole is this program as the measured client.
func callRole(args []string) error {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	name := flags.String("name", "", "client")
	addr := flags.String("addr", "", "server")
	goroutines := flags.Int("goroutines", 1, "callers at once")
	warm := flags.Duration("warm", 0, "calls before the measured stretch")
	measured := flags.Duration("measured", time.Second, "the measured stretch")
	if err := flags.Parse(args); err != nil {
		return err
	}
	i := slices.IndexFunc(clients, func(c client) bool { return c.name == *name })
	if i < 0 {
		return fmt.Errorf("no client %q", *name)
	}
	newCaller, err := clients[i].open(*addr)
	if err != nil {
		return err
	}
	crew := &crew{}
	for range *goroutines {
		call, err := newCaller()
		if err != nil {
			return err
		}
		crew.add(call)
	}
	crew.measure(*warm, *measured)
	return nil
}

// crew is the goroutines that call, with what they have done so far.
type crew struct {
	done, failed atomic.Int64
	stopped      atomic.Bool
	all          sync.WaitGroup
}

// add starts one goroutine that calls until the crew stops. The shared counter costs a few nanoseconds on one core.
func (c *crew) add(call func() error) {
	c.all.Go(func() {
		for !c.stopped.Load() {
			if err := call(); err != nil {
				c.failed.Add(1)
				continue
			}
			c.done.Add(1)
		}
	})
}

func (c *crew) measure(warm, measured time.Duration) {
	time.Sleep(warm)
	first, cpu, began := c.done.Load(), ownCPU(), time.Now()
	time.Sleep(measured)
	last, spent, wall := c.done.Load(), ownCPU()-cpu, time.Since(began)
	c.stopped.Store(true)
	c.all.Wait()
	fmt.Println("called", last-first, spent.Nanoseconds(), wall.Nanoseconds(), c.failed.Load())
}

// ownCPU is the CPU time of this process so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no way to fail for the own process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
