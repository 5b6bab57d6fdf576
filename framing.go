package h1

// Framing: where a message's body ends (RFC 9112 sections 6 and 7.1).
//
// frameRequest and frameResponse decide it from a complete head, frameAsk and
// frameAnswer for what this end sends. A decoder takes the framing off the
// octets that arrive, an encoder puts it on. Both are small values that see
// octets and numbers only: no I/O, no clock, no pointers.
//
// Invariants: how the input was cut never changes what a decoder gives; every
// octet that a decoder spends is an octet of this message and no other; an
// encoder never lets more or fewer octets pass than the head promised.

import (
	"bytes"
	"math"
	"strings"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// bodyKind is the way a body is delimited.
type bodyKind uint8

const (
	bodyNone       bodyKind = iota // the head ends the message
	bodyLength                     // Content-Length octets
	bodyChunked                    // the chunked coding says where it ends
	bodyUntilClose                 // the end of the stream ends it
)

// framing is what a head says of its body. bodyLength with length 0 is not
// bodyNone: such a head has a Content-Length field.
type framing struct {
	kind   bodyKind
	length int64     // for bodyLength
	stack  *[]string // further transfer codings in the order they were applied, lower-case, chunked left out; nil almost always
}

// maxCodings is how many transfer codings may be stacked under chunked. One is
// all that is seen in practice; each one multiplies what a few octets can
// inflate to (curl draws the line at 5 after CVE-2022-32206).
const maxCodings = 4

// frameRequest applies RFC 9112 section 6.3 to a request whose head is
// complete. Steps 1, 2 and 8 are about responses. It is stricter than the RFC
// where the RFC leaves a choice that lets two parties see two messages.
//
// Several Content-Length fields with one and the same value count as one, as
// RFC 9110 section 8.6 allows and net/http does; the list form ("5, 5") has
// lengthFault set by the parser, and is refused.
//
// known tells whether a transfer coding other than chunked (a lower-case name)
// can be decoded here; nil knows none.
func frameRequest(h *head, win []byte, known func(string) bool) (framing, fault.Code) {
	switch {
	case h.codings > 0 && h.minor == 0: // section 6.1: the framing is faulty
		return framing{}, fault.CodingInHTTP10
	case h.codings > 0 && h.lengths > 0: // step 3; section 6.1 lets a server refuse
		return framing{}, fault.LengthAndCoding
	case h.chunkedOnly: // step 4, as nearly everybody sends it
		return framing{kind: bodyChunked}, fault.None
	case h.codings > 0: // step 4
		f, code := listCodings(h, win)
		if code == fault.None && f.kind != bodyChunked {
			code = fault.CodingNotFinal
		}
		return judgeCodings(f, code, known)
	case h.lengthFault != fault.None: // step 5
		return framing{}, h.lengthFault
	case h.lengths > 0: // step 6
		return framing{kind: bodyLength, length: h.length}, fault.None
	}
	return framing{}, fault.None // step 7
}

// frameResponse applies RFC 9112 section 6.3 to a response whose head is
// complete, method being that of the request it answers. Step 7 is about
// requests. Content-Length and Transfer-Encoding say nothing of the framing in
// steps 1 and 2, and are not judged there.
func frameResponse(h *head, win []byte, method field.Method, known func(string) bool) (framing, fault.Code) {
	switch {
	case !bodyAllowed(method, h.status): // steps 1 and 2
		return framing{}, fault.None
	case h.codings > 0 && h.minor == 0: // section 6.1: the framing is faulty
		return framing{}, fault.CodingInHTTP10
	case h.codings > 0 && h.lengths > 0: // step 3: "ought to be handled as an error"
		return framing{}, fault.LengthAndCoding
	case h.chunkedOnly: // step 4
		return framing{kind: bodyChunked}, fault.None
	case h.codings > 0: // step 4; without chunked the stream's end is the body's end
		f, code := listCodings(h, win)
		return judgeCodings(f, code, known)
	case h.lengthFault != fault.None: // step 5
		return framing{}, h.lengthFault
	case h.lengths > 0: // step 6
		return framing{kind: bodyLength, length: h.length}, fault.None
	}
	return framing{kind: bodyUntilClose}, fault.None // step 8
}

// listCodings reads the Transfer-Encoding fields (RFC 9112 section 6.1) as one
// list: bodyChunked when chunked is its last member, bodyUntilClose when it is
// not a member.
//
// Every coding that can be decoded here is a bare token, since sections 7.1 and
// 7.2 call a parameter an error. An empty element is refused as well, against
// RFC 9110 section 5.6.1: no sender makes one in this field, and what peers take
// ", chunked" for differs.
func listCodings(h *head, win []byte) (framing, fault.Code) {
	f, code := framing{kind: bodyUntilClose}, fault.None
	var stack []string
	for i := range h.fields {
		if h.fields[i].id != field.TransferEncoding {
			continue
		}
		for list, more := h.fields[i].value.of(win), true; more; {
			var name []byte
			name, list, more = bytes.Cut(list, comma)
			name = octet.TrimOWS(name)
			chunked := octet.EqualFold(name, "chunked")
			switch {
			case !octet.IsToken(name), len(stack) == maxCodings && !chunked:
				return framing{}, fault.BadTransferEncoding
			case chunked && f.kind == bodyChunked: // not more than once
				return framing{}, fault.BadTransferEncoding
			case chunked:
				f.kind = bodyChunked
			case f.kind == bodyChunked: // something else on top of chunked
				code = fault.CodingNotFinal
			default:
				stack = append(stack, strings.ToLower(string(name)))
			}
		}
	}
	if stack != nil {
		f.stack = &stack
	}
	return f, code
}

// judgeCodings is the end of step 4. That nobody here knows a coding comes
// last: a message whose end is in doubt is refused for that (400) and not for
// its codings (501).
func judgeCodings(f framing, code fault.Code, known func(string) bool) (framing, fault.Code) {
	if code != fault.None {
		return framing{}, code
	}
	if f.stack == nil {
		return f, fault.None
	}
	for _, name := range *f.stack {
		if known == nil || !known(name) {
			return framing{}, fault.CodingUnknown
		}
	}
	return f, fault.None
}

var comma = []byte{','}

// bodyAllowed tells whether a response can have a body at all: RFC 9112 section
// 6.3 steps 1 and 2. A 1xx, a 204, a 304 and every answer to HEAD end with
// their head; a 2xx to CONNECT makes the connection a tunnel.
func bodyAllowed(method field.Method, status int) bool {
	switch {
	case method == field.HEAD, status < 200, status == 204, status == 304:
		return false
	case method == field.CONNECT && status < 300:
		return false
	}
	return true
}

// frameAnswer picks the framing of a response to send: length is that of the
// content, -1 when it is not known. minor is the request's: who speaks HTTP/1.0
// is never sent a transfer coding (RFC 9112 section 6.1).
func frameAnswer(method field.Method, status int, minor uint8, length int64) framing {
	switch {
	case !bodyAllowed(method, status):
		return framing{}
	case length >= 0:
		return framing{kind: bodyLength, length: length}
	case minor == 0:
		return framing{kind: bodyUntilClose}
	}
	return framing{kind: bodyChunked}
}

// frameAsk picks the framing of a request to send: length is that of the
// content, -1 when it is not known, 0 when there is none.
func frameAsk(length int64) framing {
	switch {
	case length == 0:
		return framing{}
	case length > 0:
		return framing{kind: bodyLength, length: length}
	}
	return framing{kind: bodyChunked}
}

// What a chunked body may carry beside its data (RFC 9112 section 7.1.1 asks
// for a bound).
const (
	// maxChunkRun is how many octets of framing may stand between two pieces of
	// data, which is a chunk-size line and the CRLF before it. It fits every chunk
	// extension in use with room to spare: a signature of object storage is 85
	// octets. net/http draws the line at 4096 as well.
	maxChunkRun = 4096

	// chunkGrant is the framing that each chunk earns by itself, beside one octet
	// for every octet of its data. The framing of a chunk of one octet takes five,
	// and to stream octet by octet is lawful for as long as the sender likes; only
	// what he adds to that (extensions, zeros before the size) runs up a debt.
	chunkGrant = 8

	// maxChunkDebt is the framing let pass beyond what the chunks earned, four runs
	// at their longest. So n octets of data in c chunks never cost more than
	// n + 8c + 16 KiB of framing. net/http lets 16 KiB go too; Node and hyper stop
	// all extensions there.
	maxChunkDebt = 16 << 10
)

// decoder takes the framing off a body. The zero value is a body that ended.
type decoder struct {
	state decodeState
	left  int64 // octets of data left, of the body or of the chunk; the size so far while its digits go by
	run   int32 // octets of chunk framing since the last data
	debt  int32 // octets of chunk framing not earned so far
}

// decodeState is what a decoder expects next.
type decodeState uint8

const (
	atEnd        decodeState = iota // nothing: the body ended
	inLength                        // data, left octets of it
	inUntilClose                    // data, until the stream ends
	inChunk                         // data, left octets of it
	atTrailer                       // the trailer section, which is the caller's to parse

	// The rows of chunkTable.
	atSize        // the first digit of a chunk size
	inSize        // a further digit, or what ends the size
	afterSize     // the ";" after white space after the size
	atExtName     // an extension's name, or white space before it
	inExtName     // more of it, or what ends it
	afterExtName  // "=" or ";" after white space
	atExtValue    // an extension's value, or white space before it
	inExtToken    // more of a token, or what ends it
	inExtQuoted   // more of a quoted-string
	inExtEscape   // the octet after a backslash in it
	afterExtQuote // what follows a quoted-string
	afterExtValue // the ";" after white space after a value
	atSizeLF      // the LF of a line that has no extension
	atExtLF       // the LF of a line that has one
	atChunkCR     // the CR after a chunk's data
	atChunkLF     // the LF after it

	decodeStates // how many there are
)

// start makes the decoder ready for a body framed so.
func (d *decoder) start(f framing) {
	*d = decoder{}
	switch f.kind {
	case bodyLength:
		if f.length > 0 {
			d.state, d.left = inLength, f.length
		}
	case bodyUntilClose:
		d.state = inUntilClose
	case bodyChunked:
		d.state = atSize
	}
}

// advance spends chunk framing: up to the next data, the trailer section or
// the end of in. used is how many octets of in that took. On a fault it stops
// before the octet at fault, and would stop there again.
//
// What comes next, direct tells: that many octets of data, which took has to be
// told of; or none, and then the body ended, or the trailer section follows, or
// more octets are needed to tell.
func (d *decoder) advance(in []byte) (used int, code fault.Code) {
	for used < len(in) && d.state >= atSize {
		c := in[used]
		next := chunkTable[d.state][chunkClassOf[c]]
		switch {
		case next == atEnd:
			return used, chunkFaults[d.state]
		case d.run == maxChunkRun:
			return used, fault.ChunkOverhead
		case next == inSize:
			if d.left>>59 != 0 { // with one digit more it is past 63 bits
				return used, fault.ChunkTooLarge
			}
			d.left = d.left<<4 | int64(octet.HexValue(c))
		case next == inChunk:
			if !d.afford() {
				return used, fault.ChunkOverhead
			}
			if d.left == 0 { // last-chunk
				next = atTrailer
			}
		}
		d.state = next
		d.run++
		used++
	}
	return used, fault.None
}

// afford settles the account of framing at the last octet of a chunk-size line:
// what the line took, and the CRLF before it, against what the chunk earns.
func (d *decoder) afford() bool {
	debt := int64(d.debt) + int64(d.run) + 1 - chunkGrant - d.left
	if debt > maxChunkDebt {
		return false
	}
	d.debt = int32(max(debt, 0))
	return true
}

// direct is how many octets of data come next with no framing between. They may
// be read straight into the place they are wanted. The number is as good as
// endless for a body that the stream's end ends.
func (d *decoder) direct() int64 {
	switch d.state {
	case inLength, inChunk:
		return d.left
	case inUntilClose:
		return math.MaxInt64
	}
	return 0
}

// took tells that n octets of data were taken, at most direct of them. It returns
// whether that was the end of the body. A chunked body has its end elsewhere: when
// its last chunk is spent trailing tells so, and endTrailer ends it.
func (d *decoder) took(n int64) (done bool) {
	if n == 0 || d.state == inUntilClose {
		return d.state == atEnd
	}
	if d.left -= n; d.left > 0 {
		return false
	}
	if d.state == inChunk {
		d.state, d.run = atChunkCR, 0
		return false
	}
	d.state = atEnd
	return true
}

// ended tells whether the body is over.
func (d *decoder) ended() bool { return d.state == atEnd }

// trailing tells whether the last chunk is spent, so that what follows is the
// trailer section (RFC 9112 section 7.1.2), the closing empty line included.
func (d *decoder) trailing() bool { return d.state == atTrailer }

// endTrailer tells that the trailer section was parsed: the body is over.
func (d *decoder) endTrailer() { d.state = atEnd }

// eof tells what it means that the stream ends here (RFC 9112 section 8): the
// end of a body that has no other, nothing to one that is over already, and the
// loss of the rest to all others.
func (d *decoder) eof() fault.Code {
	switch d.state {
	case inUntilClose:
		d.state = atEnd
	case atEnd:
	default:
		return fault.UnexpectedEOF
	}
	return fault.None
}

// remaining is how many octets of the body are to come, -1 when nobody knows.
func (d *decoder) remaining() int64 {
	switch d.state {
	case inLength:
		return d.left
	case atEnd:
		return 0
	}
	return -1
}

// chunkClass is what an octet is to a chunk-size line.
type chunkClass uint8

const (
	controloctet   chunkClass = iota // CTL, but for those below
	hexoctet                         // HEXDIG, any case; a tchar as well
	tokenoctet                       // tchar, but for HEXDIG
	textoctet                        // the rest of VCHAR, and obs-text
	blankoctet                       // SP, HTAB
	semicolonoctet                   // ";"
	equalsoctet                      // "="
	quoteoctet                       // DQUOTE
	backslashoctet                   // "\"
	crOctet
	lfOctet

	chunkClasses // how many there are
)

// chunkClassOf classes every octet.
var chunkClassOf = func() (class [256]chunkClass) {
	for c := range class {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			class[c] = hexoctet
		case octet.IsTChar(byte(c)):
			class[c] = tokenoctet
		case c > ' ' && c != 0x7f:
			class[c] = textoctet
		}
	}
	class[' '], class['\t'] = blankoctet, blankoctet
	class[';'], class['='] = semicolonoctet, equalsoctet
	class['"'], class['\\'] = quoteoctet, backslashoctet
	class['\r'], class['\n'] = crOctet, lfOctet
	return class
}()

