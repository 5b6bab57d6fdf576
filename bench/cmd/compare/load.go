package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var loadScript []byte

const (
	scriptName = "load.lua"
	tailOfLoad = 300 * time.Millisecond // load goes on a little past the measured stretch
	crowd      = 5000                   // from so many connections on, opening them takes its time
	crowdWarm  = 2500 * time.Millisecond
)

func writeScript(dir string) error {
	return os.WriteFile(filepath.Join(dir, scriptName), loadScript, 0o644)
}

// load drives one server by wrk and returns the measured stretch.
func load(ctx context.Context, s *settings, c serverCase, pid int, addr string) (sample, error) {
	warm := s.warm
	if c.conns >= crowd {
		warm = max(warm, crowdWarm)
	}
	seconds := int((warm + s.measured + tailOfLoad + time.Second - 1) / time.Second)
	p, err := start(ctx, s.loadCPU, "wrk", "-t1", "-c"+strconv.Itoa(c.conns), "-d"+strconv.Itoa(seconds)+"s", "--timeout", "10s",
		"-s", filepath.Join(s.scratch, scriptName), "http://"+addr+"/", "--", strconv.Itoa(pid),
		strconv.FormatInt(warm.Nanoseconds(), 10), strconv.FormatInt(s.measured.Nanoseconds(), 10),
		strconv.Itoa(c.depth), c.work.method(), strconv.Itoa(c.work.body))
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	var output []string
	open := 0
	deadline := time.Duration(seconds)*time.Second + 15*time.Second
	for {
		line, err := p.line(deadline)
		if err != nil {
			break // the end of wrk's output, or its time: what was said so far tells
		}
		output = append(output, line)
		if open == 0 && strings.HasPrefix(line, "h1bench measured") {
			open = openFiles(pid)
		}
	}
	got, err := readLoad(output, s.measured)
	if err == nil && open < c.conns {
		got.errors = strings.TrimPrefix(got.errors+fmt.Sprintf(", only %d of %d connections open during the stretch", open, c.conns), ", ")
	}
	return got, err
}

// readLoad finds the script's lines in what wrk printed; the last figure counts. One that stopped before half of the
// stretch is none.
func readLoad(output []string, stretch time.Duration) (sample, error) {
	var out sample
	var finished bool
	for _, line := range output {
		var requests, cpu, wall int
		if n, _ := fmt.Sscanf(line, "h1bench measured %d %d %d", &requests, &cpu, &wall); n == 3 {
			out.requests, out.cpu, out.wall = requests, time.Duration(cpu), time.Duration(wall)
		}
		var connect, read, write, status, timeout int
		if n, _ := fmt.Sscanf(line, "h1bench errors %d %d %d %d %d", &connect, &read, &write, &status, &timeout); n == 5 {
			out.errors, finished = complaints(connect, read, write, status, timeout), true
		}
	}
	if !finished || out.wall < stretch/2 {
		return sample{}, errors.New("wrk gave no figure; it said: " + strings.Join(output, " | "))
	}
	return out, nil
}

// complaints puts wrk's error counters in words.
func complaints(connect, read, write, status, timeout int) string {
	var said []string
	for _, c := range []struct {
		n    int
		what string
	}{{connect, "failed connects"}, {read, "read errors"}, {write, "write errors"}, {status, "answers past 399"}, {timeout, "timeouts"}} {
		if c.n > 0 {
			said = append(said, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(said, ", ")
}
