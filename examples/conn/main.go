// Conn serves HTTP/1 without a Server: connections come from a listener, and
// each is a loop over its exchanges that the program writes itself.
//
//	go run ./examples/conn
//	curl http://127.0.0.1:8080/ http://127.0.0.1:8080/bye http://127.0.0.1:8080/
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/h1go/h1"
)

// serve answers one request after the other until the connection is over.
func serve(c *h1.Conn) {
	for n := 1; ; n++ {
		x, err := c.Next() // completes the exchange before
		if errors.Is(err, io.EOF) {
			fmt.Printf("%s: closed because %s\n", c.RemoteAddr(), c.Reason().Explain())
			return
		}
		if err != nil {
			fmt.Printf("%s: %v\n", c.RemoteAddr(), err)
			return
		}
		if string(x.Path()) == "/bye" {
			x.CloseAfter() // the answer says Connection: close
		}
		fmt.Fprintf(x, "request %d on this connection: %s %s\n", n, x.Method(), x.Target())
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	nl, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	l, err := h1.NewListener(nl, &h1.ConnConfig{KeepAlive: h1.KeepAlive{Advertise: true}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(stop, func() { l.Close() })
	var conns sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			break // the listener was closed
		}
		conns.Go(func() {
			// An idle connection ends at once, one that answers ends after that.
			defer context.AfterFunc(stop, c.CloseAfter)()
			serve(c)
		})
	}
	conns.Wait()
	fmt.Println("stopped")
}
