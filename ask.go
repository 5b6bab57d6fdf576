package h1

// This file turns a net/http request into what goes on the wire. Nothing of a
// request is sent before all of it was found to be sendable.

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"github.com/h1go/h1/internal/buf"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"

	"golang.org/x/net/http/httpguts"
)

// ask is a request ready to be sent.
type ask struct {
	of         *http.Request
	method     field.Method
	head       []byte
	framing    framing
	body       io.Reader              // nil: none
	trailer    func() ([]byte, error) // the trailer field lines, after the body; nil: none
	offer      bool                   // CONNECT, or an upgrade is asked for
	last       bool                   // the request says close
	idempotent bool                   // doing it twice is the same as doing it once, or its sender says so
	replayable bool                   // and its body can be had anew
	lent       *headBuffer            // holds the head, unless it is a large one
}

// headBuffer is memory for a request's head, lent from ask to sent.
type headBuffer [1024]byte

var headBuffers = sync.Pool{New: func() any { return new(headBuffer) }}

// sent gives the memory of the head back: it will not be sent again.
func (a *ask) sent() {
	if a != nil && a.lent != nil {
		lent := a.lent
		a.lent, a.head = nil, nil
		buf.Poison(lent[:])
		headBuffers.Put(lent)
	}
}

// askOptions change how a request is written, for a Transport.
type askOptions struct {
	absolute bool        // to a proxy: the target in absolute-form (RFC 9112 section 3.2.2)
	last     bool        // say close, whatever the request says
	fields   http.Header // further fields, where the request has none of that name
}

// userAgent is the User-Agent of requests that have none.
const userAgent = "Go-h1-client/1.1"

// ask makes the request's head. The error is an *Error with the code
// BadRequest.
func (set *settings) ask(req *http.Request, opt *askOptions) (*ask, error) {
	if opt == nil {
		opt = &askOptions{}
	}
	a := &ask{of: req}
	method := req.Method
	if method == "" {
		method = "GET"
	}
	a.method = field.LookupMethod([]byte(method))
	host, target, err := askTarget(req, a.method, opt)
	switch {
	case err != nil:
		return nil, badAsk(err)
	case !httpguts.ValidHeaderFieldName(method):
		return nil, badAsk(errors.New("invalid method " + quoted(method)))
	}
	if err := validHeader(req.Header); err != nil {
		return nil, badAsk(err)
	}
	a.framing = frameAsk(askLength(req))
	if a.framing.kind != bodyNone {
		a.body = req.Body
	}
	a.offer = a.method == field.CONNECT || req.Header.Get("Upgrade") != ""
	a.idempotent = repeatable(req, a.method)
	a.replayable = a.idempotent && (a.body == nil || req.GetBody != nil)

	a.lent = headBuffers.Get().(*headBuffer)
	out := a.lent[:0]
	out = append(append(append(append(out, method...), ' '), target...), " HTTP/1.1\r\n"...)
	out = appendField(out, "Host", host)
	out = set.appendOwn(out, req, a, opt)
	out, err = appendHeader(out, req.Header, opt.fields)
	if err != nil {
		return nil, badAsk(err)
	}
	if out, err = a.announce(out, req); err != nil {
		return nil, badAsk(err)
	}
	a.head = append(out, "\r\n"...)
	return a, nil
}

func badAsk(cause error) error {
	return fault.Wrap(fault.BadRequest, fault.Local, "preparing a request", cause)
}

func quoted(s string) string { return fault.Quote([]byte(s), shownOctets) }

// askTarget is the value of Host and the request target. Octets that would end
// the line or the target never reach the wire.
func askTarget(req *http.Request, method field.Method, opt *askOptions) (host, target string, err error) {
	if req.URL == nil {
		return "", "", errors.New("request has no URL")
	}
	given := req.Host
	if given == "" {
		given = req.URL.Host
	}
	// A name in other letters than ASCII goes as its A-labels (RFC 5891).
	host, err = httpguts.PunycodeHostPort(withoutZone(given))
	if err != nil || !httpguts.ValidHostHeader(host) {
		return "", "", errors.New("invalid Host " + quoted(given))
	}
	switch {
	case method == field.CONNECT && req.URL.Path == "":
		target = host
		if req.URL.Opaque != "" {
			target = req.URL.Opaque
		}
	case opt.absolute && req.URL.Scheme != "" && req.URL.Opaque == "":
		target = req.URL.Scheme + "://" + host + req.URL.RequestURI()
	default:
		target = req.URL.RequestURI()
	}
	if !octet.IsTarget([]byte(target)) {
		return "", "", errors.New("invalid request target " + quoted(target))
	}
	return host, target, nil
}

