package h1

// This file turns a net/http request into what goes on the wire. Nothing of a
// request is sent before all of it was found to be sendable.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	lent       *lentAsk               // what it is a part of; nil: a copy
}

// lentAsk is an ask with room for its head, lent from ask to sent.
type lentAsk struct {
	ask
	room [1024]byte
}

var lentAsks = sync.Pool{New: func() any { return new(lentAsk) }}

func lendAsk(req *http.Request) *ask {
	lent := lentAsks.Get().(*lentAsk)
	lent.ask = ask{of: req, lent: lent}
	return &lent.ask
}

// sent gives the memory back: the request will not be sent again, and nobody
// looks at its ask any more. It may be nil.
func (a *ask) sent() {
	if a == nil {
		return
	}
	lent := a.lent
	*a = ask{}
	buf.Poison(lent.room[:])
	lentAsks.Put(lent)
}

// forUpload is a copy for who sends the body only, for as long as that takes.
func (a *ask) forUpload() ask {
	rest := *a
	rest.lent, rest.head = nil, nil
	return rest
}

// askOptions change how a request is written, for a Transport.
type askOptions struct {
	host      string // the value of Host, as found out before; empty: the request says it
	absolute  bool   // to a proxy: the target in absolute-form (RFC 9112 section 3.2.2)
	last      bool   // say close, whatever the request says
	gzip      bool   // ask for the answer in gzip, where the request says nothing of codings
	proxyAuth string // credentials for a proxy, where the request has none; empty: none
	tunnels   bool   // what a CONNECT has for a body will be sent when the tunnel is open
}

const proxyAuthorization = "Proxy-Authorization"

// userAgent is the User-Agent of requests that have none.
const userAgent = "Go-h1-client/1.1"

// ask makes the request's head; the ask is lent until sent is called. The error is
// an *Error with the code BadRequest.
func (set *settings) ask(req *http.Request, opt *askOptions) (*ask, error) {
	if opt == nil {
		opt = &askOptions{}
	}
	a := lendAsk(req)
	if err := set.writeAsk(a, req, opt); err != nil {
		a.sent()
		return nil, badAsk(err)
	}
	return a, nil
}

func (set *settings) writeAsk(a *ask, req *http.Request, opt *askOptions) error {
	out, host, err := a.appendRequestLine(a.lent.room[:0], opt)
	if err == nil {
		err = a.frame(opt)
	}
	if err != nil {
		return err
	}
	upgrade := req.Header["Upgrade"]
	a.offer = a.method == field.CONNECT || len(upgrade) > 0 && upgrade[0] != ""
	a.idempotent = repeatable(req, a.method)
	a.replayable = a.idempotent && (a.body == nil || req.GetBody != nil)

	out = appendField(out, "Host", host)
	out = set.appendOwn(out, req, a, opt)
	if out, err = appendHeader(out, req.Header); err != nil {
		return err
	}
	out = opt.appendFields(out, req.Header)
	if out, err = a.announce(out, req); err != nil {
		return err
	}
	a.head = append(out, "\r\n"...)
	return nil
}

func badAsk(cause error) error {
	return fault.Wrap(fault.BadRequest, fault.Local, "preparing a request", cause)
}

func quoted(s string) string { return fault.Quote([]byte(s), shownOctets) }

// appendRequestLine adds the first line, and gives the value of Host.
func (a *ask) appendRequestLine(out []byte, opt *askOptions) (line []byte, host string, err error) {
	method := a.of.Method
	if method == "" {
		method = "GET"
	}
	a.method = field.LookupMethod([]byte(method))
	if a.method == field.OtherMethod && !httpguts.ValidHeaderFieldName(method) {
		return nil, "", errors.New("invalid method " + quoted(method))
	}
	if a.of.URL == nil {
		return nil, "", errors.New("request has no URL")
	}
	if host = opt.host; host == "" {
		if host, err = askHost(a.of); err != nil {
			return nil, "", err
		}
	}
	out = append(append(out, method...), ' ')
	if out, err = a.appendTarget(out, host, opt.absolute); err != nil {
		return nil, "", err
	}
	return append(out, " HTTP/1.1\r\n"...), host, nil
}

// askHost is the value of Host.
func askHost(req *http.Request) (string, error) {
	given := req.Host
	if given == "" {
		given = req.URL.Host
	}
	if plainAuthority(given) {
		return given, nil
	}
	// A name in other letters than ASCII goes as its A-labels (RFC 5891).
	host, err := httpguts.PunycodeHostPort(withoutZone(given))
	if err != nil || !httpguts.ValidHostHeader(host) {
		return "", errors.New("invalid Host " + quoted(given))
	}
	return host, nil
}

