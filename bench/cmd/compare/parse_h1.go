package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// parseH1 has go test run the benchmark in the root: h1's parser is not part of its face, so no other module can call it.
// go test counts wall time.
func parseH1(ctx context.Context, s *settings) (parseFigure, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/h1go/h1").Output()
	if err != nil {
		return parseFigure{}, fmt.Errorf("finding the module's folder (run compare in bench/, with go at hand): %w", err)
	}
	test := exec.CommandContext(ctx, "taskset", "-c", s.measureCPU, "go", "test", "-run", "^$", "-bench", "^BenchmarkParseRequest$",
		"-benchmem", "-benchtime", s.measured.String(), "-cpu", "1", ".")
	test.Dir = strings.TrimSpace(string(dir))
	out, err := test.CombinedOutput()
	if err != nil {
		return parseFigure{}, fmt.Errorf("%w: %s", err, lastLines(string(out)))
	}
	return readBenchmark(string(out))
}

// readBenchmark finds the figures in the output of go test.
func readBenchmark(out string) (f parseFigure, err error) {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasPrefix(words[0], "BenchmarkParseRequest") {
			continue
		}
		for i, unit := range words[1:] {
			switch unit {
			case "ns/op":
				_, err = fmt.Sscan(words[i], &f.nanoseconds)
			case "allocs/op":
				_, err = fmt.Sscan(words[i], &f.allocs)
			}
			if err != nil {
				return f, err
			}
		}
		return f, nil
	}
	return f, errors.New("go test ran no BenchmarkParseRequest")
}
