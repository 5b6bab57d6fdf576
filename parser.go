package h1

// parser.go reads heads and trailers: start line and field lines, up to the
// empty line that ends them. It takes octets and gives offsets and facts; it
// does no I/O, keeps no octets, and decides nothing about the body.
//
// Invariants: a line is judged when all of it is in, so that a head may arrive
// in any pieces and the outcome is the same; a line of which a part has come is
// not read again before its end is in, so that a slow sender costs linear work;
// a line ends in CRLF and in nothing else (RFC 9112 section 2.2 lets a
// recipient take a bare LF: two recipients that differ on it see two messages).

import (
	"bytes"
	"math"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// span is a half-open range of offsets into the window a head was parsed from.
type span struct{ lo, hi int32 }

func (s span) of(win []byte) []byte { return win[s.lo:s.hi] }
func (s span) empty() bool          { return s.lo == s.hi }

// headField is one field line. The value is trimmed of OWS.
type headField struct {
	name, value span
	id          field.ID
}

// connOptions is what Connection lists, over all its fields.
type connOptions uint8

const (
	optClose connOptions = 1 << iota
	optKeepAlive
	optUpgrade
	optTE
	optOther
)

// targetForm is the form of a request target (RFC 9112 section 3.2).
type targetForm uint8

const (
	formOrigin targetForm = iota
	formAbsolute
	formAuthority
	formAsterisk
)

// expectation is what Expect asks for (RFC 9110 section 10.1.1).
type expectation uint8

const (
	expectNone expectation = iota
	expectContinue
	expectOther
)

// headStage is how far the parse has come.
type headStage uint8

const (
	stageStart headStage = iota
	stageFields
	stageDone
)

// headLimits bounds a head. All figures count octets from the head's first,
// line ends included, but for startLine, which leaves out its own CRLF, and
// fields, which counts lines.
type headLimits struct{ startLine, bytes, fields int }

// head is a parsed head. Call reset before the first use, too.
type head struct {
	// Progress.
	pos   int32 // first unparsed octet; always the start of a line, at a fault of the one at fault
	seen  int32 // octets past pos already searched for the line's end
	stage headStage

	// The start line.
	method, target span
	methodID       field.Method
	form           targetForm
	authority      span // within target; empty in origin-form and asterisk-form
	reason         span // responses
	status         int  // responses
	major, minor   uint8

	fields []headField

	// Facts, gathered while fields go by, to be judged when all are in.
	hosts       int        // Host fields seen
	host        span       // the target's authority; where the target has none, the last Host value
	lengths     int        // Content-Length fields seen
	length      int64      // their common value, when lengths > 0 and lengthFault is None
	lengthSize  int        // how many digits that has; a repeated field has to be spelled alike
	lengthFault fault.Code // BadContentLength or DifferingContentLength
	codings     int        // Transfer-Encoding fields seen
	chunkedOnly bool       // there is one Transfer-Encoding field and it says just "chunked"
	options     connOptions
	expect      expectation // requests
	upgrade     bool        // an Upgrade field is there
	te          bool        // a TE field is there
	trailer     bool        // a Trailer field is there
	hintTimeout int32       // Keep-Alive: timeout=N seconds; -1 when absent or malformed
	hintMax     int32       // Keep-Alive: max=N; -1 when absent or malformed
}

// keptFields bounds the fields array that a head holds on to between messages.
const keptFields = 256

// reset makes h ready for the next message.
func (h *head) reset() {
	fields := h.fields[:0]
	if cap(fields) > keptFields {
		fields = nil
	}
	*h = head{}
	h.fields, h.hintTimeout, h.hintMax = fields, -1, -1
}

// value gives the value of the first field named id, nil when there is none.
func (h *head) value(win []byte, id field.ID) []byte {
	for i := range h.fields {
		if f := &h.fields[i]; f.id == id {
			return f.value.of(win)
		}
	}
	return nil
}

// parseRequest parses a request head at the start of win. While more octets
// are needed it returns false and None, and is called again with the window
// grown at its end; the window may have moved. When done, h.pos is the length
// of the head; when there is a fault, h.pos is the start of the line at fault.
func (h *head) parseRequest(win []byte, lim *headLimits) (done bool, code fault.Code) {
	for h.stage == stageStart {
		if code := h.firstOctet(win); code != fault.None {
			return false, code
		}
		line, ok, code := h.startLine(win, lim, fault.RequestLineTooLong)
		if !ok {
			return false, code
		}
		if len(line) > 0 || h.pos >= emptyLines*crlf {
			if code := h.requestLine(line); code != fault.None {
				return false, blame(line, code)
			}
			h.stage = stageFields
		}
		h.pass(line)
	}
	if done, code := h.fieldLines(win, lim, inRequest); !done {
		return false, code
	}
	if code := h.judgeHost(win); code != fault.None {
		h.pos = h.hostLine()
		return false, code
	}
	return true, fault.None
}

// parseResponse does for a response head what parseRequest does for a request.
func (h *head) parseResponse(win []byte, lim *headLimits) (done bool, code fault.Code) {
	if h.stage == stageStart {
		// Whatever does not begin like "HTTP/" is refused at once: the alert of
		// a TLS server, say, never ends its line. No empty line may come first
		// (RFC 9112 section 2.2 allows it before a request line only).
		if len(win) > 0 && win[0] != 'H' {
			return false, fault.BadStatusLine
		}
		line, ok, code := h.startLine(win, lim, fault.HeadTooLarge)
		if !ok {
			return false, code
		}
		if code := h.statusLine(line); code != fault.None {
			return false, blame(line, code)
		}
		h.stage = stageFields
		h.pass(line)
	}
	return h.fieldLines(win, lim, inResponse)
}

// parseTrailer parses the trailer section of a chunked body (RFC 9112 section
// 7.1.2), from behind the last chunk's line to the empty line. No facts are
// gathered from it.
func (h *head) parseTrailer(win []byte, lim *headLimits) (done bool, code fault.Code) {
	h.stage = stageFields
	return h.fieldLines(win, lim, inTrailer)
}

// emptyLines is how many empty lines are skipped before a request line. RFC
// 9112 section 2.2 asks for one at least, for clients that end a body with a
// line end it does not count.
const (
	emptyLines = 4
	crlf       = 2 // its length
)

// firstOctet refuses, without waiting for the line's end, what is no request
// line from its first octet on.
func (h *head) firstOctet(win []byte) fault.Code {
	if int(h.pos) == len(win) {
		return fault.None
	}
	switch c := win[h.pos]; {
	case octet.IsTChar(c), c == '\r', c == '\n':
		return fault.None
	case c == tlsHandshake:
		return fault.TLSOnPlain
	}
	return fault.BadMethod
}

// tlsHandshake is the content type that begins a TLS connection (RFC 8446
// section 5.1).
const tlsHandshake = 0x16

// startLine cuts off the start line, which has to end within two limits, its
// own and that of the head; the lower one names the fault.
func (h *head) startLine(win []byte, lim *headLimits, over fault.Code) (line []byte, ok bool, code fault.Code) {
	limit := lim.startLine + crlf
	if limit >= lim.bytes {
		limit, over = lim.bytes, fault.HeadTooLarge
	}
	return h.line(win, min(limit, math.MaxInt32), over) // offsets have 32 bits
}

// line gives the line at h.pos, without its CRLF. ok is false when its end
// is not in yet, with None, or when there is a fault.
func (h *head) line(win []byte, limit int, over fault.Code) (line []byte, ok bool, code fault.Code) {
	end, code := h.lineEnd(win, limit, over)
	if end < 0 {
		return nil, false, code
	}
	line = win[h.pos:end]
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, false, fault.BareLF
	}
	return line[:len(line)-1], true, fault.None
}

