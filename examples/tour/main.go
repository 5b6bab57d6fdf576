// Tour shows what persistent connections are for. It serves a page with ten
// images on a free port, fetches them four ways, and tells of each way how many
// connections it took and why they closed. If a single octet differs, it ends
// with status 1.
//
//	go run ./examples/tour
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/h1go/h1"
)

func main() {
	spoil := flag.Bool("spoil", false, "serve one wrong octet, to see that the tour finds it")
	flag.Parse()
	served := newSite(10)
	if *spoil {
		served["/image/7.png"].body[1000] ^= 1
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	srv := &h1.Server{Handler: served}
	go srv.Serve(l)
	t := &tour{addr: l.Addr().String(), want: newSite(10)}
	t.run()
	check(srv.Shutdown(context.Background()))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// tour is where to go and what has to come.
type tour struct {
	addr string
	want site
}

func (t *tour) run() {
	fmt.Printf("A page with ten images from http://%s, fetched over\n\n", t.addr)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\ttime\tconnections\trequests on each\toctets\tclosed because")
	var diaries []*diary
	for _, way := range []struct {
		name  string
		visit func(*diary)
	}{
		{"short connections", t.short},
		{"short connections, in parallel", t.parallel},
		{"one persistent connection", t.persistent},
		{"one pipelined connection", t.pipelined},
	} {
		fastest := &diary{took: time.Hour}
		for range 5 {
			d := &diary{began: time.Now()}
			way.visit(d)
			d.took = time.Since(d.began)
			d.open.Wait()
			if d.took < fastest.took {
				fastest = d
			}
		}
		fmt.Fprintf(table, "%s\t%s\n", way.name, fastest.row())
		diaries = append(diaries, fastest)
	}
	check(table.Flush())
	fmt.Printf("\nThe times are the best of five. The life of the persistent connection:\n\n")
	diaries[2].trace(append([]string{"/"}, images(t.want["/"].body)...))
}

// short opens a connection for each file.
func (t *tour) short(d *diary) {
	t.inTurn(&h1.Transport{DisableKeepAlives: true, OnConn: d.note})
}

// persistent uses one connection for all files, and then leaves it to its idle
// timeout.
func (t *tour) persistent(d *diary) {
	t.inTurn(&h1.Transport{IdleConnTimeout: 50 * time.Millisecond, OnConn: d.note})
}

func (t *tour) inTurn(rt http.RoundTripper) {
	for _, path := range images(t.fetch(rt, "/")) {
		t.fetch(rt, path)
	}
}

// parallel opens a connection for each file, and those for the images all at
// once.
func (t *tour) parallel(d *diary) {
	rt := &h1.Transport{DisableKeepAlives: true, OnConn: d.note}
	var all sync.WaitGroup
	for _, path := range images(t.fetch(rt, "/")) {
		all.Go(func() { t.fetch(rt, path) })
	}
	all.Wait()
}

// pipelined sends the requests for all images before it reads the first answer
// (RFC 9112 section 9.3.2).
func (t *tour) pipelined(d *diary) {
	nc, err := net.Dial("tcp", t.addr)
	check(err)
	c, err := h1.NewClientConn(nc, &h1.ConnConfig{OnConn: d.note})
	check(err)
	paths := images(t.fetch(c, "/"))
	for _, path := range paths {
		check(c.Send(t.request(path)))
	}
	for _, path := range paths {
		res, err := c.Receive()
		check(err)
		t.compare(path, res)
	}
	check(c.Close())
}

func (t *tour) request(path string) *http.Request {
	return &http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: t.addr, Path: path}}
}

func (t *tour) fetch(rt http.RoundTripper, path string) []byte {
	res, err := rt.RoundTrip(t.request(path))
	check(err)
	return t.compare(path, res)
}

// compare reads a response and compares it with what has to come.
func (t *tour) compare(path string, res *http.Response) []byte {
	body, err := io.ReadAll(res.Body)
	check(err)
	want := t.want[path]
	if res.StatusCode != 200 || res.ContentLength < 0 != want.chunked || !bytes.Equal(body, want.body) {
		log.Fatalf("%s: the response is not what it has to be", path)
	}
	return body
}
