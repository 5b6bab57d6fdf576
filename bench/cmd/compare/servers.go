package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// server is one row of the server tables.
type server struct {
	name, note string
	peer       string // whose code it needs, see build.go; empty: nobody's
	floor      bool
	idleOnly   bool   // a floor of the idle tables alone
	lacks      []task // what it cannot be asked for
	noTLS      bool
	// run serves w until the process ends, and calls ready once with its address. Not used when command is there.
	run func(w work, tlsConfig *tls.Config, ready func(addr string)) error
	// command starts a server that is another program.
	command func(ctx context.Context, s *settings, w work, overTLS bool) (*child, string, error)
}

// servers in the order of the tables; peers' add themselves. The first is the floor that the ratios are taken to.
var servers = []server{cannedServer, heldServer, bareServer, h1Server, h1NativeServer, netHTTPServer, nginxServer}

// cannot says why v has no figure for w, or nothing when it has.
func (v server) cannot(w work) string {
	if v.idleOnly {
		return "idle cases only"
	}
	if slices.Contains(v.lacks, w.task) {
		return "has no " + string(w.task)
	}
	return ""
}

// launch starts server v on the measured core.
func (v server) launch(ctx context.Context, s *settings, w work, overTLS bool) (*child, string, error) {
	if v.command != nil {
		return v.command(ctx, s, w, overTLS)
	}
	args := []string{"serve", "-name", v.name, "-task", string(w.task), "-body", fmt.Sprint(w.body)}
	if overTLS {
		args = append(args, "-certificate", s.scratch)
	}
	c, err := startRole(ctx, s, s.measureCPU, v.peer, args...)
	if err != nil {
		return nil, "", err
	}
	words, err := c.expect("listening", patience)
	if err != nil || len(words) != 1 {
		c.stop()
		return nil, "", fmt.Errorf("%s did not listen: %w", v.name, err)
	}
	return c, words[0], nil
}

// serveRole is this program as the measured server.
func serveRole(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	name := flags.String("name", "", "server")
	taskName := flags.String("task", string(taskSmall), "task")
	body := flags.Int("body", 0, "size of request bodies")
	certificate := flags.String("certificate", "", "folder of the certificate; empty for plain TCP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := raiseOpenFiles(); err != nil {
		return err
	}
	i := slices.IndexFunc(servers, func(v server) bool { return v.name == *name && v.run != nil })
	if i < 0 {
		return fmt.Errorf("no server %q in this program", *name)
	}
	var tlsConfig *tls.Config
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(*certificate, certFile), filepath.Join(*certificate, keyFile))
		if err != nil {
			return err
		}
		tlsConfig = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	}
	go obeyParent()
	return servers[i].run(work{task(*taskName), *body}, tlsConfig, func(addr string) { fmt.Println("listening", addr) })
}

// obeyParent answers what the parent asks on standard input, and ends the process with it.
func obeyParent() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if in.Text() == "collect" {
			runtime.GC() // twice: what sync.Pool keeps goes in two steps
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println("collected", m.HeapAlloc+m.StackInuse)
		}
	}
	os.Exit(0)
}

// listen opens the socket of a server, under TLS when there is a configuration.
func listen(tlsConfig *tls.Config, ready func(string)) (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ready(ln.Addr().String())
	if tlsConfig != nil {
		return tls.NewListener(ln, tlsConfig), nil
	}
	return ln, nil
}

// freeAddress finds a port for servers that cannot say which one they got.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// awaitListener returns once addr takes connections.
func awaitListener(addr string, within time.Duration) error {
	var last error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			return nc.Close()
		}
		last = err
	}
	return errors.Join(errors.New("nobody listens on "+strings.TrimSpace(addr)), last)
}

// announce calls ready as soon as addr takes connections. When it never does, the parent's patience ends.
func announce(addr string, ready func(string)) {
	if awaitListener(addr, patience) == nil {
		ready(addr)
	}
}