// pass moves on from a line to the next.
func (h *head) pass(line []byte) {
	h.pos, h.seen = h.pos+int32(len(line)+crlf), 0
}

// lineEnd gives the offset of the line feed that ends the line at h.pos; -1
// when it is not in yet, with None, or not within the limit. A line feed at
// limit or past it is over, and so is its lack in that many octets: both say
// the same of a line, so the verdict does not depend on how much of it is in.
func (h *head) lineEnd(win []byte, limit int, over fault.Code) (end int, code fault.Code) {
	from := int(h.pos + h.seen)
	end = bytes.IndexByte(win[from:], '\n')
	if end < 0 {
		end = len(win)
	} else {
		end += from
	}
	switch {
	case end >= limit:
		return -1, over
	case end == len(win):
		h.seen = int32(end) - h.pos
		return -1, fault.None
	}
	return end, fault.None
}

// requestLine parses method SP request-target SP HTTP-version (RFC 9112
// section 3), which is at h.pos. The parts are divided by one SP each, and by
// no other white space.
func (h *head) requestLine(line []byte) fault.Code {
	at := h.pos
	first := bytes.IndexByte(line, ' ')
	if first < 0 {
		first = len(line)
	}
	method := line[:first]
	h.method = span{at, at + int32(first)}
	h.methodID = field.LookupMethod(method)
	if h.methodID == field.OtherMethod && !octet.IsToken(method) {
		return fault.BadMethod
	}
	last := len(line) - len(spaceHTTP11)
	if last > first && string(line[last:]) == spaceHTTP11 { // as nearly everybody sends it
		h.major, h.minor = 1, 1
		return h.requestTargetAt(line, first, last)
	}
	last = bytes.LastIndexByte(line, ' ')
	if last <= first { // one SP or none
		if first < len(line) && octet.IsTarget(line[first+1:]) {
			return fault.HTTP09
		}
		return fault.BadTarget
	}
	if code := h.version(line[last+1:], fault.BadVersion); code != fault.None {
		return code
	}
	return h.requestTargetAt(line, first, last)
}

