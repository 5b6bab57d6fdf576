package main

import (
	"bufio"
	"bytes"
	"net/http"

	"github.com/cloudwego/hertz/pkg/common/test/mock"
	"github.com/cloudwego/hertz/pkg/protocol"
	hertzreq "github.com/cloudwego/hertz/pkg/protocol/http1/req"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/valyala/fasthttp"
)

func openNetHTTPParser() func() error {
	source := bytes.NewReader(bigHead)
	reader := bufio.NewReader(source)
	return func() error {
		source.Reset(bigHead)
		reader.Reset(source)
		_, err := http.ReadRequest(reader)
		return err
	}
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

// openHertzParser reads from hertz's own test reader, which is a bufio.Reader with the methods that hertz asks for.
func openHertzParser() func() error {
	text := string(bigHead)
	var head protocol.RequestHeader
	return func() error {
		return hertzreq.ReadHeader(&head, mock.NewZeroCopyReader(text))
	}
}

// openNbioParser runs nbio's parser without a connection, so its last step, the call of a handler, is left out.
func openNbioParser() func() error {
	engine := nbhttp.NewEngine(nbhttp.Config{})
	p := nbhttp.NewParser(nil, engine, nil, false, nil)
	return func() error { return p.Parse(bigHead) }
}
