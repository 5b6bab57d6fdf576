package h1

// This file is the way through proxies: which one a request goes by, the tunnels
// of HTTP proxies (RFC 9110 section 9.3.6) and SOCKS version 5 (RFC 1928). How a
// request for an http URL is written for a proxy is in ask.go.

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/h1go/h1/internal/fault"

	"golang.org/x/net/proxy"
)

// proxyPorts are the schemes of proxies, with the ports of those that name none.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

// route finds out what the request's connection is shared for, when that of its
// URL is known, and the proxy that it goes by; nil: none.
func (t *Transport) route(req *http.Request, direct *originKey) (*originKey, *url.URL, error) {
	if t.Proxy == nil {
		return direct, nil, nil
	}
	via, err := t.Proxy(req)
	if err == nil && via != nil {
		via, err = plainProxy(via)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("choosing a proxy: %w", err)
	}
	if via == nil {
		return direct, nil, nil
	}
	key := *direct
	key.proxy = via.String()
	if key.scheme == "http" && via.Scheme != "socks5" {
		key.addr = ""
	}
	return &key, via, nil
}

// routeTo is route for whatever will be asked for at the URL.
func (t *Transport) routeTo(ctx context.Context, u *url.URL) (originKey, error) {
	req := &http.Request{Method: "GET", URL: u, Host: u.Host, Header: http.Header{}}
	h, err := t.hosts.of(u)
	if err != nil {
		return originKey{}, err
	}
	key, _, err := t.route(req.WithContext(ctx), &h.key)
	if err != nil {
		return originKey{}, err
	}
	return *key, nil
}

// plainProxy is what counts of a proxy's URL, in one form: two URLs that differ
// in nothing else lead to the same connections. The form is one that url.Parse
// gives back as it was.
func plainProxy(u *url.URL) (*url.URL, error) {
	scheme := strings.ToLower(u.Scheme)
	switch scheme {
	case "":
		scheme = "http"
	case "socks5h":
		scheme = "socks5"
	}
	port, ok := proxyPorts[scheme]
	if !ok {
		return nil, errors.New("unsupported scheme " + quoted(u.Scheme))
	}
	addr, err := addrOf(u, port)
	if err != nil {
		return nil, fmt.Errorf("proxy URL %w", err)
	}
	// RFC 7617 section 2 forbids controls. What is wrong is not shown, as it may
	// be a secret.
	password, _ := u.User.Password()
	if strings.ContainsFunc(u.User.Username()+password, isControl) {
		return nil, errors.New("proxy URL has control characters in user or password")
	}
	return &url.URL{Scheme: scheme, User: u.User, Host: addr}, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// where names the origin in messages.
func (k *originKey) where() string {
	if k.addr != "" {
		return k.addr
	}
	return k.hop()
}

// hop is the address that the connection goes to: the proxy's if there is one.
func (k *originKey) hop() string {
	if k.proxy == "" {
		return k.addr
	}
	_, addr, _ := strings.Cut(k.proxy, "@") // without credentials
	if addr == "" {
		_, addr, _ = strings.Cut(k.proxy, "//")
	}
	return addr
}

// toProxy makes the request one that a proxy answers itself: its target is in
// absolute-form and the proxy's credentials are in it, unless the request has
// its own.
func (opt *askOptions) toProxy(via *url.URL) {
	opt.absolute, opt.proxyAuth = true, basicAuth(via.User)
}

// basicAuth is the value of Proxy-Authorization (RFC 7617 section 2); empty:
// there are no credentials.
func basicAuth(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// proxyTime limits what a proxy may take to open the way once it was reached.
// net/http gives CONNECT as much, and SOCKS any time.
const proxyTime = time.Minute

// dialThrough is dial by way of the key's proxy.
func (t *Transport) dialThrough(ctx context.Context, key originKey) (raw, nc net.Conn, err error) {
	via, err := url.Parse(key.proxy)
	if err != nil {
		return nil, nil, badAsk(err)
	}
	if raw, nc, err = t.dialHost(ctx, via.Scheme == "https", via.Host); err != nil {
		return nil, nil, blameProxy(err)
	}
	if err = t.open(ctx, nc, via, key); err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	if key.scheme == "https" {
		return t.secure(ctx, raw, nc, key.addr)
	}
	return raw, nc, nil
}

// blameProxy says that it was the proxy that could not be reached. Programs look
// for the *net.OpError of net/http.
func blameProxy(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.By != fault.Server {
		return err
	}
	return fault.Wrap(f.Code, fault.Proxy, f.Doing, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: f.Err})
}

// open has the proxy at the other end of nc lead to the origin.
func (t *Transport) open(ctx context.Context, nc net.Conn, via *url.URL, key originKey) error {
	if key.addr == "" {
		return nil // each request says where it goes
	}
	limited, cancel := context.WithTimeout(ctx, proxyTime)
	defer cancel()
	var err error
	if via.Scheme == "socks5" {
		err = socks(limited, nc, via, key.addr)
	} else {
		err = t.tunnel(limited, nc, via, key.addr)
	}
	doing := "connecting to " + key.addr + " through " + via.Host
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return cancelled(ctx, doing)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.By == fault.Local {
		return err
	}
	return fault.Wrap(fault.TunnelFailed, fault.Proxy, doing, err)
}

// socks has a SOCKS proxy connect to addr.
func socks(ctx context.Context, nc net.Conn, via *url.URL, addr string) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", via.Host, auth, reached{nc})
	if err != nil {
		return err
	}
	_, err = d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	return err
}

