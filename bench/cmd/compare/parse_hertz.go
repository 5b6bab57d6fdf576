//go:build !alone || hertz

package main

import (
	"github.com/cloudwego/hertz/pkg/common/test/mock"
	"github.com/cloudwego/hertz/pkg/protocol"
	hertzreq "github.com/cloudwego/hertz/pkg/protocol/http1/req"
)

func init() {
	parsers = append(parsers, parser{name: "hertz", peer: "hertz", open: openHertzParser})
}

// openHertzParser reads from hertz's own test reader, which is a bufio.Reader with the methods that hertz asks for.
func openHertzParser() func() error {
	text := string(bigHead)
	var head protocol.RequestHeader
	return func() error {
		return hertzreq.ReadHeader(&head, mock.NewZeroCopyReader(text))
	}
}
