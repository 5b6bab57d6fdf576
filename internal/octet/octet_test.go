package octet

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The classes, written out a second time, straight from the ABNF.

func vchar(c byte) bool { return c >= 0x21 && c <= 0x7e }

func alpha(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func TestASCIIIsToldWhereverAnOctetStands(t *testing.T) {
	for n := range 20 {
		text := []byte(strings.Repeat("\x7f", n))
		require.True(t, IsASCII(text), n)
		for i := range text {
			text[i] = 0x80
			require.False(t, IsASCII(text), "octet %d of %d", i, n)
			text[i] = 0
		}
	}
}

func TestClassesMatchTheirGrammar(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		one := []byte{c}
		require.Equalf(t, alpha(c) || digit(c) || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0, IsTChar(c), "tchar %#x", c)
		require.Equalf(t, IsTChar(c), IsToken(one), "token %#x", c)
		require.Equalf(t, vchar(c) || c == ' ' || c == '\t' || c >= 0x80, IsFieldValue(one), "value %#x", c)
		require.Equalf(t, (vchar(c) || c >= 0x80) && c != '#', IsTarget(one), "target %#x", c)
		require.Equalf(t, digit(c), IsDigit(c), "digit %#x", c)
		require.Equalf(t, c == ' ' || c == '\t', IsOWS(c), "OWS %#x", c)
		require.Equalf(t, strings.IndexByte("0123456789abcdef", Lower(c)), HexValue(c), "hexadecimal digit %#x", c)
		require.Equalf(t, strings.ToLower(string(rune(c&0x7f))), string(rune(Lower(c&0x7f))), "small letter of %#x", c)
		require.Equalf(t, c >= 0x80, Lower(c) == c && c >= 0x80, "only ASCII is folded: %#x", c)
	}
}

// Values and names are looked at by words; no length and no place within a
// word may hide an octet.
func TestEachOctetOfARunIsLookedAt(t *testing.T) {
	for n := 1; n <= 70; n++ {
		for at := range n {
			run := []byte(strings.Repeat("a", n))
			require.True(t, IsFieldValue(run) && IsToken(run) && IsTarget(run))
			for i := range 256 {
				run[at] = byte(i)
				if want := IsFieldValue(run[at : at+1]); IsFieldValue(run) != want {
					t.Fatalf("value of %d octets, %#x at %d: got %v", n, i, at, !want)
				}
				if want := IsTChar(byte(i)); IsToken(run) != want {
					t.Fatalf("token of %d octets, %#x at %d: got %v", n, i, at, !want)
				}
				if want := IsTarget(run[at : at+1]); IsTarget(run) != want {
					t.Fatalf("target of %d octets, %#x at %d: got %v", n, i, at, !want)
				}
			}
		}
	}
}

func TestOctetsOfAWordDoNotTouchEachOther(t *testing.T) {
	odd := []byte{0, 8, '\t', '\n', 0x1f, ' ', '~', 0x7f, 0x80, 0xff}
	b := make([]byte, 16)
	for _, x := range odd {
		for _, y := range odd {
			for i := range b {
				b[i] = x
				if i%2 == 1 {
					b[i] = y
				}
			}
			require.Equalf(t, all(b, classValue), IsFieldValue(b), "%#x and %#x in turn", x, y)
		}
	}
}

func TestIndexColonFindsTheFirst(t *testing.T) {
	for n := range 40 {
		name := []byte(strings.Repeat("\x3b\x39\xba", n)[:n]) // octets one bit off ":"
		require.Equal(t, -1, IndexColon(name))
		require.Equal(t, n, IndexColon(append(name, ':')))
		require.Equal(t, n, IndexColon(append(name, ":;:\x00\xff::::::"...)))
	}
}

func TestNothingIsNoTokenAndNoTargetButAValue(t *testing.T) {
	require.False(t, IsToken(nil))
	require.False(t, IsTarget(nil))
	require.True(t, IsFieldValue(nil))
}

func TestEqualFold(t *testing.T) {
	require.True(t, EqualFold([]byte("Keep-ALIVE"), "keep-alive"))
	require.True(t, EqualFold(nil, ""))
	require.False(t, EqualFold([]byte("close"), "closed"))
	require.False(t, EqualFold([]byte("closed"), "close"))
	require.False(t, EqualFold([]byte("\x0b"), "k"), "only letters are folded")
	require.False(t, EqualFold([]byte("@"), "`"), "only letters are folded")
	require.False(t, EqualFold([]byte("\u212aeep-alive"), "keep-alive"), "the Kelvin sign is no k")
}

func TestTrimOWS(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " ": "", "\t \t": "", "a": "a", " a": "a", "a\t": "a", " \ta b\t ": "a b", "\va\v": "\va\v",
	} {
		require.Equalf(t, want, string(TrimOWS([]byte(in))), "%q", in)
	}
}

