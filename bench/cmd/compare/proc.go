package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a child may take for an answer that needs no work.
const patience = 20 * time.Second

// child is a process started for one measurement. Its standard input is held open for as long as it shall live: a child
// that plays a role of this program ends when that input ends.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // standard output, line by line; closed at its end
	said   bytes.Buffer
	exited chan struct{}
}

// start runs argv on the given core. taskset replaces itself by the program, so the process id is the program's own.
func start(ctx context.Context, core string, argv ...string) (*child, error) {
	c := &child{
		cmd:    exec.CommandContext(ctx, "taskset", append([]string{"-c", core}, argv...)...),
		lines:  make(chan string, 64),
		exited: make(chan struct{}),
	}
	c.cmd.Stderr = &c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	go c.collect(out)
	return c, nil
}

// startRole runs this program again, in one of its roles.
func startRole(ctx context.Context, s *settings, core, peer string, argv ...string) (*child, error) {
	program, err := s.program(ctx, peer)
	if err != nil {
		return nil, err
	}
	return start(ctx, core, append([]string{program}, argv...)...)
}

func (c *child) collect(out io.Reader) {
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		c.lines <- scanner.Text()
	}
	close(c.lines)
	_ = c.cmd.Wait() // a child that is stopped ends by a signal: its exit status tells nothing
	close(c.exited)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// line returns the next line of output.
func (c *child) line(within time.Duration) (string, error) {
	select {
	case l, ok := <-c.lines:
		if !ok {
			<-c.exited
			return "", errors.New("the process ended: " + lastLines(c.said.String()))
		}
		return l, nil
	case <-time.After(within):
		return "", fmt.Errorf("no answer from process %d within %v", c.pid(), within)
	}
}

// expect returns the words behind the given first word, which the next line must have.
func (c *child) expect(word string, within time.Duration) ([]string, error) {
	l, err := c.line(within)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(l)
	if len(words) == 0 || words[0] != word {
		return nil, fmt.Errorf("the process said %q where %q was due", l, word)
	}
	return words[1:], nil
}

// ask writes one line to the child.
func (c *child) ask(line string) error {
	_, err := io.WriteString(c.in, line+"\n")
	return err
}

// stop ends the child by its process id and waits for its end.
func (c *child) stop() {
	c.in.Close()
	_ = c.cmd.Process.Kill() // it may have ended by itself
	for range c.lines {
	}
	<-c.exited
}

// residentBytes is the anonymous memory that process pid has in RAM. Pages of its program file are left out: they are
// shared, and the kernel takes them away and brings them back as it likes.
func residentBytes(pid int) (int64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("this kernel does not report RssAnon")
}

// openFiles counts the open files of process pid: its connections and a few more.
func openFiles(pid int) int {
	names, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

// lastLines is the end of what a process said, on one line.
func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > 6 {
		lines = lines[len(lines)-6:]
	}
	return strings.Join(lines, " | ")
}
