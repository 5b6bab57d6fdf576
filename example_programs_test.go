package h1_test

// Programs that one writes with net/http, with the type of the server changed.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"
)

// A program that ends when it is told to: requests under way are answered, and
// after ten seconds what is left is cut.
func ExampleServer_Shutdown() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	arrived := make(chan struct{})
	srv := &h1.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		time.Sleep(50 * time.Millisecond) // some work
		fmt.Fprintln(w, "done")
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()

	answer := make(chan string)
	go func() { answer <- fetchText(http.DefaultClient, "http://"+l.Addr().String()) }()
	<-arrived
	stop() // stands for the operator's ^C

	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		srv.Close()
	}
	fmt.Print(<-answer)
	// Output: done
}

// fetchText is the body that a GET of the URL is answered with.
func fetchText(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(body)
}

// Server-sent events: each is sent at once, and the stream ends when the client
// goes away.
func ExampleServer_events() {
	ended := make(chan struct{})
	srv := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			fmt.Fprintf(w, "data: event %d\n\n", n)
			if rc.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}))
	defer srv.Close()

	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for n := 0; n < 3 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			fmt.Println(text)
			n++
		}
	}
	cancel()
	<-ended
	fmt.Println("the handler knows that the client has gone")
	// Output:
	// event 1
	// event 2
	// event 3
	// the handler knows that the client has gone
}

// Uploads behind a password, up to a size.
func ExampleServer_upload() {
	srv := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="uploads"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		f, header, err := r.FormFile("file")
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, fmt.Sprintf("more than %d octets", tooLarge.Limit), http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer f.Close()
		n, _ := io.Copy(io.Discard, f)
		fmt.Fprintf(w, "%s: %d octets\n", header.Filename, n)
	}))
	defer srv.Close()

	upload := func(password string, size int) {
		var form strings.Builder
		m := multipart.NewWriter(&form)
		part, err := m.CreateFormFile("file", "notes.txt")
		if err != nil {
			log.Fatal(err)
		}
		io.WriteString(part, strings.Repeat("x", size))
		m.Close()
		req, err := http.NewRequest("POST", srv.URL, strings.NewReader(form.String()))
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Content-Type", m.FormDataContentType())
		req.SetBasicAuth("me", password)
		res, err := srv.Client().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Printf("%d %s", res.StatusCode, body)
	}
	upload("guess", 100)
	upload("secret", 100_000)
	upload("secret", 5<<20)
	// Output:
	// 401 who are you?
	// 200 notes.txt: 100000 octets
	// 413 more than 1048576 octets
}

// A reverse proxy with h1 on both sides: one Server, one Transport.
func ExampleTransport_reverseProxy() {
	backend := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, forwarded: %v\n", r.URL.Path, r.Header.Get("X-Forwarded-For") != "")
	}))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	if err != nil {
		log.Fatal(err)
	}

	transport := &h1.Transport{}
	proxy := h1test.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: transport,
	})
	defer proxy.Close()

	fmt.Print(fetchText(proxy.Client(), proxy.URL+"/a"))
	fmt.Print(fetchText(proxy.Client(), proxy.URL+"/b"))
	n := 0
	for range transport.Conns() {
		n++
	}
	fmt.Println("connections to the backend:", n)
	transport.CloseIdleConnections()
	// Output:
	// /a, forwarded: true
	// /b, forwarded: true
	// connections to the backend: 1
}
