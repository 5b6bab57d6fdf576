package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
)

var cannedServer = server{
	name:  "canned",
	note:  "the floor: goroutine for each connection, canned answers, no parsing",
	floor: true,
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		answers := newCanned(w)
		return acceptAll(tlsConfig, ready, func(nc net.Conn) { answerCanned(nc, answers.fresh()) })
	},
}

// heldServer is the floor of the idle tables: what a Go process pays for a net.Conn it merely keeps.
var heldServer = server{
	name:     "held",
	note:     "the floor of idle memory: answers once, then keeps the net.Conn without goroutine or buffer",
	floor:    true,
	idleOnly: true,
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		answer := newCanned(w).answer
		var mu sync.Mutex
		var kept []net.Conn
		return acceptAll(tlsConfig, ready, func(nc net.Conn) {
			if answerOnce(nc, answer) {
				mu.Lock()
				kept = append(kept, nc)
				mu.Unlock()
			}
		})
	},
}

func acceptAll(tlsConfig *tls.Config, ready func(string), serve func(net.Conn)) error {
	ln, err := listen(tlsConfig, ready)
	if err != nil {
		return err
	}
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		go serve(nc)
	}
}

// answerCanned is the loop that every figure is compared to. Large bodies are read in larger pieces, as servers do.
func answerCanned(nc net.Conn, c *canned) {
	defer nc.Close()
	buf := make([]byte, 4096)
	if c.work.body > len(buf) {
		buf = make([]byte, 256<<10)
	}
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		if out := c.reply(buf[:n]); len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
		}
	}
}

// answerOnce answers one small request. On failure it closes nc.
func answerOnce(nc net.Conn, answer []byte) bool {
	buf := make([]byte, 4096)
	n := 0
	for !bytes.Contains(buf[:n], headEnd) {
		m, err := nc.Read(buf[n:])
		if err != nil {
			nc.Close()
			return false
		}
		n += m
	}
	_, err := nc.Write(answer)
	return err == nil
}