// withoutZone drops the zone of an IPv6 address, which means nothing to the
// peer (RFC 6874 section 4).
func withoutZone(host string) string {
	end := strings.LastIndexByte(host, ']')
	zone := strings.IndexByte(host, '%')
	if !strings.HasPrefix(host, "[") || zone < 0 || zone > end {
		return host
	}
	return host[:zone] + host[end:]
}

// askLength is the body's length, -1 when it is not known. As with net/http a
// length of zero beside a Body means "not known", and Request.TransferEncoding
// may ask for chunks.
func askLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength == 0 || len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked":
		return -1
	}
	return max(req.ContentLength, -1)
}

// repeatable tells whether a request may be done twice: RFC 9110 section 9.2.2
// and, for other methods, the sender's word that it is idempotent.
func repeatable(req *http.Request, method field.Method) bool {
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return idempotent(method) || key || xkey
}

// appendOwn adds the fields that are h1's to say: User-Agent, framing,
// persistence and the transfer codings it takes.
func (set *settings) appendOwn(out []byte, req *http.Request, a *ask, opt *askOptions) []byte {
	if agent, ok := req.Header["User-Agent"]; !ok {
		out = appendField(out, "User-Agent", userAgent)
	} else if len(agent) > 0 && agent[0] != "" {
		out = appendField(out, "User-Agent", agent[0])
	}
	switch a.framing.kind {
	case bodyLength:
		out = appendLength(out, a.framing.length)
	case bodyChunked:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	default:
		// A method that defines a body says that there is none (RFC 9110 section 8.6).
		if a.method == field.POST || a.method == field.PUT || a.method == field.PATCH {
			out = appendLength(out, 0)
		}
	}
	var options []string
	close := req.Close || httpguts.HeaderValuesContainsToken(req.Header["Connection"], "close")
	a.last = close || opt.last
	// Servers refuse to switch protocols on a connection that is to close.
	if close || opt.last && !a.offer {
		options = append(options, "close")
	}
	if te := set.coding.offer(); te != "" {
		out = appendField(out, "TE", te)
		options = append(options, "TE")
	}
	for _, list := range req.Header["Connection"] {
		for elem, rest, ok := octet.NextElement([]byte(list)); ok; elem, rest, ok = octet.NextElement(rest) {
			if !octet.EqualFold(elem, "close") && !(a.last && octet.EqualFold(elem, "keep-alive")) {
				options = append(options, string(elem))
			}
		}
	}
	if len(options) > 0 {
		out = appendField(out, "Connection", strings.Join(options, ", "))
	}
	return out
}

// ownFields are written by h1 itself, whatever the Header has under the name.
var ownFields = []string{"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer", "Connection"}

func validHeader(header http.Header) error {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return errors.New("invalid field name " + quoted(name))
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return errors.New("invalid value of field " + name) // the value may be a secret
			}
		}
	}
	return nil
}

// appendHeader adds the Header's fields in the order of their names, and those
// of more that the Header lacks.
func appendHeader(out []byte, header, more http.Header) ([]byte, error) {
	if err := validHeader(more); err != nil {
		return nil, err
	}
	var few [24]string
	names := few[:0]
	for name := range header {
		if !slices.Contains(ownFields, textproto.CanonicalMIMEHeaderKey(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range header[name] {
			out = appendField(out, name, strings.Trim(value, " \t"))
		}
	}
	for name, values := range more {
		if _, ok := header[name]; ok {
			continue
		}
		for _, value := range values {
			out = appendField(out, name, value)
		}
	}
	return out, nil
}

// announce adds the Trailer field, and makes the body chunked so that trailer
// fields have a place.
func (a *ask) announce(out []byte, req *http.Request) ([]byte, error) {
	if len(req.Trailer) == 0 {
		return out, nil
	}
	if a.framing.kind != bodyChunked {
		return nil, errors.New("trailer fields need a body of unknown length")
	}
	var names []string
	for name := range req.Trailer {
		if !httpguts.ValidTrailerHeader(textproto.CanonicalMIMEHeaderKey(name)) || !httpguts.ValidHeaderFieldName(name) {
			return nil, errors.New("invalid trailer field name " + quoted(name))
		}
		names = append(names, name)
	}
	if err := validHeader(req.Trailer); err != nil {
		return nil, err
	}
	slices.Sort(names)
	a.trailer = func() ([]byte, error) { // the values may have come with the body
		if err := validHeader(req.Trailer); err != nil {
			return nil, badAsk(err)
		}
		return appendHeader(nil, req.Trailer, nil)
	}
	return appendField(out, "Trailer", strings.Join(names, ",")), nil
}
