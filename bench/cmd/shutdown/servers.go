package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/h1go/h1"
	"github.com/valyala/fasthttp"
)

// server is one to shut down. start serves on l, and gives what shuts it down
// and waits, and how to connect: nil for plain TCP.
type server struct {
	name  string
	start func(l net.Listener) (shutdown func() error, dial func() (net.Conn, error))
}

// work is what each request costs the handler.
const work = 300 * time.Microsecond

var servers = []server{
	{"h1", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &h1.Server{Handler: handler}
		go s.Serve(l)
		return patiently(s.Shutdown), nil
	}},
	{"h1 native", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &h1.Server{Native: h1.NativeHandlerFunc(func(x *h1.Exchange) {
			time.Sleep(work)
			_ = x.Reply(200, "text/plain", []byte("done\n"))
		})}
		go s.Serve(l)
		return patiently(s.Shutdown), nil
	}},
	{"h1 TLS", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		cert := selfSigned()
		s := &h1.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		go s.ServeTLS(l, "", "")
		addr := l.Addr().String()
		return patiently(s.Shutdown), func() (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		}
	}},
	{"net/http", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &http.Server{Handler: handler}
		go s.Serve(l)
		return patiently(s.Shutdown), nil
	}},
	{"net/http, keep-alives off for 300 ms", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &http.Server{Handler: handler}
		go s.Serve(l)
		return func() error {
			s.SetKeepAlivesEnabled(false)
			time.Sleep(300 * time.Millisecond)
			return patiently(s.Shutdown)()
		}, nil
	}},
	{"fasthttp", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &fasthttp.Server{Handler: fastHandler, Logger: silent{}}
		go s.Serve(l)
		return s.Shutdown, nil
	}},
	{"fasthttp, CloseOnShutdown", func(l net.Listener) (func() error, func() (net.Conn, error)) {
		s := &fasthttp.Server{Handler: fastHandler, Logger: silent{}, CloseOnShutdown: true}
		go s.Serve(l)
		return s.Shutdown, nil
	}},
}

var handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	time.Sleep(work)
	_, _ = io.WriteString(w, "done\n")
})

func fastHandler(ctx *fasthttp.RequestCtx) {
	time.Sleep(work)
	ctx.SetBodyString("done\n")
}

// silent drops what fasthttp says of each connection that it cut.
type silent struct{}

func (silent) Printf(string, ...any) {}

func patiently(shutdown func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return shutdown(ctx)
	}
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