const spaceHTTP11 = " HTTP/1.1"

// requestTargetAt takes the target between the two SP of a request line.
func (h *head) requestTargetAt(line []byte, first, last int) fault.Code {
	h.target = span{h.pos + int32(first+1), h.pos + int32(last)}
	return h.requestTarget(line[first+1 : last])
}

// version parses an HTTP-version (RFC 9112 section 2.3), case-sensitive. A
// higher minor version of HTTP/1 is taken as the highest known one, 1.1 (RFC
// 9110 section 6.2).
func (h *head) version(b []byte, bad fault.Code) fault.Code {
	if len(b) != len("HTTP/1.1") || string(b[:5]) != "HTTP/" ||
		!octet.IsDigit(b[5]) || b[6] != '.' || !octet.IsDigit(b[7]) {
		return bad
	}
	if b[5] != '1' {
		return fault.VersionUnsupported
	}
	h.major, h.minor = 1, min(b[7]-'0', 1)
	return fault.None
}

// requestTarget tells the form of the target and holds it against the method
// (RFC 9112 section 3.2).
func (h *head) requestTarget(target []byte) fault.Code {
	if !octet.IsTarget(target) {
		return fault.BadTarget
	}
	switch {
	case h.methodID == field.CONNECT:
		return h.authorityForm(target)
	case target[0] == '/':
		h.form = formOrigin
	case string(target) == "*":
		h.form = formAsterisk
		if h.methodID != field.OPTIONS {
			return fault.BadTarget
		}
	default:
		return h.absoluteForm(target)
	}
	return fault.None
}

// authorityForm is uri-host ":" port, both there (RFC 9112 section 3.2.3).
func (h *head) authorityForm(target []byte) fault.Code {
	host, port, ok := octet.SplitHostPort(target)
	if !ok || len(host) == 0 || len(port) == 0 {
		return fault.BadTarget
	}
	h.form, h.authority = formAuthority, h.target
	return fault.None
}

// absoluteForm is an absolute-URI (RFC 9112 section 3.2.2). Its authority says
// whom the request is for, so it is held to the grammar of Host: user
// information is refused, which RFC 9110 section 4.2.4 deprecates because it
// hides the host. An http or https URI has a host (RFC 9110 section 4.2.1).
func (h *head) absoluteForm(target []byte) fault.Code {
	scheme, rest, ok := octet.CutScheme(target)
	if !ok || len(rest) == 0 {
		return fault.BadTarget
	}
	h.form = formAbsolute
	var host, authority []byte
	if bytes.HasPrefix(rest, slashes) {
		authority = rest[len(slashes):]
		if end := bytes.IndexAny(authority, "/?"); end >= 0 {
			authority = authority[:end]
		}
		if host, _, ok = octet.SplitHostPort(authority); !ok {
			return fault.BadTarget
		}
		lo := h.target.hi - int32(len(rest)-len(slashes))
		h.authority = span{lo, lo + int32(len(authority))}
	}
	if len(host) == 0 && (octet.EqualFold(scheme, "http") || octet.EqualFold(scheme, "https")) {
		return fault.BadTarget
	}
	return fault.None
}

var slashes = []byte("//")

// judgeHost applies RFC 9112 section 3.2 once all fields are in: one Host, or
// none in HTTP/1.0, with a valid value. The value may be empty: so it is where
// the target has no authority. An authority in the target overrides Host.
func (h *head) judgeHost(win []byte) fault.Code {
	switch {
	case h.hosts > 1:
		return fault.SeveralHosts
	case h.hosts == 0 && h.minor > 0:
		return fault.NoHost
	}
	if _, _, ok := octet.SplitHostPort(h.host.of(win)); !ok {
		return fault.BadHost
	}
	if !h.authority.empty() {
		h.host = h.authority
	}
	return fault.None
}

