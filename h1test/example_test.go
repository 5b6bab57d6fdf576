package h1test_test

import (
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"
)

func ExampleServer() {
	srv := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello, client")
	}))
	defer srv.Close()

	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", body)
	// Output:
	// Hello, client
}

// How many requests a connection carried, and why it ended, is known.
func ExampleServer_Ended() {
	srv := h1test.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.KeepAlive = h1.KeepAlive{MaxRequests: 2}
	srv.StartTLS()
	for range 3 {
		res, err := srv.Client().Get(srv.URL)
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	srv.Close()
	for _, c := range srv.Ended() {
		fmt.Println("requests:", c.Requests)
	}
	fmt.Println("the first closed because", srv.Ended()[0].Reason.Explain())
	// Output:
	// requests: 2
	// requests: 1
	// the first closed because the limit of requests was reached
}