// reached is the way to a proxy that was gone already.
type reached struct{ nc net.Conn }

// Dial implements proxy.Dialer.
func (r reached) Dial(string, string) (net.Conn, error) { return r.nc, nil }

// DialContext implements proxy.ContextDialer.
func (r reached) DialContext(context.Context, string, string) (net.Conn, error) { return r.nc, nil }

// tunnel has an HTTP proxy connect to addr. Any 2xx says that it has (RFC 9110
// section 9.3.6).
func (t *Transport) tunnel(ctx context.Context, nc net.Conn, via *url.URL, addr string) error {
	req, err := t.connectRequest(ctx, via, addr)
	if err != nil {
		return err
	}
	c := newConn(nc, ClientRole, t.toProxies)
	stop := context.AfterFunc(ctx, func() { c.fail(CloseCancelled, ctx.Err()) })
	defer stop()
	res, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	through, opened := res.Body.(*switched)
	if opened {
		res.Body = http.NoBody
	}
	if t.OnProxyConnectResponse != nil {
		if err := t.OnProxyConnectResponse(ctx, via, req, res); err != nil {
			return err
		}
	}
	switch {
	case !opened:
		return errors.New("it answered " + quoted(res.Status))
	case through.early():
		return fault.New(fault.UnexpectedData, fault.Proxy, "opening a tunnel") // a TLS server waits for its client
	}
	return nil
}

// forTunnels are the settings of a connection while a proxy is asked for a
// tunnel: nobody is told of it before it is what it is meant to be.
func (set *settings) forTunnels() *settings {
	quiet := *set
	quiet.observe, quiet.coding, quiet.headTime = nil, codingSet{}, 0
	return &quiet
}

// connectRequest is the request for a tunnel to addr.
func (t *Transport) connectRequest(ctx context.Context, via *url.URL, addr string) (*http.Request, error) {
	header := t.ProxyConnectHeader
	if t.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.GetProxyConnectHeader(ctx, via, addr); err != nil {
			return nil, fault.Wrap(fault.BadRequest, fault.Local, "asking for the fields of a CONNECT request", err)
		}
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	if auth := basicAuth(via.User); auth != "" {
		header[proxyAuthorization] = []string{auth}
	}
	target := withoutZone(addr)
	req := &http.Request{Method: "CONNECT", URL: &url.URL{Opaque: target}, Host: target, Header: header}
	return req.WithContext(ctx), nil
}
