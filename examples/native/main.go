// Native answers requests without net/http's types, and so without allocating
// for each of them. It also tells how every connection ended.
//
//	go run ./examples/native
//	curl http://127.0.0.1:8080/ping http://127.0.0.1:8080/ping
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/h1go/h1"
)

// answer is the native handler. What the Exchange gives is lent to it until it
// returns: comparing and writing need no copy.
func answer(x *h1.Exchange) {
	switch string(x.Path()) { // the compiler makes no string of this
	case "/ping":
		x.WriteString("pong\n")
	case "/echo":
		x.SetField("Content-Type", "application/octet-stream")
		copyBody(x)
	default:
		x.SetStatus(http.StatusNotFound)
		x.WriteString("try /ping, or send something to /echo\n")
	}
}

// copyBody sends the request's body back as it comes.
func copyBody(x *h1.Exchange) {
	x.SetContentLength(x.ContentLength()) // -1, not known, makes the answer chunked
	var buf [4096]byte
	for {
		n, err := x.Read(buf[:])
		if _, werr := x.Write(buf[:n]); err != nil || werr != nil {
			return // at io.EOF the answer is whole; after an error h1 closes the connection
		}
	}
}

// report is told of every step in a connection's life.
func report(e h1.ConnEvent, c h1.ConnInfo) {
	if e == h1.EventClosed {
		fmt.Printf("%s: %d requests, closed because %s\n", c.Remote, c.Requests, c.Reason.Explain())
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	srv := &h1.Server{Native: h1.NativeHandlerFunc(answer), OnConn: report}

	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", l.Addr())

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		<-stop.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- srv.Shutdown(ctx)
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	fmt.Println("stopped")
}
