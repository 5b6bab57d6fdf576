//go:build !alone || hertz

package main

import (
	"context"
	"io"
	"time"

	hertzclient "github.com/cloudwego/hertz/pkg/app/client"
	"github.com/cloudwego/hertz/pkg/common/hlog"
	"github.com/cloudwego/hertz/pkg/protocol"
)

func init() { clients = append(clients, hertzClient) }

var hertzClient = client{
	peer: "hertz",
	name: "hertz",
	note: "hertz client on its default dialer, request and response kept by each goroutine",
	open: func(addr string) (func() (func() error, error), error) {
		hlog.SetOutput(io.Discard)
		c, err := hertzclient.NewClient(hertzclient.WithMaxConnsPerHost(256), hertzclient.WithMaxIdleConnDuration(time.Minute))
		if err != nil {
			return nil, err
		}
		return func() (func() error, error) {
			request, answer := protocol.AcquireRequest(), protocol.AcquireResponse()
			request.SetMethod("GET")
			request.SetRequestURI("http://" + addr + "/")
			return func() error {
				err := c.Do(context.Background(), request, answer)
				return checkAnswer(answer.StatusCode(), len(answer.Body()), err)
			}, nil
		}, nil
	},
}
