package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"time"

	"github.com/h1go/h1"
)

var h1Server = server{
	name: "h1 http.Handler",
	note: "h1.Server with the http.Handler of net/http's row",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		return serveH1(&h1.Server{Handler: handlerFor(w)}, tlsConfig, ready)
	},
}

var h1NativeServer = server{
	name: "h1 native",
	note: "h1.Server with a NativeHandler",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		return serveH1(&h1.Server{Native: nativeFor(w)}, tlsConfig, ready)
	},
}

// serveH1 runs s with its defaults, but for the idle timeout: the idle cases take longer than it. TLS is left to h1, as
// its users do.
func serveH1(s *h1.Server, tlsConfig *tls.Config, ready func(string)) error {
	s.IdleTimeout = 10 * time.Minute
	ln, err := listen(nil, ready)
	if err != nil {
		return err
	}
	if tlsConfig != nil {
		s.TLSConfig = tlsConfig
		return s.ServeTLS(ln, "", "")
	}
	return s.Serve(ln)
}

// nativeFor is the native handler of each task.
func nativeFor(w work) h1.NativeHandler {
	if w.task == taskEcho {
		return h1.NativeHandlerFunc(echoNative)
	}
	body := w.answerBody()
	return h1.NativeHandlerFunc(func(x *h1.Exchange) {
		_ = x.Reply(200, contentType, body) // a client that went away shows in the load's own count
	})
}

// echoNative reads the whole body before it answers, as the other servers do.
func echoNative(x *h1.Exchange) {
	buf := echoBuffers.Get().(*bytes.Buffer)
	defer echoBuffers.Put(buf)
	buf.Reset()
	if n := x.ContentLength(); n > 0 {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := io.Copy(buf, x); err != nil {
		x.SetStatus(400)
		return
	}
	_ = x.Reply(200, contentType, buf.Bytes())
}
