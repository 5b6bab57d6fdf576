package octet

import (
	"math"
	"strconv"
)

// ParseDecimal reads 1*DIGIT. ok is false for anything else, a sign or a
// separator included, and for a number past 63 bits.
func ParseDecimal(b []byte) (n int64, ok bool) {
	for _, c := range b {
		d := int64(c - '0')
		if d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}

// HexValue gives the value of a hexadecimal digit, -1 for any other octet.
func HexValue(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20-'a' <= 'f'-'a':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// AppendDecimal appends n in decimal.
func AppendDecimal(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// AppendHex appends n in hexadecimal, small letters.
func AppendHex(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 16) }
