package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
)

// chunkSeeds are bodies that reach every row of the chunk table.
var chunkSeeds = []string{
	"0\r\n\r\n",
	"5\r\nhello\r\n0\r\n\r\nGET ",
	"5\r\nhello\r\nA;a\r\n, octets!!\r\n0;b=c\r\nX: y\r\n\r\n",
	"5 ; a = \"b\\\"\xff;\" ;c\r\nhello\r\n0\r\n\r\n",
	"00000000000000000005\r\nhello\r\n0\r\n\r\n",
	"7fffffffffffffff\r\nhello",
	"8000000000000000\r\n",
	"5\nhello\n0\n\n",
	"5;a\nhello\r\n",
	"5\r\nhello0\r\n",
	"5 \r\nhello\r\n0\r\n\r\n",
	"1;" + strings.Repeat("a", 4000) + "\r\nx\r\n",
}

// cutBy cuts a wire text into segments whose lengths are the octets of plan,
// one after the other, round and round.
func cutBy(wire string, plan []byte) []string {
	var segments []string
	for i := 0; len(wire) > 0; i++ {
		n := len(wire)
		if len(plan) > 0 {
			n = min(n, int(plan[i%len(plan)])+1)
		}
		segments, wire = append(segments, wire[:n]), wire[n:]
	}
	return segments
}

// FuzzDecoderCuts: however a body is cut, the data, the octets spent, the state
// it stops in and the fault are the same, and no octet is spent past its end.
func FuzzDecoderCuts(f *testing.F) {
	for _, s := range chunkSeeds {
		f.Add(uint8(bodyChunked), uint16(0), s, []byte{0})
		f.Add(uint8(bodyChunked), uint16(0), s, []byte{1, 4, 0})
	}
	f.Add(uint8(bodyLength), uint16(5), "hello, and more", []byte{2})
	f.Add(uint8(bodyUntilClose), uint16(0), "hello", []byte{0, 2})
	f.Fuzz(func(t *testing.T, kind uint8, length uint16, wire string, plan []byte) {
		fr := framing{kind: bodyKind(kind) % (bodyUntilClose + 1)}
		if fr.kind == bodyLength {
			fr.length = int64(length)
		}
		whole := decodeAll(fr, []string{wire})
		cut := decodeAll(fr, cutBy(wire, plan))
		require.Empty(t, cmp.Diff(whole, cut))
		require.LessOrEqual(t, whole.Spent, len(wire))
		if whole.End == "more" && whole.Code == fault.None {
			require.Equal(t, len(wire), whole.Spent, "octets were left without a reason")
		}
	})
}

// FuzzEncodeDecode: what is encoded, in whatever pieces, and cut on its way in
// whatever segments, is decoded to the same octets, and the trailer section is
// what is left over.
func FuzzEncodeDecode(f *testing.F) {
	f.Add(uint8(bodyChunked), "hello, world", []byte{3, 0, 7}, []byte{1})
	f.Add(uint8(bodyChunked), "\r\n0\r\n\r\n", []byte{0}, []byte{0})
	f.Add(uint8(bodyLength), "hello", []byte{1}, []byte{0})
	f.Add(uint8(bodyUntilClose), "", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, kind uint8, text string, pieces, cuts []byte) {
		fr := framing{kind: bodyKind(kind) % (bodyUntilClose + 1)}
		if fr.kind == bodyNone {
			text = ""
		}
		if fr.kind == bodyLength {
			fr.length = int64(len(text))
		}
		wire := encodeAll(fr, cutBy(text, pieces), "X: y\r\n")
		require.Equal(t, fault.None, wire.Code)
		got := decodeAll(fr, cutBy(wire.Wire, cuts))
		require.Equal(t, fault.None, got.Code)
		require.Equal(t, text, got.Data)
		switch fr.kind {
		case bodyChunked:
			require.Equal(t, "trailer", got.End)
			require.Equal(t, "X: y\r\n\r\n", wire.Wire[got.Spent:])
		case bodyUntilClose:
			require.Equal(t, "more", got.End)
		default:
			require.Equal(t, "done", got.End)
			require.Equal(t, len(wire.Wire), got.Spent)
		}
	})
}

// netHTTPRefuses finds what may be a chunk-size line that the grammar allows
// and net/http does not:
//   - white space before the ";" (RFC 9110 section 5.6.3 has recipients take it);
//   - more than 16 digits, which can only be zeros;
//   - exactly 4096 octets.
func netHTTPRefuses(wire string) bool {
	return len(wire) >= 4096 || refusedSize.MatchString(wire)
}

var refusedSize = regexp.MustCompile(`[ \t];|[[:xdigit:]]{17}`)

// FuzzChunkedAgainstNetHTTP: a chunked body that h1 takes whole, net/http takes
// too, with the same data and the same octets behind it.
//
// Known differences, all of them in netHTTPRefuses.
func FuzzChunkedAgainstNetHTTP(f *testing.F) {
	for _, s := range chunkSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		got := decodeAll(framing{kind: bodyChunked}, []string{wire})
		if got.End != "trailer" || netHTTPRefuses(wire) {
			return
		}
		in := bufio.NewReaderSize(strings.NewReader(wire), 8<<10)
		data, err := io.ReadAll(httputil.NewChunkedReader(in))
		require.NoError(t, err)
		require.Equal(t, string(data), got.Data)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Equal(t, string(rest), wire[got.Spent:])
	})
}

// FuzzRequestFramingAgainstNetHTTP: a request whose framing h1 takes, net/http
// takes too, and both find the same body.
//
// Known difference: net/http knows no transfer coding but chunked.
func FuzzRequestFramingAgainstNetHTTP(f *testing.F) {
	for _, fields := range []string{
		"Content-Length: 5", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 05",
		"Content-Length: 5, 5", "Content-Length: +5", "Content-Length: 99999999999999999999",
		"Transfer-Encoding: chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: , chunked",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 5",
	} {
		for _, body := range []string{"hello", "5\r\nhello\r\n0\r\n\r\n"} {
			f.Add(fields, true, body)
			f.Add(fields, false, body)
		}
	}
	f.Fuzz(func(t *testing.T, fields string, recent bool, body string) {
		version := "1.0"
		if recent {
			version = "1.1"
		}
		wire := "POST / HTTP/" + version + "\r\nHost: a\r\n" + fields + "\r\n\r\n" + body
		var h head
		h.reset()
		if done, code := h.parseRequest([]byte(wire), &ample); !done || code != fault.None {
			return
		}
		fr, code := frameRequest(&h, []byte(wire), nil)
		if code != fault.None {
			return
		}
		rest := wire[h.pos:]
		got := decodeAll(fr, []string{rest})
		if got.End == "more" || netHTTPRefuses(rest) {
			return
		}
		in := bufio.NewReader(strings.NewReader(wire))
		req, err := http.ReadRequest(in)
		require.NoError(t, err)
		data, err := io.ReadAll(req.Body)
		if got.End == "trailer" && err != nil {
			return // net/http reads the trailer section here, which is the parser's to judge
		}
		require.NoError(t, err)
		require.Equal(t, string(data), got.Data)
		if got.End == "done" {
			left, err := io.ReadAll(in)
			require.NoError(t, err)
			require.True(t, bytes.Equal(left, []byte(rest[got.Spent:])))
		}
	})
}
