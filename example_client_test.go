package h1_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/h1go/h1"
)

// greet is what the examples ask.
func greet() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.URL.Path[1:])
	}))
}

// read reads a response to its end, which gives the connection back.
func read(res *http.Response) string {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(body)
}

// A Transport takes the place of net/http's in an http.Client. OnConn shows that
// three requests need one connection, and why that ends.
func ExampleTransport() {
	server := greet()
	defer server.Close()

	transport := &h1.Transport{OnConn: func(e h1.ConnEvent, c h1.ConnInfo) {
		switch e {
		case h1.EventOpened:
			fmt.Println("opened")
		case h1.EventClosed:
			fmt.Printf("closed after %d requests because %s\n", c.Requests, c.Reason.Explain())
		}
	}}
	client := &http.Client{Transport: transport}
	for _, name := range []string{"Ann", "Bob", "Cy"} {
		res, err := client.Get(server.URL + "/" + name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(read(res))
	}
	transport.CloseIdleConnections()

	// Output:
	// opened
	// hello, Ann
	// hello, Bob
	// hello, Cy
	// closed after 3 requests because this end wished it
}

// Connections can be made before requests need them, and Stats tells what the
// pool does.
func ExampleTransport_Prewarm() {
	server := greet()
	defer server.Close()

	transport := &h1.Transport{}
	defer transport.CloseIdleConnections()
	if err := transport.Prewarm(context.Background(), server.URL, 3); err != nil {
		log.Fatal(err)
	}
	res, err := (&http.Client{Transport: transport}).Get(server.URL + "/Ann")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read(res))
	host := transport.Stats().Hosts[0]
	fmt.Printf("%d connections made, %d idle, %d request\n", host.Dials, host.Idle, host.Requests)

	// Output:
	// hello, Ann
	// 3 connections made, 3 idle, 1 request
}

// dial makes a Conn of one's own, in the role of the client.
func dial(addr string) *h1.Conn {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	c, err := h1.NewClientConn(nc, nil)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A Conn alone is an http.RoundTripper for one request after the other.
func ExampleConn_RoundTrip() {
	server := greet()
	defer server.Close()

	c := dial(server.Listener.Addr().String())
	defer c.Close()
	for _, name := range []string{"Ann", "Bob"} {
		req, err := http.NewRequest("GET", server.URL+"/"+name, nil)
		if err != nil {
			log.Fatal(err)
		}
		res, err := c.RoundTrip(req)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(read(res))
	}
	fmt.Println("requests:", c.Info().Requests)

	// Output:
	// hello, Ann
	// hello, Bob
	// requests: 2
}

// Pipelined requests are all sent before the first response is received. The
// responses come in the order of the requests.
func ExampleConn_Send() {
	server := greet()
	defer server.Close()

	c := dial(server.Listener.Addr().String())
	defer c.Close()
	names := []string{"Ann", "Bob", "Cy"}
	for i, name := range names {
		req, err := http.NewRequest("GET", server.URL+"/"+name, nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Close = i == len(names)-1 // the last one says so
		if err := c.Send(req); err != nil {
			log.Fatal(err)
		}
	}
	for range names {
		res, err := c.Receive()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(read(res))
	}
	fmt.Println("closed because", c.Reason().Explain())

	// Output:
	// hello, Ann
	// hello, Bob
	// hello, Cy
	// closed because this end wished it
}
