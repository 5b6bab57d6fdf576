package h1

// This file hands requests for other schemes than http and https to who knows
// them.

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
)

// RegisterProtocol has requests with the given scheme sent by rt, as
// net/http.Transport does: http.NewFileTransport serves "file", say. When rt
// answers with http.ErrSkipAltProtocol the Transport sends the request itself,
// so that rt may also take a part of those for http or https. A scheme can be
// registered once; a second time panics. It may be called at any time.
func (t *Transport) RegisterProtocol(scheme string, rt http.RoundTripper) {
	for {
		old := t.protocols.Load()
		all := map[string]http.RoundTripper{}
		if old != nil {
			maps.Copy(all, *old)
		}
		if _, ok := all[scheme]; ok {
			panic("h1: the protocol " + scheme + " is registered already")
		}
		all[scheme] = rt
		if t.protocols.CompareAndSwap(old, &all) {
			return
		}
	}
}

// otherProtocol is who sends requests for that URL; nil: the Transport.
func (t *Transport) otherProtocol(u *url.URL) http.RoundTripper {
	all := t.protocols.Load()
	if all == nil || u == nil {
		return nil
	}
	return (*all)[u.Scheme]
}

// passOn has another RoundTripper send the request. When that skips it, again
// is the request for the Transport to send.
func passOn(rt http.RoundTripper, req *http.Request) (res *http.Response, again *http.Request, err error) {
	if req.Body == nil || req.Body == http.NoBody {
		res, err = rt.RoundTrip(req)
		return res, req, err
	}
	lent := &lentBody{body: req.Body}
	passed := req.WithContext(req.Context())
	passed.Body = lent
	if res, err = rt.RoundTrip(passed); err != http.ErrSkipAltProtocol || !lent.touched {
		return res, req, err
	}
	_ = lent.Close()
	if req.GetBody == nil {
		err = errors.New("the body was read by a protocol that skipped the request")
	} else if passed.Body, err = req.GetBody(); err == nil {
		return nil, passed, http.ErrSkipAltProtocol
	}
	return nil, nil, &RequestError{Outcome: OutcomeNotSent, Err: badAsk(err)}
}

// lentBody knows whether anything was done with it.
type lentBody struct {
	body    io.ReadCloser
	touched bool
}

// Read implements io.Reader.
func (b *lentBody) Read(p []byte) (int, error) {
	b.touched = true
	return b.body.Read(p)
}

// Close implements io.Closer.
func (b *lentBody) Close() error {
	b.touched = true
	return b.body.Close()
}