// chunkTable is the grammar of RFC 9112 sections 7.1 and 7.1.1, row by row:
//
//	chunk     = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//	chunk-ext = *( BWS ";" BWS chunk-ext-name
//	               [ BWS "=" BWS ( token / quoted-string ) ] )
//
// A cell left out is a fault. White space has to have a ";" or "=" to stand
// before; a line ends in CRLF and in nothing else; CR and LF are never part of
// a quoted-string, whatever stands before them.
var chunkTable = [decodeStates][chunkClasses]decodeState{
	atSize:    {hexoctet: inSize},
	inSize:    {hexoctet: inSize, blankoctet: afterSize, semicolonoctet: atExtName, crOctet: atSizeLF},
	afterSize: {blankoctet: afterSize, semicolonoctet: atExtName},

	atExtName:    {hexoctet: inExtName, tokenoctet: inExtName, blankoctet: atExtName},
	inExtName:    {hexoctet: inExtName, tokenoctet: inExtName, blankoctet: afterExtName, equalsoctet: atExtValue, semicolonoctet: atExtName, crOctet: atExtLF},
	afterExtName: {blankoctet: afterExtName, equalsoctet: atExtValue, semicolonoctet: atExtName},

	atExtValue:    {hexoctet: inExtToken, tokenoctet: inExtToken, quoteoctet: inExtQuoted, blankoctet: atExtValue},
	inExtToken:    {hexoctet: inExtToken, tokenoctet: inExtToken, blankoctet: afterExtValue, semicolonoctet: atExtName, crOctet: atExtLF},
	afterExtQuote: {blankoctet: afterExtValue, semicolonoctet: atExtName, crOctet: atExtLF},
	afterExtValue: {blankoctet: afterExtValue, semicolonoctet: atExtName},

	inExtQuoted: {hexoctet: inExtQuoted, tokenoctet: inExtQuoted, textoctet: inExtQuoted, blankoctet: inExtQuoted,
		semicolonoctet: inExtQuoted, equalsoctet: inExtQuoted, backslashoctet: inExtEscape, quoteoctet: afterExtQuote},
	inExtEscape: {hexoctet: inExtQuoted, tokenoctet: inExtQuoted, textoctet: inExtQuoted, blankoctet: inExtQuoted,
		semicolonoctet: inExtQuoted, equalsoctet: inExtQuoted, backslashoctet: inExtQuoted, quoteoctet: inExtQuoted},

	atSizeLF:  {lfOctet: inChunk},
	atExtLF:   {lfOctet: inChunk},
	atChunkCR: {crOctet: atChunkLF},
	atChunkLF: {lfOctet: atSize},
}

