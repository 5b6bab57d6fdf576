package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/cloudwego/hertz/pkg/app/client"
	"github.com/cloudwego/hertz/pkg/protocol"
	"github.com/valyala/fasthttp"

	"github.com/h1go/h1"
)

// peer is a client to measure.
type peer struct {
	name   string
	learns bool
	// open gives a function that posts a body, for many goroutines at once, and one that ends the client.
	open func(addr string) (post func(body string) error, done func())
}

var peers = []peer{
	{name: "h1", learns: true, open: func(addr string) (func(string) error, func()) {
		tr := &h1.Transport{}
		return roundTripper(tr, addr), tr.CloseIdleConnections
	}},
	{name: "net/http", open: func(addr string) (func(string) error, func()) {
		tr := &http.Transport{MaxIdleConnsPerHost: 100}
		return roundTripper(tr, addr), tr.CloseIdleConnections
	}},
	{name: "fasthttp", open: fastHTTP},
	{name: "hertz", open: hertz},
}

var errStatus = errors.New("the status is not 200")

func roundTripper(tr http.RoundTripper, addr string) func(string) error {
	return func(body string) error {
		req, err := http.NewRequest("POST", "http://"+addr+"/", strings.NewReader(body))
		if err != nil {
			return err
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode != http.StatusOK {
			err = errStatus
		}
		return err
	}
}

func fastHTTP(addr string) (func(string) error, func()) {
	c := &fasthttp.HostClient{Addr: addr}
	return func(body string) error {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(res)
		req.Header.SetMethod("POST")
		req.SetRequestURI("http://" + addr + "/")
		req.SetBodyString(body)
		err := c.Do(req, res)
		if err == nil && res.StatusCode() != http.StatusOK {
			err = errStatus
		}
		return err
	}, c.CloseIdleConnections
}

func hertz(addr string) (func(string) error, func()) {
	c, err := client.NewClient()
	if err != nil {
		return func(string) error { return err }, func() {}
	}
	return func(body string) error {
		req, res := protocol.AcquireRequest(), protocol.AcquireResponse()
		defer protocol.ReleaseRequest(req)
		defer protocol.ReleaseResponse(res)
		req.SetMethod("POST")
		req.SetRequestURI("http://" + addr + "/")
		req.SetBodyString(body)
		err := c.Do(context.Background(), req, res)
		if err == nil && res.StatusCode() != http.StatusOK {
			err = errStatus
		}
		return err
	}, c.CloseIdleConnections
}
