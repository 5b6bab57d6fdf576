package h1

// This file has net/http's functions that serve without a Server being named.

import (
	"net"
	"net/http"
)

// ListenAndServe serves the handler, http.DefaultServeMux when nil, on the TCP
// address with a Server's defaults. It always returns an error.
func ListenAndServe(addr string, handler http.Handler) error {
	return (&Server{Addr: addr, Handler: handler}).ListenAndServe()
}

// ListenAndServeTLS is ListenAndServe over TLS.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler) error {
	return (&Server{Addr: addr, Handler: handler}).ListenAndServeTLS(certFile, keyFile)
}

// Serve serves the handler, http.DefaultServeMux when nil, on l with a Server's
// defaults. It always returns an error.
func Serve(l net.Listener, handler http.Handler) error {
	return (&Server{Handler: handler}).Serve(l)
}

// ServeTLS is Serve over TLS.
func ServeTLS(l net.Listener, handler http.Handler, certFile, keyFile string) error {
	return (&Server{Handler: handler}).ServeTLS(l, certFile, keyFile)
}
