//go:build !alone || fasthttp

package main

import "github.com/valyala/fasthttp"

func init() { clients = append(clients, fasthttpClient, fasthttpPipelined) }

var fasthttpClient = client{
	peer: "fasthttp",
	name: "fasthttp",
	note: "fasthttp.HostClient, request and response kept by each goroutine",
	open: func(addr string) (func() (func() error, error), error) {
		return fasthttpCalls(&fasthttp.HostClient{Addr: addr, MaxConns: 256}, addr), nil
	},
}

var fasthttpPipelined = client{
	peer:      "fasthttp",
	name:      "fasthttp pipelined",
	note:      "fasthttp.PipelineClient on one connection, request and response kept by each goroutine",
	pipelined: true,
	open: func(addr string) (func() (func() error, error), error) {
		return fasthttpCalls(&fasthttp.PipelineClient{Addr: addr, MaxConns: 1, MaxPendingRequests: 64}, addr), nil
	},
}

// fasthttpCalls calls through either of fasthttp's clients.
func fasthttpCalls(c interface {
	Do(*fasthttp.Request, *fasthttp.Response) error
}, addr string) func() (func() error, error) {
	return func() (func() error, error) {
		request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURI("http://" + addr + "/")
		return func() error {
			err := c.Do(request, answer)
			return checkAnswer(answer.StatusCode(), len(answer.Body()), err)
		}, nil
	}
}
