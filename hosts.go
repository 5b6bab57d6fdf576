package h1

// This file finds out where a request's URL leads, and remembers it for the hosts
// that were asked last: a program asks few hosts often, and to bring a host into
// the form in which it is a key and a field value takes longer than to find it.

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// knownHost is what follows from the scheme and the host of a URL. It is never
// changed.
type knownHost struct {
	scheme, given string
	key           originKey // proxies left aside
	field         string    // the value of Host; empty: it is to be found from the request
}

// hostCache is known hosts, each at the place that its hash gives; the last one
// there stays.
type hostCache [64]atomic.Pointer[knownHost]

var hostSeed = maphash.MakeSeed()

// longHost is past the longest name that DNS has (RFC 1035 section 2.3.4), with a
// port; longer ones are not remembered.
const longHost = 256 + len(":65535")

// of is where the URL leads.
func (hc *hostCache) of(u *url.URL) (*knownHost, error) {
	if u == nil {
		return nil, errors.New("request has no URL")
	}
	at := &hc[maphash.String(hostSeed, u.Host)%uint64(len(hc))]
	if h := at.Load(); h != nil && h.given == u.Host && h.scheme == u.Scheme {
		return h, nil
	}
	h, err := newKnownHost(u)
	if err == nil && len(u.Host) <= longHost {
		at.Store(h)
	}
	return h, err
}

// newKnownHost keeps no part of the URL, which may be long.
func newKnownHost(u *url.URL) (*knownHost, error) {
	key, err := originOf(u)
	if err != nil {
		return nil, err
	}
	given := strings.Clone(u.Host)
	if key.addr == given {
		key.addr = given
	}
	field, _ := askHost(&http.Request{Host: given, URL: u})
	return &knownHost{scheme: key.scheme, given: given, key: key, field: field}, nil
}

// fieldFor is the value of Host, where the request says nothing else than its
// URL; empty where it does.
func (h *knownHost) fieldFor(req *http.Request) string {
	if req.Host != "" && req.Host != h.given {
		return ""
	}
	return h.field
}

// originOf is what the request's connection is shared for, proxies left aside.
func originOf(u *url.URL) (originKey, error) {
	scheme, port := "", ""
	switch u.Scheme {
	case "http":
		scheme, port = "http", "80"
	case "https":
		scheme, port = "https", "443"
	default:
		return originKey{}, errors.New("unsupported scheme " + quoted(u.Scheme))
	}
	addr, err := addrOf(u, port)
	if err != nil {
		return originKey{}, fmt.Errorf("request URL %w", err)
	}
	return originKey{scheme: scheme, addr: addr}, nil
}

// addrOf is the host and port of a URL; port is for one that has none. Names in
// other letters than ASCII go as their A-labels (RFC 5891).
func addrOf(u *url.URL, port string) (string, error) {
	if plainAuthority(u.Host) {
		return u.Host, nil
	}
	host := u.Hostname()
	if host == "" {
		return "", errors.New("has no host")
	}
	if given := u.Port(); given != "" {
		port = given
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(host) {
		return "", errors.New("has an invalid host " + quoted(u.Host))
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}
