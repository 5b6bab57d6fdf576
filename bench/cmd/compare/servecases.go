package main

import (
	"context"
	"fmt"
	"os"
)

// runServerCases measures every chosen server under load, case by case.
func runServerCases(ctx context.Context, s *settings, limit int) error {
	for _, c := range serverCases {
		if !chosen(s.cases, c.name) {
			continue
		}
		if why := tooManyFiles(c.conns, limit); why != "" {
			fmt.Printf("### %s: %s\n\n%s\n\n", c.name, c.title, why)
			continue
		}
		t := newCostTable(c.name, c.title, "server")
		for _, v := range servers {
			if why := v.cannot(c.work); why == "" && (v.floor || chosen(s.subjects, v.name)) {
				t.add(v.name, v.floor, func() (sample, error) { return serveAndLoad(ctx, s, v, c) })
			}
		}
		if err := t.fill(ctx, s.rounds); err != nil {
			return err
		}
		t.print(os.Stdout)
	}
	return nil
}

// serveAndLoad measures one server once. It gets a fresh process each time: no round inherits another's heap.
func serveAndLoad(ctx context.Context, s *settings, v server, c serverCase) (sample, error) {
	p, addr, err := v.launch(ctx, s, c.work, false)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	return load(ctx, s, c, p.pid(), addr)
}
