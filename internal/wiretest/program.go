package wiretest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// requirePrograms, when "1", turns the skip of a missing program into a
// failure. CI sets it, since it installs them all.
const requirePrograms = "H1_REQUIRE_PROGRAMS"

// Program returns the path of a real program, and skips the test where it is
// not installed.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Debian keeps servers where an ordinary user's PATH does not lead.
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path
	}
	if os.Getenv(requirePrograms) == "1" {
		t.Fatalf("the program %s is not installed, and %s=1 requires it", name, requirePrograms)
	}
	t.Skipf("SKIPPED: the program %s is not installed", name)
	return ""
}

// runTime bounds a program run by Run.
const runTime = time.Minute

// Run runs a program to its end, and returns what it printed on both its
// outputs. The test fails when the program does.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(t, name), args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// Process is a real program that runs beside a test.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed

	mu  sync.Mutex
	out bytes.Buffer
}

// stopTime is how long a program may take to end when asked to.
const stopTime = 5 * time.Second

// Start starts a program and ends it, by its process id, when the test is
// over. Its output is in the test's log when the test failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %v: %v", cmd.Args, err)
		return nil
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("output of %v:\n%s", cmd.Args, p.Output())
		}
	})
	return p
}

// Write takes the program's output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Output returns what the program printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the program to end, insists when it does not, and waits until it
// is gone.
func (p *Process) Stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.cmd.Process.Kill()
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// portTries is how many ports StartOnPort tries: another process can take one
// between the moment it is found free and the program's own bind.
const portTries = 5

// readyTime is how long a program may take to listen.
const readyTime = 10 * time.Second

var errEnded = errors.New("it has ended")

// StartOnPort starts a server that has to be told its port. The command is
// made for an address that FreeAddr gives, and StartOnPort returns once the
// server accepts connections there. It tries another port when the program
// ends before that.
func StartOnPort(t testing.TB, command func(addr string) *exec.Cmd) (addr string, p *Process) {
	t.Helper()
	for range portTries {
		addr = FreeAddr(t)
		p = Start(t, command(addr))
		err := p.listening(addr)
		if err == nil {
			return addr, p
		}
		p.Stop()
		t.Logf("%v on %s: %v\n%s", p.cmd.Args, addr, err, p.Output())
		if err != errEnded {
			break
		}
	}
	t.Fatalf("%v did not listen", p.cmd.Args)
	return "", nil
}

// FreeAddr returns a loopback address that was free a moment ago. Where all of
// 127.0.0.0/8 is the loopback interface's, it is one that no listener on
// 127.0.0.1:0 is given in the meantime, as those of other packages' tests are.
func FreeAddr(t testing.TB) string {
	t.Helper()
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = "127.0.0.2"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatalf("finding a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listening waits until the address accepts connections. Another process
// gives no sign when it is ready, so it has to be asked again and again.
func (p *Process) listening(addr string) error {
	var err error
	for end := time.Now().Add(readyTime); time.Now().Before(end); {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-p.done:
			return errEnded
		case <-time.After(5 * time.Millisecond):
		}
	}
	return err
}
