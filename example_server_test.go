package h1_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/h1go/h1"
)

// converse sends requests over one connection to the address and prints what
// comes back, until the server closes.
func converse(addr net.Addr, requests string) {
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, requests)
	answers, err := io.ReadAll(nc)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", bytes.ReplaceAll(answers, []byte("\r\n"), []byte("\n")))
}

// A net/http handler, and any net/http client: the type of the server is all
// that changes.
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.PathValue("name"))
	})
	srv := &h1.Server{Handler: mux} // was http.Server

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()

	for _, name := range []string{"you", "me"} {
		res, err := http.Get("http://" + l.Addr().String() + "/hello/" + name)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", body)
	}
	for c := range srv.Conns() {
		fmt.Println("requests on one connection:", c.Requests)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// hello, you
	// hello, me
	// requests on one connection: 2
	// http: Server closed
}

// A native handler answers without net/http's types, and so without
// allocating. What the Exchange gives is lent until the handler returns.
func ExampleServer_native() {
	ended := make(chan h1.ConnInfo, 1)
	srv := &h1.Server{
		Native: h1.NativeHandlerFunc(func(x *h1.Exchange) {
			if string(x.Path()) != "/ping" {
				x.SetStatus(http.StatusNotFound)
				return
			}
			x.SetField("Date", "Sun, 06 Nov 1994 08:49:37 GMT") // h1 would set the real one
			x.WriteString("pong\n")
		}),
		OnConn: func(e h1.ConnEvent, c h1.ConnInfo) {
			if e == h1.EventClosed {
				ended <- c
			}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)

	// Two pipelined requests; the second one says that it is the last.
	converse(l.Addr(), "GET /ping HTTP/1.1\r\nHost: example.org\r\n\r\n"+
		"GET /ping HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
	c := <-ended
	fmt.Printf("after %d requests closed because %s\n", c.Requests, c.Reason.Explain())
	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// HTTP/1.1 200 OK
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Length: 5
	//
	// pong
	// HTTP/1.1 200 OK
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Length: 5
	// Connection: close
	//
	// pong
	// after 2 requests closed because the peer said Connection: close
}

// One connection without a Server: any net.Conn will do, here one end of a
// net.Pipe.
func ExampleNewServerConn() {
	client, server := net.Pipe()
	go func() {
		fmt.Fprint(client, "POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello")
		fmt.Fprint(client, "GET /b?c=d HTTP/1.1\r\nHost: example.org\r\n\r\n")
	}()
	go io.Copy(io.Discard, client) // the answers

	c, err := h1.NewServerConn(server, nil)
	if err != nil {
		log.Fatal(err)
	}
	for {
		x, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(x)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %q\n", x.Method(), x.Target(), body)
		if string(x.Path()) == "/b" {
			x.CloseAfter() // the answer says Connection: close
		}
		x.Reply(http.StatusOK, "text/plain", []byte("thanks\n"))
	}
	fmt.Println("closed because", c.Reason().Explain())
	// Output:
	// POST /a "hello"
	// GET /b?c=d ""
	// closed because this end wished it
}

// A Listener gives connections one by one, from whatever listener it is put
// on; what becomes of them is for the program to say.
func ExampleNewListener() {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l, err := h1.NewListener(nl, &h1.ConnConfig{KeepAlive: h1.KeepAlive{MaxRequests: 2}})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	done := make(chan h1.CloseReason)
	go func() {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		for n := 1; ; n++ {
			x, err := c.Next()
			if err != nil {
				done <- c.Reason()
				return
			}
			x.SetField("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
			fmt.Fprintf(x, "answer %d\n", n)
		}
	}()
	converse(l.Addr(), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\nGET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	fmt.Println("closed because", (<-done).Explain())
	// Output:
	// HTTP/1.1 200 OK
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Length: 9
	//
	// answer 1
	// HTTP/1.1 200 OK
	// Date: Sun, 06 Nov 1994 08:49:37 GMT
	// Content-Length: 9
	// Connection: close
	//
	// answer 2
	// closed because the limit of requests was reached
}

// How long and how often a connection is used is in one place, and clients may
// be told of it: max counts down, and the last answer says close.
func ExampleKeepAlive() {
	srv := &h1.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}),
		KeepAlive: h1.KeepAlive{
			MaxRequests: 3,
			IdleTimeout: 30 * time.Second,
			MaxAge:      -1, // none
			Advertise:   true,
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	for range 4 {
		res, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		fmt.Printf("%q, close: %v\n", res.Header.Get("Keep-Alive"), res.Close)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "timeout=28, max=2", close: false
	// "timeout=28, max=1", close: false
	// "", close: true
	// "timeout=28, max=2", close: false
}
