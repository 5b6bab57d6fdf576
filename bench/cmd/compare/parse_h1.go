package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The parser's benchmark runs twice, with so many heads; the difference is free of what starting costs.
const fewHeads, manyHeads = 100_000, 1_100_000

// parseH1 runs the root's own benchmark: h1's parser is not part of its face, so no other module can call it. The test
// binary is built once and measured from outside, by its CPU time like the other parsers.
func parseH1(ctx context.Context, s *settings) (parseFigure, error) {
	binary := filepath.Join(s.scratch, "h1.test")
	if _, err := os.Stat(binary); err != nil {
		if err := buildRootTest(ctx, binary); err != nil {
			return parseFigure{}, err
		}
	}
	few, _, err := runBenchmark(ctx, s, binary, fewHeads)
	if err != nil {
		return parseFigure{}, err
	}
	many, out, err := runBenchmark(ctx, s, binary, manyHeads)
	if err != nil {
		return parseFigure{}, err
	}
	allocs, err := readAllocations(out)
	return parseFigure{float64((many - few).Nanoseconds()) / (manyHeads - fewHeads), allocs}, err
}

func buildRootTest(ctx context.Context, binary string) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/h1go/h1").Output()
	if err != nil {
		return fmt.Errorf("finding the module's folder (run compare in bench/, with go at hand): %w", err)
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
	build.Dir = strings.TrimSpace(string(dir))
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the root's tests: %w: %s", err, lastLines(string(out)))
	}
	return nil
}

// runBenchmark returns the CPU time of one run over so many heads.
func runBenchmark(ctx context.Context, s *settings, binary string, heads int) (time.Duration, string, error) {
	test := exec.CommandContext(ctx, "taskset", "-c", s.measureCPU, binary, "-test.run", "^$", "-test.bench", "^BenchmarkParseRequest$",
		"-test.benchmem", "-test.benchtime", strconv.Itoa(heads)+"x")
	out, err := test.CombinedOutput()
	if err != nil {
		return 0, "", fmt.Errorf("%w: %s", err, lastLines(string(out)))
	}
	return test.ProcessState.UserTime() + test.ProcessState.SystemTime(), string(out), nil
}

// readAllocations finds the allocations in the output of a benchmark.
func readAllocations(out string) (allocs float64, err error) {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) > 1 && strings.HasPrefix(words[0], "BenchmarkParseRequest") && words[len(words)-1] == "allocs/op" {
			_, err = fmt.Sscan(words[len(words)-2], &allocs)
			return allocs, err
		}
	}
	return 0, errors.New("the root has no BenchmarkParseRequest")
}
