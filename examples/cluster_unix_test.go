//go:build unix

package examples

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"
	"github.com/h1go/h1/internal/wiretest/load"

	"github.com/stretchr/testify/require"
)

// node is one server of a cluster, at an address that stays.
type node struct {
	bin, addr string
	args      []string
	cmd       *exec.Cmd
	said      output
}

func (n *node) start(t *testing.T) {
	t.Helper()
	before := strings.Count(n.said.String(), "listening on ")
	n.cmd = exec.Command(n.bin, append([]string{"-addr", n.addr}, n.args...)...)
	n.cmd.Stdout, n.cmd.Stderr = &n.said, &n.said
	require.NoError(t, n.cmd.Start())
	n.said.count(t, "listening on ", before+1)
}

// restart stops the server and starts it again, as a rolling update does with
// one after the other.
func (n *node) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, n.cmd.Wait(), "%s", n.said.String())
	n.start(t)
}

// cluster starts three servers at free addresses.
func cluster(t *testing.T, args ...string) []*node {
	bin := build(t, "restart")
	var nodes []*node
	for range 3 {
		n := &node{bin: bin, addr: wiretest.FreeAddr(t), args: args}
		n.start(t)
		t.Cleanup(func() {
			_ = n.cmd.Process.Kill()
			_ = n.cmd.Wait()
			if t.Failed() {
				t.Logf("%s:\n%s", n.addr, n.said.String())
			}
		})
		nodes = append(nodes, n)
	}
	return nodes
}

// balancer starts a load balancer with a configuration of examples/cluster, for
// the cluster's addresses and one of its own.
func balancer(t *testing.T, nodes []*node, config string, command func(dir, path string) *exec.Cmd) (addr, dir string, p *wiretest.Process) {
	text, err := os.ReadFile(filepath.Join("cluster", config))
	require.NoError(t, err)
	dir = t.TempDir()
	path := filepath.Join(dir, config)
	addr, p = wiretest.StartOnPort(t, func(listen string) *exec.Cmd {
		conf := strings.NewReplacer("127.0.0.1:8080", listen, "127.0.0.1:8081", nodes[0].addr,
			"127.0.0.1:8082", nodes[1].addr, "127.0.0.1:8083", nodes[2].addr).Replace(string(text))
		require.NoError(t, os.WriteFile(path, []byte(conf), 0o644))
		return command(dir, path)
	})
	return addr, dir, p
}

// roll restarts every server under load, by the balancer, and gives what the
// clients counted.
func roll(t *testing.T, addr string, nodes []*node, settle time.Duration) load.Result {
	t.Helper()
	running := load.Load{Conns: 24, MinPause: time.Millisecond, MaxPause: 30 * time.Millisecond,
		Methods: []string{"GET", "POST"}, Again: true,
		Dial: func() (net.Conn, error) { return net.Dial("tcp", addr) }}.Start()
	running.Begun()
	for _, n := range nodes {
		n.restart(t)
		time.Sleep(settle)
	}
	got := running.Stop()
	t.Log(got.String())
	return got
}

// requireNothingLost checks what clients saw, the statuses that the balancer
// logged, and that no server had to cut anything.
func requireNothingLost(t *testing.T, got load.Result, logged map[string]int, nodes []*node) {
	t.Helper()
	require.Zero(t, got.Failed(), got.String())
	delete(logged, "200")
	require.Empty(t, logged, "other statuses in the balancer's log")
	for _, n := range nodes {
		require.Contains(t, n.said.String(), " 0 cut, in ")
	}
}

// statuses counts the first submatches of a pattern in a log.
func statuses(log, pattern string) map[string]int {
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(log, -1) {
		seen[m[1]]++
	}
	return seen
}

// nginx goes on to use its idle connections to a server that drains, and to
// open new ones until it is refused. No POST is repeated.
func TestRollingRestartBehindNginx(t *testing.T) {
	program := wiretest.Program(t, "nginx")
	nodes := cluster(t, "-min-idle", "3s") // nginx keeps idle ones for 1 s
	addr, dir, p := balancer(t, nodes, "nginx.conf", func(dir, path string) *exec.Cmd {
		return exec.Command(program, "-p", dir, "-c", path, "-e", "stderr")
	})
	got := roll(t, addr, nodes, 700*time.Millisecond)
	p.Stop()
	access, err := os.ReadFile(filepath.Join(dir, "access.log"))
	require.NoError(t, err)
	logged := statuses(string(access), `(?m)^(\d+) `)
	require.GreaterOrEqual(t, logged["200"], got.Answered)
	requireNothingLost(t, got, logged, nodes)
	failures, err := os.ReadFile(filepath.Join(dir, "error.log"))
	require.NoError(t, err)
	for line := range strings.Lines(string(failures)) {
		require.Contains(t, line, "Connection refused", "a request went to a second server for another reason")
	}
}

// HAProxy asks the servers for their health, and leaves one alone that drains.
func TestRollingRestartBehindHAProxy(t *testing.T) {
	program := wiretest.Program(t, "haproxy")
	nodes := cluster(t, "-ready-delay", "3s") // 600 ms are enough for HAProxy, when it has the processor
	addr, _, p := balancer(t, nodes, "haproxy.cfg", func(dir, path string) *exec.Cmd {
		return exec.Command(program, "-f", path)
	})
	// A server that is back is used again after its first good check.
	got := roll(t, addr, nodes, time.Second)
	p.Stop()
	for _, server := range []string{"one", "two", "three"} {
		require.Contains(t, p.Output(), "Server servers/"+server+" is DOWN", "what is logged arrives")
	}
	requireNothingLost(t, got, statuses(p.Output(), `(?m)^(\d{3}) (?:GET|POST) `), nodes)
}
