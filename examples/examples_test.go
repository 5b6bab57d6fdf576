// Package examples builds each example, runs it, talks to it and asks it to
// stop.
package examples

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is an example that runs.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	url string

	rest   chan struct{} // closed at the end of its output
	output []string      // the lines after the first, once rest is closed
}

// build builds an example.
func build(t *testing.T, name string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: this system has no signals to steer the example with")
	}
	bin := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// start builds and runs an example on a free port.
func start(t *testing.T, name string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(build(t, name), "-addr", "127.0.0.1:0"), rest: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		p.cmd.Process.Kill() // no effect after stop
		p.cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "it printed nothing")
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	require.True(t, ok, "the first line is %q", lines.Text())
	p.url = url
	go func() {
		defer close(p.rest)
		for lines.Scan() {
			p.output = append(p.output, lines.Text())
		}
	}()
	return p
}

// stop asks the example to stop and returns what it printed after its address.
func (p *program) stop() string {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.rest:
	case <-time.After(20 * time.Second):
		require.Fail(p.t, "it does not stop")
	}
	require.NoError(p.t, p.cmd.Wait(), "its exit")
	return strings.Join(p.output, "\n")
}

// ask sends one request and returns the answer's body.
func (p *program) ask(client *http.Client, method, path string, body io.Reader) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	require.NoError(p.t, err)
	res, err := client.Do(req)
	require.NoError(p.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res, string(got)
}

// newClient is a client with connections of its own, idle ones included.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestHello(t *testing.T) {
	t.Parallel()
	p := start(t, "hello")
	client := newClient(t)
	res, body := p.ask(client, "GET", "/you", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "hello, you\n", body)
	_, body = p.ask(client, "GET", "/me", nil)
	require.Equal(t, "hello, me\n", body)
	// The client's connection is idle and stays open: stopping must not wait for it.
	require.Equal(t, "stopped", p.stop())
}

func TestNative(t *testing.T) {
	t.Parallel()
	p := start(t, "native")
	client := newClient(t)
	_, body := p.ask(client, "GET", "/ping", nil)
	require.Equal(t, "pong\n", body)
	long := strings.Repeat("0123456789abcdef", 10000)
	res, body := p.ask(client, "POST", "/echo", strings.NewReader(long))
	require.EqualValues(t, len(long), res.ContentLength)
	require.True(t, long == body, "the echo differs")
	res, _ = p.ask(client, "GET", "/other", nil)
	require.Equal(t, http.StatusNotFound, res.StatusCode)

	// io.MultiReader hides the length, so that the request is chunked.
	res, body = p.ask(client, "POST", "/echo", io.MultiReader(strings.NewReader(long)))
	require.Equal(t, []string{"chunked"}, res.TransferEncoding)
	require.True(t, long == body, "the echo differs")

	output := p.stop()
	require.Regexp(t, `^127\.0\.0\.1:\d+: 4 requests, closed because the server shuts down\nstopped$`, output)
}

func TestConn(t *testing.T) {
	t.Parallel()
	p := start(t, "conn")
	client := newClient(t)
	res, body := p.ask(client, "GET", "/a", nil)
	require.Equal(t, "request 1 on this connection: GET /a\n", body)
	require.Contains(t, res.Header.Get("Keep-Alive"), "timeout=")
	res, body = p.ask(client, "GET", "/bye", nil)
	require.Equal(t, "request 2 on this connection: GET /bye\n", body)
	require.True(t, res.Close, "the answer says close")
	_, body = p.ask(client, "GET", "/b?c=d", nil)
	require.Equal(t, "request 1 on this connection: GET /b?c=d\n", body)

	output := strings.Split(p.stop(), "\n")
	require.Len(t, output, 3)
	require.Regexp(t, `: closed because this end wished it$`, output[0])
	require.Regexp(t, `: closed because this end wished it$`, output[1])
	require.Equal(t, "stopped", output[2])
}
