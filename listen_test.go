package h1

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/netutil"
)

// certificateFiles are a certificate and its key as files.
func certificateFiles(t *testing.T) (certFile, keyFile string, client *tls.Config) {
	cert, roots := certificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("cert.pem", "CERTIFICATE", cert.Certificate[0]), write("key.pem", "PRIVATE KEY", key), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// Each way to serve that net/http has serves, and ends with its listener or with
// http.ErrServerClosed.
func TestTheWaysToServe(t *testing.T) {
	certFile, keyFile, trusting := certificateFiles(t)
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") })
	ways := map[string]func(l net.Listener) error{
		"Serve":           func(l net.Listener) error { return Serve(l, hello) },
		"ServeTLS":        func(l net.Listener) error { return ServeTLS(l, hello, certFile, keyFile) },
		"Server.Serve":    func(l net.Listener) error { return (&Server{Handler: hello}).Serve(l) },
		"Server.ServeTLS": func(l net.Listener) error { return (&Server{Handler: hello}).ServeTLS(l, certFile, keyFile) },
	}
	for name, serve := range ways {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan error, 1)
			go func() { served <- serve(l) }()
			require.Equal(t, "hello", fetchEither(t, trusting, l.Addr().String()))
			require.NoError(t, l.Close())
			require.ErrorIs(t, <-served, net.ErrClosed)
		})
	}
	addressed := map[string]func(addr string) error{
		"ListenAndServe":    func(addr string) error { return ListenAndServe(addr, hello) },
		"ListenAndServeTLS": func(addr string) error { return ListenAndServeTLS(addr, certFile, keyFile, hello) },
	}
	for name, serve := range addressed {
		t.Run(name+" on an address that is taken", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			_, ok := errors.AsType[*net.OpError](serve(l.Addr().String()))
			require.True(t, ok)
		})
	}
	for name, serve := range map[string]func(*Server) error{
		"Server.ListenAndServe":    func(s *Server) error { return s.ListenAndServe() },
		"Server.ListenAndServeTLS": func(s *Server) error { return s.ListenAndServeTLS(certFile, keyFile) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Addr: wiretest.FreeAddr(t), Handler: hello}
			served := make(chan error, 1)
			go func() { served <- serve(s) }()
			require.Equal(t, "hello", fetchEither(t, trusting, s.Addr))
			require.NoError(t, s.Shutdown(context.Background()))
			require.Equal(t, http.ErrServerClosed, <-served)
		})
	}
	require.Error(t, ServeTLS(&net.TCPListener{}, hello, "nothing.pem", "nothing.pem"))
}

// fetchEither asks over TLS, or else in plain text, as soon as somebody
// listens.
func fetchEither(t *testing.T, trusting *tls.Config, addr string) (body string) {
	tr := &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}
	require.Eventually(t, func() bool {
		for _, scheme := range []string{"https", "http"} {
			res, err := (&http.Client{Transport: tr}).Get(scheme + "://" + addr)
			if err == nil && res.StatusCode == http.StatusOK {
				octets, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				body = string(octets)
				return true
			}
			if err == nil {
				_ = res.Body.Close()
			}
		}
		return false
	}, 20*time.Second, 5*time.Millisecond)
	return body
}

// countedListener counts how often it is closed, and fails.
type countedListener struct {
	net.Listener
	closed *atomic.Int32
}

var errOfClosing = errors.New("closing failed")

func (l countedListener) Close() error {
	l.closed.Add(1)
	_ = l.Listener.Close()
	return errOfClosing
}

// countedTCPListener is one that shows what waits to be accepted.
type countedTCPListener struct {
	*net.TCPListener
	closed *atomic.Int32
}

func (l countedTCPListener) Close() error { return countedListener{l.TCPListener, l.closed}.Close() }

// Who serves a listener and who ends the Server both closed it, three times in
// all, and not every listener bears that: one that closes a channel panics. What
// closing failed with was told to nobody.
func TestAListenerIsClosedOnceAndItsErrorTold(t *testing.T) {
	for name, end := range map[string]func(*Server) error{
		"Close":    (*Server).Close,
		"Shutdown": func(s *Server) error { return s.Shutdown(context.Background()) },
	} {
		for _, queued := range []bool{false, true} {
			t.Run(name+", what waits is seen: "+strconv.FormatBool(queued), func(t *testing.T) {
				tcp, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				var closed atomic.Int32
				var l net.Listener = countedListener{tcp, &closed}
				if queued {
					l = countedTCPListener{tcp.(*net.TCPListener), &closed}
				}
				s, served := &Server{Handler: http.NotFoundHandler()}, make(chan error)
				go func() { served <- s.Serve(l) }()
				nc, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				_, err = io.WriteString(nc, get("/", "Connection: close"))
				require.NoError(t, err)
				_, err = io.ReadAll(nc)
				require.NoError(t, err, "it is served by now")
				require.NoError(t, nc.Close())
				require.Equal(t, errOfClosing, end(s))
				require.ErrorIs(t, <-served, http.ErrServerClosed)
				require.Equal(t, errOfClosing, s.Close(), "again")
				require.EqualValues(t, 1, closed.Load())
			})
		}
	}
}

func TestOneServerOnTwoListeners(t *testing.T) {
	s := &Server{Native: NativeHandlerFunc(echo)}
	for range 2 {
		a := serveTCP(t, s)
		k := a.talk(t)
		k.Send(get("/"))
		expectEcho(k, "/", "")
		defer func() { require.Equal(t, http.ErrServerClosed, <-a.served) }()
	}
	require.NoError(t, s.Close())
}

// A listener may count its connections, as that of golang.org/x/net/netutil
// does: they are closed once, at their end, and served although they are
// wrapped.
func TestAListenerThatWrapsItsConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{Native: NativeHandlerFunc(echo)}
	a := startOn(t, s, netutil.LimitListener(l, 1), s.Serve, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) })
	for range 3 {
		first, second := a.talk(t), a.talk(t)
		second.Send(get("/second", "Connection: close"))
		first.Send(get("/first"))
		expectEcho(first, "/first", "")
		first.Send(get("/last", "Connection: close"))
		expectEcho(first, "/last", "close")
		expectEcho(second, "/second", "close")
		first.ExpectEOF()
		second.ExpectEOF()
	}
}
