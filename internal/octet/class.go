// Package octet holds the octet classes of the HTTP and URI grammars and the
// small scanners built on them: tokens, lists, numbers. It knows no HTTP rule.
package octet

import "encoding/binary"

// A class is a set of octets; classes are the bits of one table.
const (
	classTChar  = 1 << iota // RFC 9110 section 5.6.2: tchar
	classDigit              // RFC 5234 appendix B.1: DIGIT
	classAlpha              // RFC 5234 appendix B.1: ALPHA
	classHex                // HEXDIG in either case
	classValue              // RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text
	classTarget             // VCHAR without "#"; see IsTarget
	classReg                // RFC 3986 section 3.2.2: unreserved, sub-delims
)

const (
	digits     = "0123456789"
	alphas     = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexDigits  = digits + "abcdefABCDEF"
	tchars     = "!#$%&'*+-.^_`|~" + digits + alphas
	unreserved = "-._~" + digits + alphas // RFC 3986 section 2.3
	subDelims  = "!$&'()*+,;="            // RFC 3986 section 2.2
)

var class = classes()

func classes() (t [256]uint8) {
	add := func(octets string, c uint8) {
		for i := range len(octets) {
			t[octets[i]] |= c
		}
	}
	add(tchars, classTChar)
	add(digits, classDigit)
	add(alphas, classAlpha)
	add(hexDigits, classHex)
	add(unreserved+subDelims, classReg)
	for c := 0x21; c <= 0x7e; c++ { // VCHAR
		t[c] |= classValue
		if c != '#' {
			t[c] |= classTarget
		}
	}
	for c := 0x80; c <= 0xff; c++ { // obs-text
		t[c] |= classValue
	}
	add("\t ", classValue)
	return t
}

// IsTChar tells whether c may stand in a token.
func IsTChar(c byte) bool { return class[c]&classTChar != 0 }

// IsDigit tells whether c is a decimal digit.
func IsDigit(c byte) bool { return c-'0' <= 9 }

// IsOWS tells whether c is white space within a line: SP or HTAB.
func IsOWS(c byte) bool { return c == ' ' || c == '\t' }

// IsToken tells whether b is a token: 1*tchar (RFC 9110 section 5.6.2).
func IsToken(b []byte) bool { return len(b) > 0 && all(b, classTChar) }

// IsFieldValue tells whether every octet of b may stand in a field value
// (RFC 9110 section 5.5), a reason phrase (RFC 9112 section 4) or white space
// around them. Nearly all values are free of HTAB, and longer than a word:
// those are looked at eight octets at a time.
func IsFieldValue(b []byte) bool {
	return visible(b) || all(b, classValue)
}

// IsTarget tells whether every octet of b may stand in a request target and
// b is not empty: VCHAR without "#". RFC 3986 allows fewer; but browsers send
// some of the others as they are ("|", "^", "[" and more), and none of them
// can move the end of the target. "#" begins a fragment, which no target has
// (RFC 9112 section 3.2): what follows it is path to one recipient and
// nothing to another.
func IsTarget(b []byte) bool { return len(b) > 0 && all(b, classTarget) }

func all(b []byte, c uint8) bool {
	for _, o := range b {
		if class[o]&c == 0 {
			return false
		}
	}
	return true
}

const (
	every01 = 0x0101010101010101
	every60 = 0x6060606060606060
	every7f = 0x7f7f7f7f7f7f7f7f
	every80 = 0x8080808080808080
)

// visible tells whether b holds no control octet, not even HTAB.
func visible(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c < ' ' || c == 0x7f {
				return false
			}
		}
		return true
	}
	last := b[len(b)-8:] // may overlap the words before it
	ok := visible8(binary.LittleEndian.Uint64(last))
	for len(b) > 8 {
		ok &= visible8(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	return ok&every80 == every80
}

// visible8 sets the top bit of each octet of w that is SP, VCHAR or obs-text.
// Octets do not carry into each other: the top bits are off before adding.
func visible8(w uint64) uint64 {
	low := w & every7f
	atLeastSpace := low + every60 // top bit: low >= 0x20
	isDelete := low + every01     // top bit: low == 0x7f
	return atLeastSpace&^isDelete | w
}
