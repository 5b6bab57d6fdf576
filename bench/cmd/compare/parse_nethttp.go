package main

import (
	"bufio"
	"bytes"
	"net/http"
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
