package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"sync"
)

var netHTTPServer = server{
	name: "net/http",
	note: "the standard library's server, http.Handler",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		ln, err := listen(tlsConfig, ready)
		if err != nil {
			return err
		}
		return (&http.Server{Handler: handlerFor(w)}).Serve(ln)
	},
}

// handlerFor is the http.Handler that every server with net/http's interface runs.
func handlerFor(w work) http.Handler {
	if w.task == taskEcho {
		return http.HandlerFunc(echoBody)
	}
	body := w.answerBody()
	length := strconv.Itoa(len(body))
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", contentType)
		rw.Header().Set("Content-Length", length)
		_, _ = rw.Write(body) // a client that went away shows in the load's own count
	})
}

var echoBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// echoBody reads the whole body before it answers: net/http, by default, lets a handler do no other.
func echoBody(rw http.ResponseWriter, r *http.Request) {
	buf := echoBuffers.Get().(*bytes.Buffer)
	defer echoBuffers.Put(buf)
	buf.Reset()
	if n := r.ContentLength; n > 0 {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := io.Copy(buf, r.Body); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	rw.Header().Set("Content-Type", contentType)
	rw.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	_, _ = rw.Write(buf.Bytes())
}