// chunkFaults says what is wrong where chunkTable has no cell.
var chunkFaults = [decodeStates]fault.Code{
	atSize:        fault.BadChunkSize,
	inSize:        fault.BadChunkSize,
	afterSize:     fault.BadChunkSize,
	atSizeLF:      fault.BadChunkSize,
	atExtName:     fault.BadChunkExtension,
	inExtName:     fault.BadChunkExtension,
	afterExtName:  fault.BadChunkExtension,
	atExtValue:    fault.BadChunkExtension,
	inExtToken:    fault.BadChunkExtension,
	inExtQuoted:   fault.BadChunkExtension,
	inExtEscape:   fault.BadChunkExtension,
	afterExtQuote: fault.BadChunkExtension,
	afterExtValue: fault.BadChunkExtension,
	atExtLF:       fault.BadChunkExtension,
	atChunkCR:     fault.BadChunkEnd,
	atChunkLF:     fault.BadChunkEnd,
}

// encoder puts the framing on a body. The zero value lets no octet pass.
type encoder struct {
	kind bodyKind
	open bool  // octets of a chunk were announced, and its CRLF is owed
	rest int64 // octets still due, for bodyLength
}

// start makes the encoder ready for a body framed so.
func (e *encoder) start(f framing) { *e = encoder{kind: f.kind, rest: f.length} }

