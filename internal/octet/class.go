// Package octet holds the octet classes of the HTTP and URI grammars and the
// small scanners built on them: tokens, lists, numbers. It knows no HTTP rule.
package octet

import (
	"encoding/binary"
	"math/bits"
)

// A class is a set of octets; classes are the bits of one table.
const (
	classTChar  = 1 << iota // RFC 9110 section 5.6.2: tchar
	classDigit              // RFC 5234 appendix B.1: DIGIT
	classAlpha              // RFC 5234 appendix B.1: ALPHA
	classHex                // HEXDIG in either case
	classValue              // RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text
	classTarget             // VCHAR without "#", and obs-text; see IsTarget
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
		t[c] |= classValue | classTarget
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

// IndexColon gives the offset of the first ":" of b, -1 when there is none. It
// is for names, which are short: there it takes half of what bytes.IndexByte
// takes.
func IndexColon(b []byte) int {
	i := 0
	for ; i <= len(b)-8; i += 8 {
		if is := zero8(binary.LittleEndian.Uint64(b[i:i+8]) ^ colons); is != 0 {
			return i + bits.TrailingZeros64(is)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] == ':' {
			return i
		}
	}
	return -1
}

// IsFieldValue tells whether every octet of b may stand in a field value
// (RFC 9110 section 5.5), a reason phrase (RFC 9112 section 4) or white space
// around them.
func IsFieldValue(b []byte) bool { return ValueEnd(b) == len(b) }

// ValueEnd gives the offset of the first octet of b that cannot stand in a
// field value, the length of b when there is none.
func ValueEnd(b []byte) int {
	i := 0
	for i <= len(b)-16 { // two words at a time, until one has an odd octet
		two := b[i : i+16]
		if notPlain8(binary.LittleEndian.Uint64(two))|notPlain8(binary.LittleEndian.Uint64(two[8:])) != 0 {
			break
		}
		i += 16
	}
	for i <= len(b)-8 {
		odd := notPlain8(binary.LittleEndian.Uint64(b[i : i+8]))
		if odd == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(odd) / 8 // the lowest is the first in memory
		if class[b[i]]&classValue == 0 {
			return i
		}
		i++
	}
	for i < len(b) && class[b[i]]&classValue != 0 {
		i++
	}
	return i
}

// IsTarget tells whether every octet of b may stand in a request target and
// b is not empty: VCHAR without "#", and octets past ASCII. RFC 3986 allows
// fewer; but browsers send some of the others as they are ("|", "^", "[" and
// more), curl sends a path as it was typed, and Go's net/url leaves a query as
// it was given. None of them can move the end of the target. "#" begins a
// fragment, which no target has (RFC 9112 section 3.2): what follows it is path
// to one recipient and nothing to another.
func IsTarget(b []byte) bool {
	if len(b) < 8 {
		return len(b) > 0 && all(b, classTarget)
	}
	ok := target8(last8(b))
	for ; len(b) > 8; b = b[8:] {
		ok &= target8(binary.LittleEndian.Uint64(b))
	}
	return ok&every80 == every80
}

// IsASCII tells whether no octet of b is past ASCII.
func IsASCII(b []byte) bool {
	var seen uint64
	for ; len(b) >= 8; b = b[8:] {
		seen |= binary.LittleEndian.Uint64(b)
	}
	for _, o := range b {
		seen |= uint64(o)
	}
	return seen&every80 == 0
}

func all(b []byte, c uint8) bool {
	for _, o := range b {
		if class[o]&c == 0 {
			return false
		}
	}
	return true
}

// Eight octets are looked at as one word, the first of them lowest.
const (
	every01 = 0x0101010101010101
	every5f = 0x5f5f5f5f5f5f5f5f
	every7f = 0x7f7f7f7f7f7f7f7f
	every80 = 0x8080808080808080
	hashes  = '#' * every01
	colons  = ':' * every01
	spaces  = ' ' * every01
)

// last8 is the word at the end of b, which may overlap the words before it.
func last8(b []byte) uint64 { return binary.LittleEndian.Uint64(b[len(b)-8:]) }

// zero8 sets the top bit of the lowest octet that is zero, and of none below
// it; above it, the difference may have carried.
func zero8(w uint64) uint64 { return (w - every01) &^ w & every80 }

// notPlain8 sets the top bit of the lowest octet that is neither SP nor VCHAR,
// and of none below it; above it, the sums may have carried.
func notPlain8(w uint64) uint64 {
	return ((w - spaces) | (w + every01) | w) & every80
}

// target8 sets the top bit of each octet that is VCHAR but not "#", or past
// ASCII. Sums do not carry from octet to octet: the top bits are off before
// adding.
func target8(w uint64) uint64 {
	low := w & every7f
	pastSpace := low + every5f          // top bit: low >= 0x21
	isDelete := low + every01           // top bit: low == 0x7f
	notHash := (low ^ hashes) + every7f // top bit: low != '#'
	return pastSpace&notHash&^isDelete | w
}
