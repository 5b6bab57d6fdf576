package h1

// This file makes the octets of an answer's head out of what was decided about
// it. An answer whose head is made of the same as that of one before it repeats
// its octets.

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// headParts is what an answer's head is made of, beside the handler's field
// lines.
type headParts struct {
	status  int
	length  int64  // for bodyLength
	sniffed string // the Content-Type that was learned; empty: none
	date    string // the Date line; empty: none
	option  string // what it says about the connection; empty: nothing
}

// madeHead is the head of an answer with a Content-Length, kept to be repeated.
type madeHead struct {
	parts  headParts
	text   []byte
	lo, hi int // the handler's field lines in it
}

// keptHead is the size of the largest head that is kept.
const keptHead = 1 << 10

// appendHead adds the answer's head, the empty line included; sample is the
// body's next octets.
func (x *Exchange) appendHead(out []byte, f framing, status int, sample []byte) []byte {
	a := &x.answer
	p := headParts{status: status, length: f.length}
	if a.sniff && !a.typed && !a.encoded && len(sample)+len(a.staged) > 0 {
		p.sniffed = x.contentType(sample)
	}
	if !a.dated {
		p.date = clock.DateLine(x.date())
	}
	var hints bool
	p.option, hints = x.persistence(status)
	if f.kind != bodyLength || hints || len(a.options) > 0 {
		return x.buildHead(out, &p, f, hints)
	}
	m := &x.made
	if m.parts == p && bytes.Equal(m.text[m.lo:m.hi], a.fields) {
		return append(out, m.text...)
	}
	start := len(out)
	out = x.buildHead(out, &p, f, false)
	m.keep(p, out[start:], len(a.fields))
	return out
}

// keep takes a copy of a head with so many octets of the handler's field lines,
// which follow the status line.
func (m *madeHead) keep(p headParts, head []byte, fields int) {
	if len(head) > keptHead {
		return
	}
	m.parts, m.text = p, append(m.text[:0], head...)
	m.lo = bytes.IndexByte(head, '\n') + 1
	m.hi = m.lo + fields
}

// buildHead adds an answer's head piece by piece.
func (x *Exchange) buildHead(out []byte, p *headParts, f framing, hints bool) []byte {
	out = appendStatusLine(out, p.status)
	out = append(out, x.answer.fields...)
	if p.sniffed != "" {
		out = appendField(out, "Content-Type", p.sniffed)
	}
	out = append(out, p.date...)
	out = x.appendFraming(out, f, p.status)
	out = x.appendPersistence(out, p.option, hints)
	return append(out, "\r\n"...)
}

// appendFraming adds the fields that say where the message ends (RFC 9112
// section 6).
func (x *Exchange) appendFraming(out []byte, f framing, status int) []byte {
	a := &x.answer
	switch f.kind {
	case bodyLength:
		return appendLength(out, f.length)
	case bodyChunked:
		if a.coding != "" {
			out = append(out, "Transfer-Encoding: "...)
			out = append(out, a.coding...)
			return append(out, ", chunked\r\n"...)
		}
		return append(out, "Transfer-Encoding: chunked\r\n"...)
	case bodyNone:
		switch {
		case x.in.head.methodID == field.CONNECT && status/100 == 2,
			status < 200, status == http.StatusNoContent: // RFC 9110 section 8.6
		case a.length >= 0:
			return appendLength(out, a.length)
		case status == http.StatusNotModified: // what a 200 would have had is not known
		case x.in.head.methodID == field.HEAD:
		default:
			return appendLength(out, 0)
		}
	}
	return out
}

func appendLength(out []byte, n int64) []byte {
	out = append(out, "Content-Length: "...)
	out = octet.AppendDecimal(out, n)
	return append(out, "\r\n"...)
}

// persistence is what the answer says about the connection (RFC 9112 section
// 9.3): close on the last answer whatever the cause, keep-alive as the echo that
// HTTP/1.0 needs, and whether it tells the hints. One that switches protocols says
// nothing: the connection goes on, and is not HTTP's any more.
func (x *Exchange) persistence(status int) (option string, hints bool) {
	if headEvent(x.in.head.methodID, status) == eventSwitch {
		return "", false
	}
	c := x.c
	level, _ := c.m.closing()
	hints = level == levelKeep && c.set.policy.advertises()
	switch {
	case level >= levelNoMore:
		option = "close"
	case x.in.head.minor == 0 || hints:
		option = "keep-alive"
	}
	return option, hints
}

// appendPersistence adds the fields that say it.
func (x *Exchange) appendPersistence(out []byte, option string, hints bool) []byte {
	a := &x.answer
	if option == "" && len(a.options) == 0 {
		return out
	}
	out = append(out, "Connection: "...)
	out = append(out, option...)
	if len(a.options) > 0 {
		if option != "" {
			out = append(out, ", "...)
		}
		out = append(out, a.options...)
	}
	out = append(out, "\r\n"...)
	if hints {
		out = append(out, "Keep-Alive: "...)
		out = appendKeepAlive(out, &x.c.m, &x.c.set.policy)
		out = append(out, "\r\n"...)
	}
	return out
}

// statusLines are the status lines of the registered codes.
var statusLines = func() (lines [600]string) {
	for code := range lines {
		if text := http.StatusText(code); text != "" {
			lines[code] = "HTTP/1.1 " + strconv.Itoa(code) + " " + text + "\r\n"
		}
	}
	return lines
}()

// appendStatusLine adds the status line. The version is 1.1 for an HTTP/1.0
// client too, as a server sends the highest it conforms to (RFC 9110 section
// 2.5).
func appendStatusLine(dst []byte, code int) []byte {
	if code < len(statusLines) && code >= 0 && statusLines[code] != "" {
		return append(dst, statusLines[code]...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = octet.AppendDecimal(dst, int64(code))
	return append(dst, " \r\n"...)
}
