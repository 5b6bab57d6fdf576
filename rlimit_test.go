//go:build unix

package h1

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// fewFiles is the variable that makes this test's program the server of
// TestAProcessWithFewDescriptorsServesMany.
const fewFiles = "H1_TEST_FEW_FILES"

// A process that may open 64 files serves 300 clients at a time, each of which
// keeps its connection.
func TestAProcessWithFewDescriptorsServesMany(t *testing.T) {
	if os.Getenv(fewFiles) != "" {
		serveWithFewFiles(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAProcessWithFewDescriptorsServesMany$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), fewFiles+"=1")
	child := wiretest.Start(t, cmd)
	var addr string
	require.Eventually(t, func() bool {
		_, rest, ok := strings.Cut(child.Output(), "serving on ")
		addr, _, _ = strings.Cut(rest, "\n")
		return ok && addr != ""
	}, 20*time.Second, 10*time.Millisecond)

	const clients = 300
	held := make(chan net.Conn, clients)
	failed := make(chan error, clients)
	for range clients {
		go func() {
			nc, err := holdOne(addr)
			if err != nil {
				failed <- err
				return
			}
			held <- nc
		}()
	}
	for range clients {
		select {
		case nc := <-held:
			defer func() { _ = nc.Close() }()
		case err := <-failed:
			t.Fatal(err, child.Output())
		case <-time.After(50 * time.Second):
			t.Fatal("not all are served: ", child.Output())
		}
	}
	require.Equal(t, 1, strings.Count(child.Output(), "too many open files"), child.Output())
}

// holdOne makes one request on a connection of its own, which stays open.
func holdOne(addr string) (net.Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err = fmt.Fprint(nc, get("/")); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return nc, err
}

func serveWithFewFiles(t *testing.T) {
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Printf("serving on %s\n", l.Addr())
	s := &Server{Native: NativeHandlerFunc(echo)}
	t.Fatal(s.Serve(l)) // until it is killed
}
