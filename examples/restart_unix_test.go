//go:build unix

package examples

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest/load"

	"github.com/stretchr/testify/require"
)

// output is what processes print that share it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// count waits until text was printed n times, and gives the rest of the line
// after the last.
func (o *output) count(t *testing.T, text string, n int) string {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(o.String(), text) >= n }, 30*time.Second, 5*time.Millisecond,
		"%d times %q in what was printed", n, text)
	all := o.String()
	rest, _, _ := strings.Cut(all[strings.LastIndex(all, text)+len(text):], "\n")
	return rest
}

// Three restarts under a load of which nothing is retried: old and new
// connections, GET and POST.
func TestRestartLosesNothing(t *testing.T) {
	var said output
	cmd := exec.Command(build(t, "restart"), "-addr", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &said, &said, 10*time.Second
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // no effect when it has ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	addr := said.count(t, "listening on http://", 1)
	dial := func() (net.Conn, error) { return net.Dial("tcp", addr) }
	methods := []string{"GET", "POST"}
	kept := load.Load{Conns: 40, Dial: dial, MaxPause: 8 * time.Millisecond, Methods: methods, Again: true}.Start()
	single := load.Load{Conns: 5, Dial: dial, MinPause: time.Millisecond, MaxPause: 8 * time.Millisecond, Methods: methods, Again: true, Single: true}.Start()
	kept.Begun()
	for n := 1; n <= 3; n++ {
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, syscall.Kill(pid, syscall.SIGHUP))
		next, err := strconv.Atoi(strings.Fields(said.count(t, "\nprocess ", n))[0])
		require.NoError(t, err)
		pid = next
		said.count(t, "stopped: ", n)
	}
	resp, err := http.Get("http://" + addr)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, fmt.Sprintln(pid), string(body))

	got, other := kept.Stop(), single.Stop()
	t.Log("kept connections:", got.String())
	t.Log("new connections:", other.String())
	require.Zero(t, got.Failed(), got.String())
	require.Zero(t, other.Failed(), other.String())
	require.GreaterOrEqual(t, got.Told, 3*40/2, "old processes told their clients")
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	said.count(t, "stopped: ", 4)
	require.NoError(t, cmd.Wait())
	require.NotContains(t, said.String(), " 1 cut")
}
