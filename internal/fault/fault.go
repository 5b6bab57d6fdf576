// Package fault holds the one error type of h1: whose fault it was, what was
// being done, a stable code, the status to answer and the cause.
//
// The rule files return a Code, which costs nothing; the connection, which
// knows who the peer is and what it was doing, makes an *Error of it. Text is
// for people and may change; codes are for programs and stay.
package fault

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
)

// Side says who did a thing: the client, the server, or this process.
type Side uint8

// The sides.
const (
	Local  Side = iota // this process: the caller or its handler
	Client             // the peer, in the role of client
	Server             // the peer, in the role of server
	Proxy              // a proxy on the way to the server
)

// String gives the word used in messages.
func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Server:
		return "server"
	case Proxy:
		return "proxy"
	}
	return "caller"
}

// Error is an error with a stable code. The zero value is not useful.
type Error struct {
	Code   Code
	By     Side   // whose fault
	Doing  string // what h1 was doing, as in "reading the request head"; may be empty
	Detail string // the offending octets, escaped; may be empty
	Err    error  // the cause, reached by errors.Is and errors.As; may be nil
}

// New makes an Error from a code without detail.
func New(code Code, by Side, doing string) *Error {
	return &Error{Code: code, By: by, Doing: doing}
}

// Wrap makes an Error from a code and its cause.
func Wrap(code Code, by Side, doing string, cause error) *Error {
	return &Error{Code: code, By: by, Doing: doing, Err: cause}
}

// Error reads "h1: client sent X while reading Y: detail: cause".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("h1: ")
	b.WriteString(e.By.String())
	b.WriteByte(' ')
	b.WriteString(e.Code.text())
	if e.Doing != "" {
		b.WriteString(" while ")
		b.WriteString(e.Doing)
	}
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Status is the status code a server answers this error with, 0 for none.
func (e *Error) Status() int { return e.Code.Status() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a Code, an *Error with the same code and nothing else set, and
// os.ErrDeadlineExceeded where a time limit was passed, as the errors of a
// net.Conn do. An answer that took too long is also context.DeadlineExceeded, as
// net/http's is.
func (e *Error) Is(target error) bool {
	switch target {
	case os.ErrDeadlineExceeded:
		return e.Code.timeout()
	case context.DeadlineExceeded:
		return e.Code == ResponseTimeout
	}
	switch t := target.(type) {
	case Code:
		return t == e.Code
	case *Error:
		return t.Code == e.Code && t.By == Local && t.Doing == "" && t.Detail == "" && t.Err == nil
	}
	return false
}

// Timeout tells whether waiting too long was the cause; with Temporary it
// makes an Error a net.Error.
func (e *Error) Timeout() bool {
	if e.Code.timeout() || errors.Is(e.Err, os.ErrDeadlineExceeded) {
		return true
	}
	t, ok := e.Err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Temporary is part of net.Error; a message that went wrong does not mend.
func (e *Error) Temporary() bool { return false }

// Quote escapes the peer's octets for a message or a log line: printable
// ASCII stays, all else is escaped as in a Go string, between quotes, and at most
// max octets are shown.
func Quote(b []byte, max int) string {
	cut := len(b) > max
	if cut {
		b = b[:max]
	}
	s := strconv.QuoteToASCII(string(b))
	if cut {
		s += "..."
	}
	return s
}
