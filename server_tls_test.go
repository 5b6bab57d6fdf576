package h1

// What a program configures of TLS: where certificates come from, and what is
// asked of clients.

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// serveByConfig serves over TLS by s.TLSConfig; its connections are of a client with
// that configuration.
func serveByConfig(t *testing.T, s *Server, client *tls.Config) *aServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve := func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	return startOn(t, s, l, serve, func() (net.Conn, error) { return tls.Dial("tcp", l.Addr().String(), client) })
}

func TestTheClientsCertificateIsKnown(t *testing.T) {
	own, roots := certificate(t)
	theirs, clients := certificate(t)
	for name, max := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			a := serveByConfig(t, &Server{
				TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: max},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !bytes.Equal(r.TLS.PeerCertificates[0].Raw, theirs.Certificate[0]) || len(r.TLS.VerifiedChains) == 0 {
						panic("not the client's")
					}
					_, _ = io.WriteString(w, r.TLS.NegotiatedProtocol+"!")
				}),
			}, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{theirs}, NextProtos: []string{"http/1.1"}})
			k := a.talk(t)
			for range 2 { // the second when the connection has waited
				k.Send(get("/"))
				k.ExpectHead("HTTP/1.1 200 OK")
				k.Expect("http/1.1!")
			}
		})
	}
}

func TestAClientWithoutACertificateIsTurnedAway(t *testing.T) {
	own, roots := certificate(t)
	_, clients := certificate(t)
	ends := make(chan ConnInfo, 1)
	var logged syncBuffer
	a := serveByConfig(t, &Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("not for the handler") }),
		OnConn:    onClosed(ends), ErrorLog: log.New(&logged, "", 0),
	}, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	nc, err := a.dial() // with TLS 1.3 it is told when it reads
	if err == nil {
		_, _ = io.WriteString(nc, get("/"))
		_, err = io.ReadAll(nc)
		require.NoError(t, nc.Close())
	}
	require.ErrorContains(t, err, "certificate required")
	require.Equal(t, CloseTLSFailed, (<-ends).Reason)
	require.NoError(t, a.Close())
	require.NotContains(t, logged.String(), "panic")
}

func TestCertificatesComeFromWhereTheyAreConfigured(t *testing.T) {
	own, roots := certificate(t)
	for name, config := range map[string]*tls.Config{
		"Certificates":   {Certificates: []tls.Certificate{own}},
		"GetCertificate": {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{own}}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := serveByConfig(t, &Server{TLSConfig: config, Native: NativeHandlerFunc(echo)}, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
			k := a.talk(t)
			k.Send(get("/"))
			expectEcho(k, "/", "")
			require.Nil(t, config.NextProtos, "the configuration is cloned")
		})
	}
}

// As with net/http, whose caller may then try other files.
func TestServeTLSWithoutACertificateLeavesTheListenerOpen(t *testing.T) {
	l := wiretest.Listen()
	require.Error(t, (&Server{}).ServeTLS(l, "", ""))
	require.Error(t, (&Server{TLSConfig: &tls.Config{}}).ServeTLS(l, "no-such-file", "no-such-file"))
	_, err := l.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
