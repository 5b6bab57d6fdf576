package compat

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// The goroutines that h1 keeps for all servers of a process may stay.
func TestMain(m *testing.M) { wiretest.Main(m, "internal/poll", "(*dispatcher).work") }

// serve serves the handler until the test ends.
func serve(t *testing.T, h http.Handler) *h1test.Server {
	t.Helper()
	s := h1test.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// transports are the clients that each thing is asked with.
func transports(t *testing.T) map[string]http.RoundTripper {
	ours, theirs := &h1.Transport{}, &http.Transport{}
	t.Cleanup(ours.CloseIdleConnections)
	t.Cleanup(theirs.CloseIdleConnections)
	return map[string]http.RoundTripper{"h1's Transport": ours, "net/http's Transport": theirs}
}

// exchange sends a request and returns the answer with its body read.
func exchange(t *testing.T, c *http.Client, method, url, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := c.Do(req)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, string(got)
}

// connections is how many the server had, once they are closed.
func connections(s *h1test.Server) int {
	s.Close()
	return len(s.Ended())
}
