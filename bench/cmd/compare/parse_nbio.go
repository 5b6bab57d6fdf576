//go:build !alone || nbio

package main

import "github.com/lesismal/nbio/nbhttp"

func init() {
	parsers = append(parsers, parser{name: "nbio", peer: "nbio", open: openNbioParser})
}

// openNbioParser runs nbio's parser without a connection, so its last step, the call of a handler, is left out.
func openNbioParser() func() error {
	engine := nbhttp.NewEngine(nbhttp.Config{})
	p := nbhttp.NewParser(nil, engine, nil, false, nil)
	return func() error { return p.Parse(bigHead) }
}
