//go:build !alone || hertz

package main

import (
	"context"
	"crypto/tls"
	"io"
	"time"

	"github.com/cloudwego/hertz/pkg/app"
	hertzserver "github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/common/config"
	"github.com/cloudwego/hertz/pkg/common/hlog"
	"github.com/cloudwego/hertz/pkg/network/standard"
)

func init() { servers = append(servers, hertzServer) }

var hertzServer = server{
	peer: "hertz",
	name: "hertz",
	note: "hertz v0.9.7: netpoll for plain connections, its standard transport for TLS",
	run: func(w work, tlsConfig *tls.Config, ready func(string)) error {
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		hlog.SetOutput(io.Discard)
		options := []config.Option{
			hertzserver.WithHostPorts(addr), hertzserver.WithDisablePrintRoute(true),
			hertzserver.WithIdleTimeout(10 * time.Minute), hertzserver.WithKeepAliveTimeout(10 * time.Minute),
		}
		if tlsConfig != nil {
			options = append(options, hertzserver.WithTLS(tlsConfig), hertzserver.WithTransport(standard.NewTransporter))
		}
		h := hertzserver.New(options...)
		body := w.answerBody()
		h.Any("/", func(_ context.Context, ctx *app.RequestContext) {
			if w.task == taskEcho {
				ctx.Data(200, contentType, ctx.Request.Body())
				return
			}
			ctx.Data(200, contentType, body)
		})
		go announce(addr, ready)
		return h.Run()
	},
}
