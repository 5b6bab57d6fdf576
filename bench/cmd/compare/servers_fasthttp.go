//go:build !alone || fasthttp

package main

import (
	"crypto/tls"

	"github.com/valyala/fasthttp"
)

func init() { servers = append(servers, fasthttpServer) }

var fasthttpServer = server{
	peer: "fasthttp",
	name: "fasthttp",
	note: "fasthttp v1.68.0",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		ln, err := listen(tlsConfig, ready)
		if err != nil {
			return err
		}
		body := w.answerBody()
		handler := func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType(contentType)
			if w.task == taskEcho {
				ctx.SetBody(ctx.PostBody())
				return
			}
			ctx.SetBody(body)
		}
		return (&fasthttp.Server{Handler: handler}).Serve(ln)
	},
}
