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
	deadline := time.Duration(seconds)*time.Second + 15*time.Second
	for {
		line, err := p.line(deadline)
		if err != nil {
			break // the end of wrk's output, or its time: what was said so far tells
		}
		output = append(output, line)
	}
	return readLoad(output)
}

// readLoad finds the script's lines in what wrk printed.
func readLoad(output []string) (sample, error) {
	var out sample
	var measured, finished bool
	for _, line := range output {
		var cpu, wall int64
		if n, _ := fmt.Sscanf(line, "h1bench measured %d %d %d", &out.requests, &cpu, &wall); n == 3 {
			out.cpu, out.wall, measured = time.Duration(cpu), time.Duration(wall), true
		}
		var connect, read, write, status, timeout int
		if n, _ := fmt.Sscanf(line, "h1bench errors %d %d %d %d %d", &connect, &read, &write, &status, &timeout); n == 5 {
			out.errors, finished = complaints(connect, read, write, status, timeout), true
		}
	}
	if !measured || !finished {
		return out, errors.New("wrk gave no figure; it said: " + strings.Join(output, " | "))
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
