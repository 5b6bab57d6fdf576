package h1_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"

	"golang.org/x/net/http2"
)

// HTTP/2 is for another library: whatever a TLS handshake agrees on besides
// HTTP/1 is handed on, here to golang.org/x/net/http2. Shutdown tells it, and
// waits for its connections.
func ExampleServer_http2() {
	srv := &h1.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello over", r.Proto)
	})}

	base := &http.Server{} // the configuration of HTTP/2, and its part of the shutdown
	//lint:ignore SA1019 net/http has an HTTP/2 of its own, for its own listeners only
	if err := http2.ConfigureServer(base, nil); err != nil {
		log.Fatal(err)
	}
	srv.TLSNextProto = map[string]func(*h1.Server, *tls.Conn, http.Handler){
		"h2": func(_ *h1.Server, nc *tls.Conn, h http.Handler) { base.TLSNextProto["h2"](base, nc, h) },
	}
	srv.RegisterOnShutdown(func() { base.Shutdown(context.Background()) })

	// From here on it is any server: srv.ListenAndServeTLS.
	ts := h1test.NewUnstartedServer(nil)
	ts.Config = srv
	ts.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(ts.Certificate())
	for _, http2 := range []bool{true, false} {
		tr := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: roots}}
		res, err := (&http.Client{Transport: tr}).Get(ts.URL)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", body)
		tr.CloseIdleConnections()
	}
	ts.Close()
	// Output:
	// hello over HTTP/2.0
	// hello over HTTP/1.1
}