// trails tells whether the framing has a place for trailer fields (RFC 9112
// section 7.1.2).
func (e *encoder) trails() bool { return e.kind == bodyChunked }

// before appends to dst what goes before the next n octets of the body, and
// counts them. BodyLength says that the framing has no room for them; then
// nothing is appended and none may be sent. Nothing goes before no octets: a
// chunk of size zero would end the body.
func (e *encoder) before(dst []byte, n int) ([]byte, fault.Code) {
	if n == 0 {
		return dst, fault.None
	}
	switch e.kind {
	case bodyNone:
		return dst, fault.BodyLength
	case bodyLength:
		if int64(n) > e.rest {
			return dst, fault.BodyLength
		}
		e.rest -= int64(n)
	case bodyChunked:
		e.open = true
		dst = append(octet.AppendHex(dst, int64(n)), lineEnd...)
	}
	return dst, fault.None
}

// after appends to dst what goes after the octets that before announced.
func (e *encoder) after(dst []byte) []byte {
	if !e.open {
		return dst
	}
	e.open = false
	return append(dst, lineEnd...)
}

// end appends to dst what ends the body; from then on no octet passes. trailer
// is the trailer's field lines, each with its CRLF; only a chunked body can carry
// it (RFC 9112 section 7.1.2), with the others it is left out. A chunk whose
// after did not come yet is closed first. BodyLength says
// that octets are still due: the peer waits for them, and the connection is lost.
func (e *encoder) end(dst, trailer []byte) ([]byte, fault.Code) {
	code := fault.None
	switch e.kind {
	case bodyLength:
		if e.rest > 0 {
			code = fault.BodyLength
		}
	case bodyChunked:
		dst = append(e.after(dst), lastChunk...)
		dst = append(dst, trailer...)
		dst = append(dst, lineEnd...)
	}
	*e = encoder{}
	return dst, code
}

// left is how many octets may still be written, -1 for no bound.
func (e *encoder) left() int64 {
	if e.kind == bodyChunked || e.kind == bodyUntilClose {
		return -1
	}
	return e.rest
}

const (
	lineEnd   = "\r\n"
	lastChunk = "0" + lineEnd
)
