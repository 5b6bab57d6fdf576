//go:build !alone || fasthttp

package main

import (
	"bufio"
	"bytes"

	"github.com/valyala/fasthttp"
)

func init() {
	parsers = append(parsers, parser{name: "fasthttp", peer: "fasthttp", open: openFasthttpParser})
}

func openFasthttpParser() func() error {
	source := bytes.NewReader(bigHead)
	reader := bufio.NewReader(source)
	var head fasthttp.RequestHeader
	return func() error {
		source.Reset(bigHead)
		reader.Reset(source)
		return head.Read(reader)
	}
}
