package main

import (
	"fmt"
	"net"
	"sync"
)

var rawClient = client{
	name:  "raw",
	note:  "the floor: takes a connection, writes the request, reads an answer of known size, puts the connection back",
	floor: true,
	open: func(addr string) (func() (func() error, error), error) {
		pool := &rawPool{addr: addr, size: len(newCanned(work{task: taskSmall}).answer)}
		request := []byte("GET / HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")
		return func() (func() error, error) {
			buf := make([]byte, 4096)
			return func() error { return pool.call(request, buf) }, nil
		}, nil
	},
}

// rawPool is the least that a pool can be.
type rawPool struct {
	addr string
	size int // of every answer
	mu   sync.Mutex
	idle []net.Conn
}

func (p *rawPool) call(request, buf []byte) error {
	nc, err := p.take()
	if err != nil {
		return err
	}
	if _, err := nc.Write(request); err != nil {
		nc.Close()
		return err
	}
	for got := 0; got < p.size; {
		n, err := nc.Read(buf)
		if err != nil {
			nc.Close()
			return fmt.Errorf("after %d of %d octets: %w", got, p.size, err)
		}
		got += n
	}
	p.put(nc)
	return nil
}

func (p *rawPool) take() (net.Conn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		nc := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return nc, nil
	}
	p.mu.Unlock()
	return net.Dial("tcp", p.addr)
}

func (p *rawPool) put(nc net.Conn) {
	p.mu.Lock()
	p.idle = append(p.idle, nc)
	p.mu.Unlock()
}
