package h1

// DIFFERENCES.md is written from the tables that hold the differences:
//
//	H1_UPDATE=1 go test -run AreWrittenDown .

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// settingsDiffer are the differences that are nobody's behaviour but defaults
// and names.
var settingsDiffer = []string{
	"A timeout of zero is a sound default and not \"none\", and a negative one is none; README.md has the defaults. `ReadTimeout` does not stand in for `IdleTimeout`.",
	"A new connection waits for its first request as an idle one does for the next, for `IdleTimeout`: `ReadHeaderTimeout` and `ReadTimeout` begin with a request's first octet, and not when its connection was accepted.",
	"`ServeTLS` offers HTTP/1.1 alone. HTTP/2 is offered when `TLSNextProto` has somebody for `h2`, whose function gets h1's `*Server`. A TLS listener of one's own that offers `h2`, as autocert.NewListener's does, needs somebody there too: such connections are closed.",
	"`ConnContext` is called when a connection first has something to be read, after its TLS handshake, by the goroutine that serves it, and not by the one that accepts; `ConnState` was told of `StateNew` by then.",
	"Where connections wait at the poller a request's context ends with its client whether or not the body was read; net/http looks once it was.",
	"`ConnState` is told of `StateActive` when a request's head is whole, and not at its first octet.",
	"`Shutdown` and `SetKeepAlivesEnabled(false)` give idle and new connections a moment for a request that is on its way, and do not close them at once.",
	"The `*http.Server` under `http.ServerContextKey` has the settings of the h1.Server, whose own key is `h1.ServerContextKey`, and serves nothing.",
}

func TestDifferencesAreWrittenDown(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What differs from net/http's Server\n\nThe same handlers and the same raw requests run on both servers in h1's tests, which fail when an answer or a\n" +
		"connection's fate differs and is not listed there with its reason. This file is written by these tests.\n")
	chapter(&b, "Settings", settingsDiffer)
	for _, name := range slices.Sorted(maps.Keys(notOurs)) {
		b.WriteString("- There is no `Server." + name + "`: it " + notOurs[name] + ".\n")
	}
	answers := map[string]string{}
	for _, c := range allContracts() {
		if c.differs != "" {
			answers[c.name] = c.differs
		}
	}
	chapter(&b, "Answers, by the name of their case in contract_*_test.go", byReason(answers))
	chapter(&b, "Requests, by the name of their case in testdata/wire", byReason(wireDiffers))

	RequireWritten(t, b.String())
}

// RequireWritten checks a part of DIFFERENCES.md, which its first line names, or
// writes it. The tests of both packages use it.
func RequireWritten(t *testing.T, part string) {
	t.Helper()
	read, err := os.ReadFile("DIFFERENCES.md")
	require.NoError(t, err)
	written := strings.ReplaceAll(string(read), "\r\n", "\n")
	title, _, _ := strings.Cut(part, "\n")
	start := strings.Index(written, title+"\n")
	if start < 0 {
		written += "\n"
		start = len(written)
	}
	end := len(written)
	if next := strings.Index(written[min(start+1, end):], "\n# "); next >= 0 {
		end = start + 1 + next
	}
	if os.Getenv("H1_UPDATE") != "" {
		written = written[:start] + part + written[end:]
		require.NoError(t, os.WriteFile("DIFFERENCES.md", []byte(written), 0o600))
		return
	}
	require.Equal(t, part, written[start:end], "run this test with H1_UPDATE=1")
}

func chapter(b *strings.Builder, title string, lines []string) {
	b.WriteString("\n## " + title + "\n\n")
	for _, line := range lines {
		b.WriteString("- " + line + "\n")
	}
}

// byReason joins the cases that have a reason in common.
func byReason(differs map[string]string) (lines []string) {
	names := map[string][]string{}
	for name, why := range differs {
		names[why] = append(names[why], name)
	}
	for _, why := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[why])
		lines = append(lines, why+": \""+strings.Join(names[why], "\", \"")+"\".")
	}
	return lines
}
