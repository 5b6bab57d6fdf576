package main

import (
	"fmt"
	"io"
	"net/http"
)

var netHTTPClient = client{
	name: "net/http",
	note: "http.Transport, RoundTrip",
	open: func(addr string) (func() (func() error, error), error) {
		return roundTripper(&http.Transport{MaxIdleConnsPerHost: 256}, addr), nil
	},
}

// roundTripper calls through any http.RoundTripper. Each goroutine keeps one request and sends it again once the answer
// before is read to its end, as RoundTrip's contract allows: the figure is the transport's, not http.NewRequest's.
func roundTripper(rt http.RoundTripper, addr string) func() (func() error, error) {
	return func() (func() error, error) {
		request, err := http.NewRequest("GET", "http://"+addr+"/", nil)
		if err != nil {
			return nil, err
		}
		buf := make([]byte, 512)
		return func() error {
			answer, err := rt.RoundTrip(request)
			if err != nil {
				return err
			}
			n, err := readAll(answer.Body, buf)
			answer.Body.Close()
			return checkAnswer(answer.StatusCode, n, err)
		}, nil
	}
}

// readAll reads r to its end and returns how much there was.
func readAll(r io.Reader, buf []byte) (int, error) {
	total := 0
	for {
		n, err := r.Read(buf)
		total += n
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func checkAnswer(status, size int, err error) error {
	if err == nil && (status != http.StatusOK || size != len(smallBody)) {
		err = fmt.Errorf("status %d with %d octets", status, size)
	}
	return err
}
