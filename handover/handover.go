// Package handover gives a listening socket to the process that follows, so
// that a restart refuses no connection: the socket stays open all the time, and
// connections wait in its queue until somebody accepts them.
//
// There are two ways, and Listen serves both.
//
// Under systemd's socket activation the service manager holds the socket and
// passes it to each process that it starts (sd_listen_fds(3)): a socket unit
// with ListenStream= and, for Listen to find it, FileDescriptorName=.
//
// Without a service manager, Start runs the program anew with the sockets of
// this process. When the new one has called Ready, this one drains:
//
//	l, err := handover.Listen("web", "tcp", ":8080")
//	...
//	go srv.Serve(l)
//	handover.Ready()
//	<-restart // SIGHUP, say
//	if _, err := handover.Start(ctx, handover.Socket{Name: "web", Listener: l}); err == nil {
//		srv.Shutdown(ctx)
//	}
package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Socket is a listener with the name by which the next process finds it.
type Socket struct {
	Name string
	net.Listener
}

// The variables of sd_listen_fds(3), and two of this package: in place of
// LISTEN_PID, which cannot be known before the child runs, the parent's id; and
// the descriptor by which the child says that it is ready.
const (
	varPID    = "LISTEN_PID"
	varFDs    = "LISTEN_FDS"
	varNames  = "LISTEN_FDNAMES"
	varParent = "H1_HANDOVER_PARENT"
	varReady  = "H1_HANDOVER_READY"
)

// firstFD is where passed descriptors begin: SD_LISTEN_FDS_START.
const firstFD = 3

// Inherited gives the listeners that this process was started with, in their
// order; none when it was started without. Every call gives the same ones. The
// variables that told of them are removed, so that children do not take them to
// be meant for themselves.
func Inherited() ([]Socket, error) { return inherited() }

var inherited = sync.OnceValues(func() ([]Socket, error) {
	names, err := passed(os.Getenv, os.Getpid(), os.Getppid())
	if err != nil || names == nil {
		return nil, err
	}
	for _, name := range []string{varPID, varFDs, varNames, varParent} {
		_ = os.Unsetenv(name)
	}
	var sockets []Socket
	for i, name := range names {
		l, err := listener(firstFD+i, name)
		if err != nil {
			return nil, fmt.Errorf("handover: descriptor %d (%s): %w", firstFD+i, name, err)
		}
		sockets = append(sockets, Socket{name, l})
	}
	return sockets, nil
})

// passed is the names of the descriptors that are meant for this process.
func passed(getenv func(string) string, pid, parent int) ([]string, error) {
	switch {
	case getenv(varFDs) == "":
		return nil, nil
	case getenv(varPID) != strconv.Itoa(pid) && getenv(varParent) != strconv.Itoa(parent):
		return nil, nil // meant for another process that did not clean up
	}
	n, err := strconv.Atoi(getenv(varFDs))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("handover: %s is %q, which is no number of descriptors", varFDs, getenv(varFDs))
	}
	names := make([]string, n)
	if list := getenv(varNames); list != "" {
		copy(names, strings.Split(list, ":"))
	}
	return names, nil
}

// listener takes a descriptor over; its own number is free afterwards.
func listener(fd int, name string) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	return net.FileListener(f)
}

// Listen gives the inherited listener of that name, and listens anew when there
// is none. An inherited one keeps the address it has.
func Listen(name, network, address string) (net.Listener, error) {
	sockets, err := Inherited()
	if err != nil {
		return nil, err
	}
	for _, s := range sockets {
		if s.Name == name {
			return s.Listener, nil
		}
	}
	return net.Listen(network, address)
}

// ErrNotReady is why Start failed when the new process ended without Ready.
var ErrNotReady = errors.New("handover: the new process ended before it was ready")

// Start runs this program anew, with the same arguments and the sockets, and
// waits until that process calls Ready. Its standard output and error are this
// process's. When it ends before, or ctx does, it is killed, the error says so,
// and this process keeps serving. Not on Windows.
func Start(ctx context.Context, sockets ...Socket) (*os.Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, exec.Command(program, os.Args[1:]...), sockets)
}

func start(ctx context.Context, cmd *exec.Cmd, sockets []Socket) (*os.Process, error) {
	ready, said, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	err = pass(cmd, sockets, said)
	if err == nil {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		err = cmd.Start()
	}
	for _, f := range cmd.ExtraFiles {
		_ = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("handover: starting %s: %w", cmd.Path, err)
	}
	if err := await(ctx, ready); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	for _, s := range sockets {
		if u, ok := s.Listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the path is the new process's from now on
		}
	}
	go func() { _ = cmd.Wait() }() // should it end before this process, it leaves no zombie
	return cmd.Process, nil
}

// pass adds the sockets, and the pipe by which the child says that it is ready,
// to what the child is started with.
func pass(cmd *exec.Cmd, sockets []Socket, said *os.File) error {
	cmd.ExtraFiles = []*os.File{}
	var names []string
	for _, s := range sockets {
		l, ok := s.Listener.(syscall.Conn)
		if !ok {
			_ = said.Close()
			return fmt.Errorf("the listener %q is a %T, which has no descriptor", s.Name, s.Listener)
		}
		f, err := dup(l, s.Name)
		if err != nil {
			_ = said.Close()
			return err
		}
		cmd.ExtraFiles, names = append(cmd.ExtraFiles, f), append(names, s.Name)
	}
	cmd.Env = append(cmd.Environ(),
		varParent+"="+strconv.Itoa(os.Getpid()),
		varFDs+"="+strconv.Itoa(len(sockets)),
		varNames+"="+strings.Join(names, ":"),
		varReady+"="+strconv.Itoa(firstFD+len(sockets)))
	cmd.ExtraFiles = append(cmd.ExtraFiles, said)
	return nil
}

// await waits until the child says that it is ready.
func await(ctx context.Context, ready *os.File) error {
	heard := make(chan error, 1)
	go func() {
		n, _ := ready.Read(make([]byte, 1))
		if n == 0 {
			heard <- ErrNotReady
		}
		close(heard)
	}()
	select {
	case err := <-heard:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready says that this process serves: to the process that Started it, and to
// systemd when that waits for it (Type=notify), which learns the new main
// process as well. Without either it does nothing.
func Ready() error {
	return errors.Join(tellParent(), notify(fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid())))
}

func tellParent() error {
	fd, err := strconv.Atoi(os.Getenv(varReady))
	if err != nil {
		return nil
	}
	_ = os.Unsetenv(varReady)
	f := os.NewFile(uintptr(fd), varReady)
	_, err = f.Write([]byte{1})
	return errors.Join(err, f.Close())
}

// notify sends a state to systemd, as sd_notify(3) does.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}
