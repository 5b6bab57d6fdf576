package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	settle       = 500 * time.Millisecond // after the last answer, before memory is read
	holdPatience = 3 * time.Minute        // to open all connections, with their handshakes
	dialers      = 16
)

// idleFigure is memory for each connection, in bytes.
type idleFigure struct {
	asIs      float64 // resident, garbage and all
	collected float64 // resident after a collection; what the collector freed may not be back with the system
	live      float64 // heap objects and stacks that a collection leaves, by the Go runtime's own account
}

// runIdleCases measures what a connection costs that waits after its first answer.
func runIdleCases(ctx context.Context, s *settings, limit int) error {
	for _, c := range idleCases {
		if !chosen(s.cases, c.name) {
			continue
		}
		fmt.Printf("### %s: %s, %d connections\n\n", c.name, c.title, s.idleConns)
		if why := tooManyFiles(s.idleConns, limit); why != "" {
			fmt.Printf("%s\n\n", why)
			continue
		}
		printRow(os.Stdout, "server", "resident", "resident after a collection", "live heap and stacks after it", "errors")
		printRow(os.Stdout, "---", "---:", "---:", "---:", "---")
		for _, v := range servers {
			if (c.tls && v.noTLS) || !(v.floor || chosen(s.subjects, v.name)) {
				continue
			}
			f, err := measureIdle(ctx, s, v, c)
			fmt.Fprintf(os.Stderr, "%s: %s %.0f, %.0f, %.0f bytes %s\n", c.name, v.name, f.asIs, f.collected, f.live, reason(err))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			printIdle(v, f, err)
		}
		fmt.Println()
	}
	return nil
}

// reason is the text of an error, empty when there is none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return "failed: " + err.Error()
}

func printIdle(v server, f idleFigure, err error) {
	switch {
	case err != nil:
		printRow(os.Stdout, v.name, "-", "-", "-", cell(reason(err)))
	case v.command != nil: // no Go runtime, no collection
		printRow(os.Stdout, v.name, fmt.Sprintf("%.0f", f.asIs), "-", "-", "none")
	default:
		printRow(os.Stdout, v.name, fmt.Sprintf("%.0f", f.asIs), fmt.Sprintf("%.0f", f.collected), fmt.Sprintf("%.0f", f.live), "none")
	}
}

// measureIdle starts v, opens the connections, sends one request on each, and reads the server's memory.
func measureIdle(ctx context.Context, s *settings, v server, c idleCase) (idleFigure, error) {
	p, addr, err := v.launch(ctx, s, work{task: taskSmall}, c.tls)
	if err != nil {
		return idleFigure{}, err
	}
	defer p.stop()
	h, err := startRole(ctx, s, s.loadCPU, "", "hold", "-addr", addr, "-n", strconv.Itoa(s.idleConns), "-tls="+strconv.FormatBool(c.tls))
	if err != nil {
		return idleFigure{}, err
	}
	defer h.stop()
	if _, err := h.expect("warm", patience); err != nil {
		return idleFigure{}, err
	}
	before, err := readMemory(p, v)
	if err != nil {
		return idleFigure{}, err
	}
	if err := h.ask("go"); err != nil {
		return idleFigure{}, err
	}
	if _, err := h.expect("held", holdPatience); err != nil {
		return idleFigure{}, err
	}
	time.Sleep(settle)
	asIs, err := residentBytes(p.pid())
	if err != nil {
		return idleFigure{}, err
	}
	after, err := readMemory(p, v)
	if err != nil {
		return idleFigure{}, err
	}
	if !v.idleOnly { // the floor that answers once has nobody left to answer again
		if err := checkHeld(h, s.idleConns); err != nil {
			return idleFigure{}, err
		}
	}
	each := func(late, early int64) float64 { return float64(late-early) / float64(s.idleConns) }
	return idleFigure{asIs: each(asIs, before.resident), collected: each(after.resident, before.resident), live: each(after.live, before.live)}, nil
}

