package h1debug_test

import (
	"log"
	"net/http"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1debug"
)

func ExampleHandler() {
	backends := &h1.Transport{}
	srv := &h1.Server{Addr: ":8080"}

	admin := http.NewServeMux() // for the operators only
	admin.Handle("/debug/h1", h1debug.Handler(h1debug.Server("public", srv), h1debug.Transport("backends", backends)))
	go func() { log.Fatal((&h1.Server{Addr: "localhost:8081", Handler: admin}).ListenAndServe()) }()

	log.Fatal(srv.ListenAndServe())
}
