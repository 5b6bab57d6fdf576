package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/h1go/h1"
)

// control sends requests to a server that reads each second one of a connection and then ends the connection without an
// answer. That looks almost like the race; every repetition is false.
func (p *plan) control(end string, secure bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	tr, wire, url := &h1.Transport{}, "plain text", "http://"+l.Addr().String()+"/"
	var config *tls.Config
	if secure {
		s := httptest.NewUnstartedServer(nil)
		s.StartTLS()
		config = &tls.Config{Certificates: s.TLS.Certificates}
		tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		s.Close()
		wire, url = "TLS", "https"+strings.TrimPrefix(url, "http")
	}
	defer tr.CloseIdleConnections()
	var read atomic.Int64 // requests that are not to be answered
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go answerOnce(nc, config, end, &read)
		}
	}()
	reported := 0
	for range p.trials {
		for _, path := range []string{"answer", "end"} {
			req, err := http.NewRequest("POST", url+path, strings.NewReader("abc"))
			if err != nil {
				return err
			}
			res, err := tr.RoundTrip(req)
			switch {
			case err == nil:
				_ = res.Body.Close()
			case path == "end":
				reported++
			default:
				return err
			}
		}
	}
	fmt.Printf("| %s | %s | %d | %d |\n", end, wire, reported, read.Load()-int64(p.trials))
	return nil
}

// answerOnce answers the requests of a connection, until one asks for its end.
func answerOnce(nc net.Conn, config *tls.Config, end string, read *atomic.Int64) {
	raw := nc.(*net.TCPConn)
	if config != nil {
		nc = tls.Server(nc, config)
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if req.URL.Path == "/end" {
			read.Add(1)
			if end == "reset" {
				_ = raw.SetLinger(0)
				_ = raw.Close()
			}
			return
		}
		if _, err := io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}
