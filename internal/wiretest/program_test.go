package wiretest

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// roleVar makes this test binary play a program.
const roleVar = "WIRETEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "server":
		playServer(os.Getenv("WIRETEST_ADDR"))
	case "broken":
		println("cannot bind")
		os.Exit(1)
	default:
		Main(m)
	}
}

// playServer accepts connections until it is asked to end.
func playServer(addr string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		os.Exit(1)
	}
	println("serving on", addr)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	<-stop
	println("asked to end")
}

// role returns the command that starts this test binary in a role.
func role(name, addr string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+name, "WIRETEST_ADDR="+addr)
	return cmd
}

func TestServerOnAPortIsReadyAndEndsWithItsTest(t *testing.T) {
	r := &recorder{TB: t}
	addr, p := StartOnPort(r, func(addr string) *exec.Cmd { return role("server", addr) })
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c.Close()

	r.cleanUp()
	<-p.Done()
	require.Contains(t, p.Output(), "serving on "+addr)
	require.Empty(t, r.logs, "output is logged only when the test failed")
	_, err = net.Dial("tcp", addr)
	require.Error(t, err)
}

func TestOutputIsLoggedWhenTheTestFailed(t *testing.T) {
	r := &recorder{TB: t}
	p := Start(r, role("broken", ""))
	<-p.Done()
	r.failed = true
	r.cleanUp()
	require.Len(t, r.logs, 1)
	require.Contains(t, r.logs[0], "cannot bind")
}

func TestServerThatNeverListensFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	tries := 0
	r.run(func() {
		StartOnPort(r, func(addr string) *exec.Cmd {
			tries++
			return role("broken", addr)
		})
	})
	r.cleanUp()
	require.Equal(t, portTries, tries)
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "did not listen")
}

func TestProgramIsFoundWithItsPath(t *testing.T) {
	require.FileExists(t, Program(t, "go"))
}

func TestMissingProgram(t *testing.T) {
	t.Run("skips", func(t *testing.T) {
		t.Setenv(requirePrograms, "")
		r := &recorder{TB: t}
		r.run(func() { Program(r, "h1-no-such-program") })
		require.Len(t, r.skips, 1)
		require.Empty(t, r.errors)
	})
	t.Run("fails where programs are required", func(t *testing.T) {
		t.Setenv(requirePrograms, "1")
		r := &recorder{TB: t}
		r.run(func() { Program(r, "h1-no-such-program") })
		require.Empty(t, r.skips)
		require.Len(t, r.errors, 1)
	})
}

func TestRunReturnsTheOutput(t *testing.T) {
	require.Contains(t, Run(t, "go", "version"), "go version")
	r := &recorder{TB: t}
	r.run(func() { Run(r, "go", "no-such-command") })
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "no-such-command")
}
