//go:build !alone || gnet

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

func init() { servers = append(servers, gnetServer) }

var gnetServer = server{
	peer:  "gnet",
	name:  "gnet echo",
	note:  "gnet v2.9.0: its event loop with the floor's canned answers, no parsing",
	noTLS: true,
	run: func(w work, _ *tls.Config, ready func(string)) error {
		return gnet.Run(&gnetHandler{answers: newCanned(w), ready: ready}, "tcp://127.0.0.1:0", gnet.WithLogger(gnetLog{}))
	},
}

type gnetHandler struct {
	gnet.BuiltinEventEngine
	answers *canned
	ready   func(string)
}

func (h *gnetHandler) OnBoot(e gnet.Engine) gnet.Action {
	addr, err := gnetAddress(e)
	if err != nil {
		return gnet.Shutdown
	}
	go announce(addr, h.ready)
	return gnet.None
}

// gnetAddress asks the system for the port, for gnet does not tell it.
func gnetAddress(e gnet.Engine) (string, error) {
	fd, err := e.Dup()
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	in4, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return "", errors.New("gnet listens elsewhere than on IPv4")
	}
	return loopback(in4.Port), nil
}

func (h *gnetHandler) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(h.answers.fresh())
	return nil, gnet.None
}

func (h *gnetHandler) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if out := c.Context().(*canned).reply(in); len(out) > 0 {
		if _, err := c.Write(out); err != nil {
			return gnet.Close
		}
	}
	return gnet.None
}

// gnetLog keeps gnet off standard output, where the parent listens, and passes on what went wrong.
type gnetLog struct{}

func (gnetLog) Debugf(string, ...any)             {}
func (gnetLog) Infof(string, ...any)              {}
func (gnetLog) Warnf(format string, args ...any)  { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (gnetLog) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (gnetLog) Fatalf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
