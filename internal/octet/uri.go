package octet

import "bytes"

// SplitHostPort cuts uri-host [ ":" port ] (RFC 9110 section 7.2) in two and
// tells whether both follow RFC 3986 section 3.2. Either may be empty; port
// is nil, not empty, when the colon is missing. There is no userinfo here:
// "@" is refused.
func SplitHostPort(b []byte) (host, port []byte, ok bool) {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end < len("[:]") || !isIPLiteral(b[1:end-1]) {
			return nil, nil, false
		}
	} else {
		end = regNameEnd(b)
	}
	host, port = b[:end], b[end:]
	if len(port) == 0 {
		return host, nil, true
	}
	if port[0] != ':' || !all(port[1:], classDigit) {
		return nil, nil, false
	}
	return host, port[1:], true
}

// regNameEnd gives the length of the reg-name that b begins with, that is
// *( unreserved / pct-encoded / sub-delims ); an IPv4 address matches it too.
func regNameEnd(b []byte) int {
	i := 0
	for i < len(b) {
		switch {
		case class[b[i]]&classReg != 0:
			i++
		case isPercent(b[i:]):
			i += len("%41")
		default:
			return i
		}
	}
	return i
}

// isIPLiteral tells whether the octets fit between the brackets of an
// IP-literal: an IPv6 address, perhaps with a zone behind "%25" (RFC 6874), or
// an IPvFuture. What the address means is not looked at.
func isIPLiteral(b []byte) bool {
	for len(b) > 0 {
		n := regNameEnd(b)
		if n == len(b) {
			return true
		}
		if b[n] != ':' {
			return false
		}
		b = b[n+1:]
	}
	return true
}

// isPercent tells whether b begins with pct-encoded: "%" HEXDIG HEXDIG.
func isPercent(b []byte) bool {
	return len(b) > 2 && b[0] == '%' && class[b[1]]&classHex != 0 && class[b[2]]&classHex != 0
}

// CutScheme cuts scheme ":" (RFC 3986 section 3.1) off an absolute URI. ok is
// false when b does not begin so.
func CutScheme(b []byte) (scheme, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case class[c]&classAlpha != 0:
		case c == ':' && i > 0:
			return b[:i], b[i+1:], true
		case i > 0 && (class[c]&classDigit != 0 || c == '+' || c == '-' || c == '.'):
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}
