package main

// A measured process holds the code of one peer and no other's. A program into which all of them are linked has megabytes
// of their tables and start-up heap, which the collector then walks on behalf of whoever is measured: it made net/http's
// figures, and those of h1's http.Handler, up to twice as high as in a program of their own.

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program gives this program built anew with one peer's code, or with nobody's.
func (s *settings) program(ctx context.Context, peer string) (string, error) {
	binary := filepath.Join(s.scratch, "with-"+cmp.Or(peer, "none"))
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", "alone,"+peer, "-o", binary, "github.com/h1go/h1/bench/cmd/compare")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program to be measured (run this in bench/): %w\n%s", err, said)
	}
	return binary, nil
}
