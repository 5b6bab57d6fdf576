package h1

// This file takes a request's head apart for those who answer it: path
// and query by the form of the target (RFC 9112 section 3.2).

import (
	"bytes"

	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"
)

// pathAndQuery are the target's path and query, without the question mark.
// The asterisk is a path of its own; an authority has neither.
func (h *head) pathAndQuery(text []byte) (path, query []byte) {
	rest := h.target.of(text)
	switch {
	case h.form == formAuthority:
		return nil, nil
	case h.form == formAbsolute && !h.authority.empty():
		rest = text[h.authority.hi:h.target.hi]
	case h.form == formAbsolute:
		_, rest, _ = octet.CutScheme(rest)
	}
	path, query, _ = bytes.Cut(rest, questionMark)
	return path, query
}

var questionMark = []byte("?")

// named is the value of the first field of that name, in any case; nil when
// there is none.
func (h *head) named(text []byte, name string) []byte {
	if id := field.Lookup([]byte(name)); id != field.Unknown {
		return h.value(text, id)
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.id == field.Unknown && equalFold(f.name.of(text), name) {
			return f.value.of(text)
		}
	}
	return nil
}

// values are the values of all fields of that name, in their order.
func (h *head) values(text []byte, id field.ID) (values [][]byte) {
	for i := range h.fields {
		if f := &h.fields[i]; f.id == id {
			values = append(values, f.value.of(text))
		}
	}
	return values
}

// equalFold compares two names without regard to the case of ASCII letters.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if octet.Lower(a[i]) != octet.Lower(b[i]) {
			return false
		}
	}
	return true
}
