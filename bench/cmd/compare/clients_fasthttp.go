//go:build !alone || fasthttp

package main

import "github.com/valyala/fasthttp"

func init() { clients = append(clients, fasthttpClient) }

var fasthttpClient = client{
	peer: "fasthttp",
	name: "fasthttp",
	note: "fasthttp.HostClient, request and response kept by each goroutine",
	open: func(addr string) (func() (func() error, error), error) {
		c := &fasthttp.HostClient{Addr: addr, MaxConns: 256}
		return func() (func() error, error) {
			request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			request.SetRequestURI("http://" + addr + "/")
			return func() error {
				err := c.Do(request, answer)
				return checkAnswer(answer.StatusCode(), len(answer.Body()), err)
			}, nil
		}, nil
	},
}
