//go:build !alone || nbio

package main

import (
	"crypto/tls"
	"net"
	"time"

	llibtls "github.com/lesismal/llib/std/crypto/tls"
	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
)

func init() { servers = append(servers, nbioServer) }

var nbioServer = server{
	peer: "nbio",
	name: "nbio",
	note: "nbio v1.5.12, nbhttp: non-blocking, http.Handler; TLS by its own copy of crypto/tls",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		logging.SetLevel(logging.LevelNone)
		engine := nbhttp.NewEngine(nbioConfig(w, tlsConfig, ready))
		if err := engine.Start(); err != nil {
			return err
		}
		select {} // the parent ends the process
	},
}

func nbioConfig(w work, tlsConfig *tls.Config, ready func(string)) nbhttp.Config {
	c := nbhttp.Config{
		Network: "tcp", Handler: handlerFor(w), MaxLoad: 1 << 20, KeepaliveTime: 10 * time.Minute,
		Listen: func(network, addr string) (net.Listener, error) {
			ln, err := net.Listen(network, addr)
			if err == nil {
				go announce(ln.Addr().String(), ready)
			}
			return ln, err
		},
	}
	if tlsConfig == nil {
		c.Addrs = []string{"127.0.0.1:0"}
		return c
	}
	c.AddrsTLS = []string{"127.0.0.1:0"}
	c.TLSConfig = &llibtls.Config{Certificates: []llibtls.Certificate{{
		Certificate: tlsConfig.Certificates[0].Certificate,
		PrivateKey:  tlsConfig.Certificates[0].PrivateKey,
	}}}
	return c
}