// hostLine gives the offset of the last Host line, that of the request line
// when there is none.
func (h *head) hostLine() int32 {
	at := h.method.lo
	for i := range h.fields {
		if f := &h.fields[i]; f.id == field.Host {
			at = f.name.lo
		}
	}
	return at
}

// statusLine parses HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112
// section 4), which begins the window. The second SP may be missing with the
// reason: many servers send it so, and nothing else could be meant.
func (h *head) statusLine(line []byte) fault.Code {
	sp := bytes.IndexByte(line, ' ')
	if sp < 0 {
		return fault.BadStatusLine
	}
	if code := h.version(line[:sp], fault.BadStatusLine); code != fault.None {
		return code
	}
	rest := line[sp+1:]
	digits, reason, _ := bytes.Cut(rest, space)
	if len(digits) != 3 {
		return fault.BadStatusCode
	}
	// RFC 9110 section 15: codes past 599 are invalid, but a client should
	// take them for a 5xx, so they pass; below 100 there is no class at all.
	status, ok := octet.ParseDecimal(digits)
	if !ok || status < 100 {
		return fault.BadStatusCode
	}
	h.status = int(status)
	if !octet.IsFieldValue(reason) {
		return fault.BadStatusLine
	}
	end := int32(len(line))
	h.reason = span{end - int32(len(reason)), end}
	return fault.None
}

var space = []byte(" ")

// section is what a field line stands in.
type section uint8

const (
	inRequest section = iota
	inResponse
	inTrailer
)

// fieldLines parses field lines up to the empty line that ends them. There is
// one judge of what is a good line, fieldLine, which reads it in one go; what
// it does not take is bad or not all in, which refusal finds out.
func (h *head) fieldLines(win []byte, lim *headLimits, in section) (done bool, code fault.Code) {
	over := fault.HeadTooLarge
	if in == inTrailer {
		over = fault.TrailerTooLarge
	}
	limit := min(lim.bytes, math.MaxInt32) // offsets have 32 bits
	if h.seen > 0 {                        // looked at before: not again until it is all in
		if end, code := h.lineEnd(win, limit, over); end < 0 {
			return false, code
		}
		h.seen = 0
	}
	within := win[:min(len(win), limit)]
	for {
		line := within[h.pos:]
		if len(line) >= crlf && line[0] == '\r' && line[1] == '\n' {
			h.pos, h.stage = h.pos+crlf, stageDone
			return true, fault.None
		}
		if len(h.fields) >= lim.fields || !h.fieldLine(line) {
			return false, h.refusal(win, lim.fields, limit, over)
		}
		if f := &h.fields[len(h.fields)-1]; f.id.Controls() {
			if code := h.note(f.id, f.value, win, in); code != fault.None {
				h.pos = f.name.lo
				return false, code
			}
		}
	}
}

// fieldLine takes field-name ":" OWS field-value OWS CRLF (RFC 9112 section 5)
// from the start of line, which is at h.pos of the window, or takes nothing.
func (h *head) fieldLine(line []byte) bool {
	colon := octet.IndexColon(line)
	if colon < 0 {
		return false
	}
	id := field.Lookup(line[:colon])
	if id == field.Unknown && !octet.IsToken(line[:colon]) {
		return false
	}
	lo := colon + 1
	for lo < len(line) && octet.IsOWS(line[lo]) {
		lo++
	}
	end := lo + octet.ValueEnd(line[lo:])
	if len(line)-end < crlf || line[end] != '\r' || line[end+1] != '\n' {
		return false
	}
	hi := end
	for hi > lo && octet.IsOWS(line[hi-1]) {
		hi--
	}
	at := h.pos
	h.fields = append(h.fields, headField{
		name:  span{at, at + int32(colon)},
		value: span{at + int32(lo), at + int32(hi)},
		id:    id,
	})
	h.pos = at + int32(end+crlf)
	return true
}

// refusal says why the line at h.pos was not taken: None when its end is not
// in yet.
func (h *head) refusal(win []byte, fields, limit int, over fault.Code) fault.Code {
	line, ok, code := h.line(win, limit, over)
	switch {
	case !ok:
		return code
	case len(h.fields) >= fields:
		return fault.TooManyFields
	}
	return blame(line, badField(line))
}

// badField says what is wrong with a field line.
func badField(line []byte) fault.Code {
	name, _, ok := bytes.Cut(line, colon)
	switch {
	case octet.IsOWS(line[0]): // RFC 9112 section 5.2; behind the start line, section 2.2
		return fault.ObsFold
	case !ok:
		return fault.BadFieldLine
	case len(name) > 0 && octet.IsOWS(name[len(name)-1]): // RFC 9112 section 5.1
		return fault.SpaceBeforeColon
	case !octet.IsToken(name):
		return fault.BadFieldName
	}
	return fault.BadFieldValue
}

