package handover

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// roleVar makes this test binary play the process that inherits.
const roleVar = "HANDOVER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "serves":
		serveNames(true)
	case "says nothing":
		serveNames(false)
	case "fails":
		os.Exit(3)
	}
}

// serveNames sends its name and its socket's to each connection of two
// inherited sockets, until its input ends.
func serveNames(ready bool) {
	for _, name := range []string{"one", "two"} {
		l, err := Listen(name, "none", "this network does not exist")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s of %d, variables: %q", name, os.Getpid(), os.Getenv(varFDs)+os.Getenv(varPID)+os.Getenv(varParent))
				_ = c.Close()
			}
		}()
	}
	if ready {
		if err := Ready(); err != nil {
			os.Exit(1)
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func sockets(t *testing.T) []Socket {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	two, err := net.Listen("unix", filepath.Join(t.TempDir(), "two"))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = one.Close()
		_ = two.Close()
	})
	return []Socket{{"one", one}, {"two", two}}
}

func heir(t *testing.T, role string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a process cannot be given descriptors on this system")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.Close() })
	return cmd
}

func hear(t *testing.T, l net.Listener) string {
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	heard, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(heard)
}

func TestTheNextProcessServesTheSameSockets(t *testing.T) {
	from := sockets(t)
	child, err := start(t.Context(), heir(t, "serves"), from)
	require.NoError(t, err)
	for _, s := range from {
		addr := s.Addr()
		require.NoError(t, s.Close(), "this process stops; the path of a Unix socket stays")
		require.Equal(t, fmt.Sprintf("%s of %d, variables: %q", s.Name, child.Pid, ""), hear(t, at{s.Listener, addr}))
	}
}

// at is a closed listener that still knows its address.
type at struct {
	net.Listener
	addr net.Addr
}

func (a at) Addr() net.Addr { return a.addr }

// Passing a descriptor on must not make it block: a process that goes on to
// accept could not be stopped any more.
func TestThisProcessStillAcceptsAndStops(t *testing.T) {
	from := sockets(t)
	_, err := start(t.Context(), heir(t, "fails"), from)
	require.ErrorIs(t, err, ErrNotReady)
	for _, s := range from {
		accepted := make(chan error, 1)
		go func() {
			_, err := s.Accept()
			accepted <- err
		}()
		require.NoError(t, s.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(50*time.Millisecond)))
		select {
		case err := <-accepted:
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		case <-time.After(10 * time.Second):
			t.Fatal("Accept blocks its thread")
		}
	}
}

func TestStartWaitsNoLongerThanItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := start(ctx, heir(t, "says nothing"), sockets(t))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStartNeedsADescriptor(t *testing.T) {
	_, err := start(t.Context(), heir(t, "serves"), []Socket{{"odd", at{}}})
	require.ErrorContains(t, err, `the listener "odd" is a handover.at, which has no descriptor`)
}

// As systemd does it: descriptors from 3 on, and the process's own id.
func TestSocketsPassedBySystemd(t *testing.T) {
	from := sockets(t)
	cmd := heir(t, "serves")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0]}
	told := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: told, Net: "unixgram"})
	require.NoError(t, err)
	defer func() { _ = systemd.Close() }()
	cmd.Env = append(cmd.Env, varFDs+"=2", varNames+"=one:two", "NOTIFY_SOCKET="+told)
	for _, s := range from {
		f, err := s.Listener.(interface{ File() (*os.File, error) }).File()
		require.NoError(t, err)
		defer func() { _ = f.Close() }()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	state := make([]byte, 100)
	require.NoError(t, systemd.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := systemd.Read(state)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("READY=1\nMAINPID=%d", cmd.Process.Pid), string(state[:n]))
	for _, s := range from {
		require.Contains(t, hear(t, s), s.Name+" of ")
	}
}

func TestWhatIsPassed(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want []string
		err  string
	}{
		{"nothing", nil, nil, ""},
		{"to this process", map[string]string{varFDs: "2", varPID: "7", varNames: "a:b"}, []string{"a", "b"}, ""},
		{"by its parent", map[string]string{varFDs: "1", varParent: "6", varNames: "a"}, []string{"a"}, ""},
		{"without names", map[string]string{varFDs: "2", varPID: "7"}, []string{"", ""}, ""},
		{"with too few names", map[string]string{varFDs: "2", varPID: "7", varNames: "a"}, []string{"a", ""}, ""},
		{"to another process", map[string]string{varFDs: "2", varPID: "8", varParent: "9"}, nil, ""},
		{"to nobody", map[string]string{varFDs: "2"}, nil, ""},
		{"no number", map[string]string{varFDs: "two", varPID: "7"}, nil, `handover: LISTEN_FDS is "two", which is no number of descriptors`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := passed(func(name string) string { return c.env[name] }, 7, 6)
			require.Equal(t, c.want, got)
			if c.err != "" {
				require.EqualError(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestListenWithoutAnythingInherited(t *testing.T) {
	l, err := Listen("one", "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, Ready(), "nobody waits for it")
}