// plainAuthority tells whether an authority is an address as it is: a name in
// small letters, or an IPv4 address, and a port.
func plainAuthority(s string) bool {
	host, port, ok := strings.Cut(s, ":")
	for i := range len(host) {
		if c := host[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	for i := range len(port) {
		if c := port[i]; c < '0' || c > '9' {
			return false
		}
	}
	return ok && host != "" && port != ""
}

// appendTarget adds the request target, which is what URL.RequestURI gives but
// for CONNECT and proxies. Octets that would end the line or the target never
// reach the wire.
func (a *ask) appendTarget(out []byte, host string, absolute bool) ([]byte, error) {
	u, from := a.of.URL, len(out)
	switch {
	case a.method == field.CONNECT && u.Path == "" && u.Opaque == "":
		out = append(out, host...)
	case a.method == field.CONNECT && u.Path == "":
		out = append(out, u.Opaque...)
	case u.Opaque != "":
		out = append(out, u.RequestURI()...)
	default:
		if absolute && u.Scheme != "" {
			out = append(append(append(out, u.Scheme...), "://"...), host...)
		}
		out = appendPath(out, u)
	}
	if !octet.IsASCII(out[from:]) {
		given := string(out[from:])
		if a.method == field.CONNECT { // that has a host, in which nothing is escaped
			return nil, errors.New("invalid request target " + quoted(given))
		}
		out = appendEscaped(out[:from], given)
	}
	if !octet.IsTarget(out[from:]) {
		return nil, errors.New("invalid request target " + quoted(string(out[from:])))
	}
	return out, nil
}

// appendEscaped adds a target in which letters outside ASCII stand for themselves,
// as programs write them into queries, with their octets escaped (RFC 3986 section
// 2.1). That is what browsers send, and the same to a server; net/http sends the
// octets as they are, which no sender may (RFC 9110 section 2.2).
func appendEscaped(out []byte, target string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(target) {
		if c := target[i]; c < 0x80 {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return out
}

// appendPath adds path and query (RFC 9112 section 3.2.1). A path that a program
// set without its slash gets one, as in URL.String: behind a proxy's "http://host",
// "@evil" or ".evil" would be another host.
func appendPath(out []byte, u *url.URL) []byte {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") && path != "*" {
		out = append(out, '/')
	}
	out = append(out, path...)
	if u.ForceQuery || u.RawQuery != "" {
		out = append(append(out, '?'), u.RawQuery...)
	}
	return out
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

// frame decides how the body is sent. What a CONNECT has for one is for the tunnel,
// as soon as that is open: the request itself has no content (RFC 9110 section
// 9.3.6), and a proxy that refuses would take it for the next request.
func (a *ask) frame(opt *askOptions) error {
	if a.of.Body == nil && a.of.ContentLength != 0 {
		return fmt.Errorf("a length of %d and no Body", a.of.ContentLength)
	}
	length := askLength(a.of)
	if a.method == field.CONNECT && length != 0 {
		if !opt.tunnels {
			return errors.New("a CONNECT request has no content")
		}
		length = 0
	}
	if a.framing = frameAsk(length); a.framing.kind != bodyNone {
		a.body = a.of.Body
	}
	return nil
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
	if idempotent(method) {
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return key || xkey
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

// own tells whether h1 itself writes the field, whatever the Header has under the
// name.
func own(id field.ID) bool {
	switch id {
	case field.Host, field.UserAgent, field.ContentLength, field.TransferEncoding, field.Trailer, field.Connection:
		return true
	}
	return false
}

// headerField is one name of a Header with its values.
type headerField struct {
	name   string
	values []string
}

// appendHeader adds the Header's fields in the order of their names. The error
// is that one of them cannot be sent.
func appendHeader(out []byte, header http.Header) ([]byte, error) {
	if len(header) == 0 {
		return out, nil
	}
	var few [16]headerField
	all := few[:0]
	for name, values := range header {
		id := field.Lookup([]byte(name))
		if id == field.Unknown && !httpguts.ValidHeaderFieldName(name) {
			return nil, errors.New("invalid field name " + quoted(name))
		}
		for _, value := range values {
			if !octet.IsFieldValue([]byte(value)) {
				return nil, errors.New("invalid value of field " + name) // the value may be a secret
			}
		}
		if !own(id) {
			all = append(all, headerField{name, values})
		}
	}
	if len(all) > 1 {
		slices.SortFunc(all, func(a, b headerField) int { return strings.Compare(a.name, b.name) })
	}
	for _, f := range all {
		for _, value := range f.values {
			out = append(append(out, f.name...), ": "...)
			out = append(append(out, octet.TrimOWS([]byte(value))...), "\r\n"...)
		}
	}
	return out, nil
}

// appendFields adds what the Transport asks for on its own account.
func (opt *askOptions) appendFields(out []byte, header http.Header) []byte {
	if opt.gzip && len(header["Accept-Encoding"]) == 0 {
		out = append(out, "Accept-Encoding: gzip\r\n"...)
	}
	if opt.proxyAuth != "" {
		if _, ok := header[proxyAuthorization]; !ok {
			out = appendField(out, proxyAuthorization, opt.proxyAuth)
		}
	}
	return out
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
	if _, err := appendHeader(nil, req.Trailer); err != nil {
		return nil, err
	}
	slices.Sort(names)
	a.trailer = func() ([]byte, error) { // the values may have come with the body
		out, err := appendHeader(nil, req.Trailer)
		if err != nil {
			return nil, badAsk(err)
		}
		return out, nil
	}
	return appendField(out, "Trailer", strings.Join(names, ",")), nil
}

// askBody is a request's body, nil for none. It is closed once, by whoever is
// first.
type askBody struct {
	body   io.ReadCloser
	closed atomic.Bool
}

func bodyOf(body io.ReadCloser) *askBody {
	if body == nil || body == http.NoBody {
		return nil
	}
	return &askBody{body: body}
}

// Read implements io.Reader.
func (b *askBody) Read(p []byte) (int, error) { return b.body.Read(p) }

func (b *askBody) close() {
	if b != nil && b.closed.CompareAndSwap(false, true) {
		_ = b.body.Close()
	}
}
