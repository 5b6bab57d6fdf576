package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// build builds the tour.
func build(t *testing.T) string {
	bin := filepath.Join(t.TempDir(), "tour.exe")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

func TestTourTellsOfEachWay(t *testing.T) {
	out, err := exec.Command(build(t)).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, row := range []string{
		`short connections +\d+\.\d\d ms +11 +1 +2\d{5} +this end wished it`,
		`short connections, in parallel +\d+\.\d\d ms +11 +1 +2\d{5} +this end wished it`,
		`one persistent connection +\d+\.\d\d ms +1 +11 +2\d{5} +the idle timeout passed`,
		`one pipelined connection +\d+\.\d\d ms +1 +11 +2\d{5} +this end wished it`,
	} {
		require.Regexp(t, `(?m)^`+row+`$`, string(out))
	}
	require.Equal(t, "opened used idle "+strings.Repeat("reused idle ", 10)+"closed", strings.Join(events(string(out)), " "))
	require.Regexp(t, `for request 11 of 11, GET /image/10\.png\n`, string(out))
}

// events are the words of the trace that name the events, in turn.
func events(out string) (words []string) {
	for _, m := range regexp.MustCompile(`(?m)^ +\d+\.\d\d ms  (\w+)`).FindAllStringSubmatch(out, -1) {
		words = append(words, m[1])
	}
	return words
}

func TestTourFailsWhenAnOctetDiffers(t *testing.T) {
	out, err := exec.Command(build(t), "-spoil").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, string(out), "/image/7.png: the response is not what it has to be")
}
