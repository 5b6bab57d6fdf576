package main

import "github.com/h1go/h1"

var h1Client = client{
	name: "h1",
	note: "h1.Transport, RoundTrip",
	open: func(addr string) (func() (func() error, error), error) {
		return roundTripper(&h1.Transport{MaxIdleConnsPerHost: 256}, addr), nil
	},
}

var h1Pipelined = client{
	name:      "h1 pipelined",
	note:      "h1.Transport with Pipelining, RoundTrip",
	pipelined: true,
	open: func(addr string) (func() (func() error, error), error) {
		return roundTripper(&h1.Transport{Pipelining: h1.Pipelining{Depth: 64}}, addr), nil
	},
}