func TestNextElement(t *testing.T) {
	tests := []struct {
		name, list string
		want       []string
	}{
		{"nothing", "", nil},
		{"only separators", " , ,\t,", nil},
		{"one", "a", []string{"a"}},
		{"several", "a, b,c ,\td", []string{"a", "b", "c", "d"}},
		{"empty elements between", ",a,, ,b,", []string{"a", "b"}},
		{"white space within stays", "a b , c", []string{"a b", "c"}},
		{"comma in a quoted string", `a="x,y", b`, []string{`a="x,y"`, "b"}},
		{"quote behind a backslash", `"x\",y", b`, []string{`"x\",y"`, "b"}},
		{"backslash outside of quotes", `a\,b`, []string{`a\`, "b"}},
		{"quoted string without end", `a, "b, c`, []string{"a", `"b, c`}},
		{"backslash at the end", `"a\`, []string{`"a\`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for rest := []byte(tt.list); ; {
				elem, more, ok := NextElement(rest)
				if !ok {
					require.Nil(t, elem)
					break
				}
				got, rest = append(got, string(elem)), more
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestParseDecimal(t *testing.T) {
	for in, want := range map[string]int64{
		"0":                               0,
		"10":                              10,
		"0000000000000000000000000000012": 12,
		"9223372036854775807":             math.MaxInt64,
	} {
		n, ok := ParseDecimal([]byte(in))
		require.Truef(t, ok, "%q", in)
		require.Equalf(t, want, n, "%q", in)
	}
	for _, in := range []string{
		"", "9223372036854775808", "18446744073709551617", "99999999999999999999",
		"+1", "-1", " 1", "1 ", "1_0", "0x1", "1.0", "a", "@", "/", ":", "\x101",
	} {
		n, ok := ParseDecimal([]byte(in))
		require.Falsef(t, ok, "%q", in)
		require.Zerof(t, n, "%q", in)
	}
}

func TestAppendedNumbersAreReadBack(t *testing.T) {
	for _, n := range []int64{0, 1, 9, 10, 255, 256, 1 << 40, math.MaxInt64} {
		got, ok := ParseDecimal(AppendDecimal(nil, n))
		require.True(t, ok)
		require.Equal(t, n, got)
		got = 0
		for _, c := range AppendHex(nil, n) {
			got = got<<4 | int64(HexValue(c))
		}
		require.Equal(t, n, got)
	}
	require.Equal(t, "x255", string(AppendDecimal([]byte("x"), 255)))
	require.Equal(t, "xff", string(AppendHex([]byte("x"), 255)))
}

func TestSplitHostPort(t *testing.T) {
	tests := []struct {
		in, host, port string
		ok             bool
	}{
		{"", "", "", true},
		{"a.example", "a.example", "", true},
		{"a.example:80", "a.example", "80", true},
		{"a:", "a", "", true},
		{":80", "", "80", true},
		{"127.0.0.1:80", "127.0.0.1", "80", true},
		{"[::1]", "[::1]", "", true},
		{"[::1]:80", "[::1]", "80", true},
		{"[v1.a:b]", "[v1.a:b]", "", true},
		{"[fe80::1%25en0]", "[fe80::1%25en0]", "", true},
		{"a%2Fb", "a%2Fb", "", true},
		{"[]", "", "", false},
		{"[::1", "", "", false},
		{"[::1]x", "", "", false},
		{"[::1]80", "", "", false},
		{"[a/b]", "", "", false},
		{"[a%2]", "", "", false},
		{"::1", "", "", false},
		{"a:b", "", "", false},
		{"a:80:80", "", "", false},
		{"a:+80", "", "", false},
		{"u@a", "", "", false},
		{"a b", "", "", false},
		{"a/b", "", "", false},
		{`a\b`, "", "", false},
		{"a?b", "", "", false},
		{"a%", "", "", false},
		{"a%2", "", "", false},
		{"a%2g", "", "", false},
		{"\xe9", "", "", false},
		{"a\x00", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			host, port, ok := SplitHostPort([]byte(tt.in))
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.host, string(host))
			require.Equal(t, tt.port, string(port))
		})
	}
}

func TestCutScheme(t *testing.T) {
	for in, want := range map[string][2]string{
		"http://a/":       {"http", "//a/"},
		"a:":              {"a", ""},
		"x-1+2.3:y:z":     {"x-1+2.3", "y:z"},
		"":                {},
		":a":              {},
		"1a:b":            {},
		"-a:b":            {},
		"a/b:c":           {},
		"abc":             {},
		"a b:c":           {},
		"h\xe9ttp://host": {},
	} {
		scheme, rest, ok := CutScheme([]byte(in))
		require.Equalf(t, want[0] != "", ok, "%q", in)
		require.Equalf(t, want, [2]string{string(scheme), string(rest)}, "%q", in)
	}
}

func BenchmarkIsFieldValue(b *testing.B) {
	for _, n := range []string{"abc", strings.Repeat("a", 20), strings.Repeat("a", 200)} {
		value := []byte(n)
		b.Run(string(AppendDecimal(nil, int64(len(n)))), func(b *testing.B) {
			for b.Loop() {
				if !IsFieldValue(value) {
					b.Fatal()
				}
			}
		})
	}
}