// checkHeld has one more request sent on each connection: one that the server closed meanwhile would look cheap.
func checkHeld(h *child, n int) error {
	if err := h.ask("check"); err != nil {
		return err
	}
	words, err := h.expect("alive", holdPatience)
	if err != nil {
		return err
	}
	if len(words) != 1 || words[0] != strconv.Itoa(n) {
		return fmt.Errorf("of %d connections %v were still open after the measurement", n, words)
	}
	return nil
}

type memory struct{ resident, live int64 }

// readMemory has the server collect its garbage, when it is one of ours, and reads what is left.
func readMemory(p *child, v server) (m memory, err error) {
	if v.command == nil {
		if err := p.ask("collect"); err != nil {
			return m, err
		}
		words, err := p.expect("collected", patience)
		if err != nil {
			return m, err
		}
		if len(words) != 1 {
			return m, errors.New("the server did not say how much it holds")
		}
		if m.live, err = strconv.ParseInt(words[0], 10, 64); err != nil {
			return m, err
		}
		time.Sleep(settle)
	}
	m.resident, err = residentBytes(p.pid())
	return m, err
}

// holdRole is this program as the one that opens connections and keeps them.
func holdRole(args []string) error {
	flags := flag.NewFlagSet("hold", flag.ExitOnError)
	addr := flags.String("addr", "", "server")
	n := flags.Int("n", 0, "connections")
	overTLS := flags.Bool("tls", false, "open them over TLS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := raiseOpenFiles(); err != nil {
		return err
	}
	nc, err := openAndAsk(*addr, *overTLS)
	if err != nil {
		return err
	}
	defer nc.Close() // held like the others, but not counted: the server has done everything once
	in := bufio.NewReader(os.Stdin)
	fmt.Println("warm")
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	conns, err := openMany(*addr, *overTLS, *n)
	if err != nil {
		return err
	}
	fmt.Println("held", len(conns))
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	fmt.Println("alive", countAlive(*addr, conns))
	_, _ = io.Copy(io.Discard, in) // until the parent lets go
	return nil
}

// countAlive tells how many connections answer once more.
func countAlive(addr string, conns []net.Conn) int {
	alive := 0
	for _, nc := range conns {
		if ask(nc, addr) == nil {
			alive++
		}
	}
	return alive
}

// openMany opens n connections, a few at a time, each with one request answered.
func openMany(addr string, overTLS bool, n int) ([]net.Conn, error) {
	type result struct {
		nc  net.Conn
		err error
	}
	turns, results := make(chan struct{}), make(chan result, dialers)
	for range dialers {
		go func() {
			for range turns {
				nc, err := openAndAsk(addr, overTLS)
				results <- result{nc, err}
			}
		}()
	}
	go func() {
		defer close(turns)
		for range n {
			turns <- struct{}{}
		}
	}()
	var conns []net.Conn
	var failed error
	for range n {
		r := <-results
		if r.err != nil {
			failed = r.err
			continue
		}
		conns = append(conns, r.nc)
	}
	return conns, failed
}

// clientTLS trusts anybody. Its key exchange is crypto/tls's default, though it is slow: with a cheaper one the server's
// connections took less memory (see RESULTS.md), and the default is what servers meet today.
var clientTLS = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}

// openAndAsk opens one connection and asks once.
func openAndAsk(addr string, overTLS bool) (net.Conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if overTLS {
		nc = tls.Client(nc, clientTLS)
	}
	if err := ask(nc, addr); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// ask sends one request and reads the answer.
func ask(nc net.Conn, addr string) error {
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := nc.Write([]byte("GET / HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")); err != nil {
		return err
	}
	buf, n := make([]byte, 1024), 0
	for !answered(buf[:n]) {
		m, err := nc.Read(buf[n:])
		if err != nil {
			return fmt.Errorf("after %q: %w", buf[:n], err)
		}
		n += m
	}
	return nc.SetDeadline(time.Time{})
}

// answered tells whether b holds a small answer whole.
func answered(b []byte) bool {
	return len(b) > len(smallBody) && string(b[len(b)-len(smallBody):]) == smallBody
}