var colon = []byte(":")

// blame gives the code for a line that was refused with code: a bare CR goes
// before all else, since it is what tells an attack from a slip.
func blame(line []byte, code fault.Code) fault.Code {
	if bytes.IndexByte(line, '\r') >= 0 {
		return fault.BareCR
	}
	return code
}

// note gathers the facts of a field.
func (h *head) note(id field.ID, at span, win []byte, in section) fault.Code {
	if in == inTrailer {
		return allowedInTrailer(id)
	}
	value := at.of(win)
	switch id {
	case field.Host:
		h.hosts++
		h.host = at
	case field.ContentLength:
		h.noteLength(value)
	case field.TransferEncoding:
		h.codings++
		h.chunkedOnly = h.codings == 1 && octet.EqualFold(value, "chunked")
	case field.Connection:
		h.noteConnection(value)
	case field.KeepAlive:
		h.noteHints(value)
	case field.Expect:
		if in == inRequest {
			h.noteExpect(value)
		}
	case field.Upgrade:
		h.upgrade = true
	case field.TE:
		h.te = true
	case field.Trailer:
		h.trailer = true
	}
	return fault.None
}

// allowedInTrailer refuses the fields that say where a message ends, whom it
// is for and what becomes of the connection (RFC 9110 section 6.5.1): a
// recipient that merged them into the head would see another message. Other
// fields that make no sense in a trailer harm nobody as long as trailers stay
// apart from the head, as they do here.
func allowedInTrailer(id field.ID) fault.Code {
	switch id {
	case field.Host, field.ContentLength, field.TransferEncoding, field.Connection:
		return fault.BadTrailer
	}
	return fault.None
}

// noteLength takes a Content-Length (RFC 9110 section 8.6): 1*DIGIT and
// nothing else. A list of equal numbers, which a recipient may accept or
// reject, is rejected. So are fields that spell the same number differently, as
// a peer that compares them octet by octet sees two lengths there.
func (h *head) noteLength(value []byte) {
	h.lengths++
	n, ok := octet.ParseDecimal(value)
	switch {
	case h.lengthFault != fault.None: // the first fault stays
	case !ok:
		h.lengthFault = fault.BadContentLength
	case h.lengths > 1 && (n != h.length || len(value) != h.lengthSize):
		h.lengthFault = fault.DifferingContentLength
	default:
		h.length, h.lengthSize = n, len(value)
	}
}

// noteConnection adds up the connection options (RFC 9110 section 7.6.1).
func (h *head) noteConnection(value []byte) {
	for {
		option, rest, ok := octet.NextElement(value)
		if !ok {
			return
		}
		value = rest
		switch {
		case octet.EqualFold(option, "close"):
			h.options |= optClose
		case octet.EqualFold(option, "keep-alive"):
			h.options |= optKeepAlive
		case octet.EqualFold(option, "upgrade"):
			h.options |= optUpgrade
		case octet.EqualFold(option, "te"):
			h.options |= optTE
		default:
			h.options |= optOther
		}
	}
}

// noteExpect takes an Expect list (RFC 9110 section 10.1.1): one member that
// is not 100-continue makes the whole one that cannot be met.
func (h *head) noteExpect(value []byte) {
	for {
		member, rest, ok := octet.NextElement(value)
		if !ok {
			return
		}
		value = rest
		switch {
		case !octet.EqualFold(member, "100-continue"):
			h.expect = expectOther
		case h.expect == expectNone:
			h.expect = expectContinue
		}
	}
}

// noteHints takes the parameters of Keep-Alive (RFC 2068 section 19.7.1.1).
// They bind nobody: what cannot be read is passed over.
func (h *head) noteHints(value []byte) {
	for {
		hint, rest, ok := octet.NextElement(value)
		if !ok {
			return
		}
		value = rest
		name, number, _ := bytes.Cut(hint, equals)
		n, ok := octet.ParseDecimal(unquote(number))
		switch n := int32(min(n, math.MaxInt32)); {
		case !ok:
		case octet.EqualFold(name, "timeout"):
			h.hintTimeout = n
		case octet.EqualFold(name, "max"):
			h.hintMax = n
		}
	}
}

var equals = []byte("=")

// unquote takes the quotes off a number that stands in a quoted string.
func unquote(b []byte) []byte {
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		return b[1 : n-1]
	}
	return b
}
