package octet

import "bytes"

// Lower folds an ASCII capital letter to its small letter.
func Lower(c byte) byte {
	if c-'A' <= 'Z'-'A' {
		return c | 0x20
	}
	return c
}

// EqualFold tells whether b is lower but for the case of ASCII letters; lower
// must be in small letters.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	if string(b) == lower {
		return true
	}
	for i, c := range b {
		if Lower(c) != lower[i] {
			return false
		}
	}
	return true
}

// TrimOWS cuts SP and HTAB from both ends.
func TrimOWS(b []byte) []byte {
	for len(b) > 0 && IsOWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && IsOWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// NextElement cuts the next element off a comma-separated list (RFC 9110
// section 5.6.1.2): white space around it is trimmed, empty elements are
// skipped, and a comma within a quoted string does not separate. ok is false
// when no element is left.
func NextElement(list []byte) (elem, rest []byte, ok bool) {
	for len(list) > 0 {
		n := elementEnd(list)
		elem, list = TrimOWS(list[:n]), list[n:]
		if len(list) > 0 {
			list = list[1:] // the comma
		}
		if len(elem) > 0 {
			return elem, list, true
		}
	}
	return nil, nil, false
}

// elementEnd gives the offset of the first comma outside of quoted strings,
// or the length of the list. A quoted string that never ends takes the rest.
func elementEnd(list []byte) int {
	comma := bytes.IndexByte(list, ',')
	if comma < 0 {
		return len(list)
	}
	if bytes.IndexByte(list[:comma], '"') < 0 {
		return comma
	}
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++ // RFC 9110 section 5.6.4: the octet after "\" is data
		case c == ',' && !quoted:
			return i
		}
	}
	return len(list)
}
