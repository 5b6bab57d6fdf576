package h1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
)

// benchRequest has the size and the shape of the request that HTTP parsers
// are customarily compared by (703 octets, nine fields, a long Cookie).
var benchRequest = []byte("GET /media/library/uploads/2024/03/a-picture-of-two-kittens.jpg HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; some-distribution 10.6; xx-XX; rv:128.0.12) Gecko/20100101 Firefox/128.0 Tracker/0.9\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: de,en-us;q=0.7,en;q=0.3\r\n" +
	"Accept-Encoding: gzip,deflate\r\n" +
	"Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n" +
	"Keep-Alive: 115\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: visitor_session_n=2; visitor_session_last_time=1711111111; " +
	"first=111111111.1111111111.1111111111.1111111111.1111111111.1; " +
	"second=111111111.1111111111.1.1.source=(referral)|from=reader.example.com|path=/reader/|medium=referral_link\r\n\r\n")

var benchResponse = []byte("HTTP/1.1 200 OK\r\n" +
	"Server: example\r\n" +
	"Date: Mon, 04 Nov 2024 10:00:00 GMT\r\n" +
	"Content-Type: application/json; charset=utf-8\r\n" +
	"Content-Length: 1024\r\n" +
	"Cache-Control: max-age=60\r\n" +
	"Vary: Accept-Encoding\r\n" +
	"Connection: keep-alive\r\n" +
	"Keep-Alive: timeout=60, max=1000\r\n\r\n")

var benchLimits = headLimits{startLine: 8 << 10, bytes: 64 << 10, fields: 128}

func BenchmarkParseRequest(b *testing.B) { benchParse(b, benchRequest, (*head).parseRequest) }

func BenchmarkParseSmallRequest(b *testing.B) {
	benchParse(b, []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), (*head).parseRequest)
}

// BenchmarkParseLowerCase is benchRequest with names in small letters, which
// many clients and all gateways from HTTP/2 send.
func BenchmarkParseLowerCase(b *testing.B) {
	lines := strings.SplitAfter(string(benchRequest), "\r\n")
	for i, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			lines[i+1] = strings.ToLower(name) + ":" + value
		}
	}
	benchParse(b, []byte(strings.Join(lines, "")), (*head).parseRequest)
}

// BenchmarkParseUnknownNames has no field name that is known.
func BenchmarkParseUnknownNames(b *testing.B) {
	names := bytes.ReplaceAll(benchRequest, []byte("-"), []byte("_"))
	names = bytes.ReplaceAll(names, []byte(": "), []byte("_: "))
	names = bytes.Replace(names, []byte("Host_:"), []byte("Host: x\r\nX:"), 1)
	benchParse(b, names, (*head).parseRequest)
}

func BenchmarkParseResponse(b *testing.B) { benchParse(b, benchResponse, (*head).parseResponse) }

func benchParse(b *testing.B, wire []byte, parse parseFunc) {
	var h head
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		h.reset()
		if done, code := parse(&h, wire, &benchLimits); !done {
			b.Fatal(code)
		}
	}
}

func TestParsingAllocatesNothingOnceTheFieldsArrayHasGrown(t *testing.T) {
	require.Equal(t, 703, len(benchRequest))
	var h head
	run := func(wire []byte, parse parseFunc) float64 {
		return testing.AllocsPerRun(100, func() {
			h.reset()
			done, code := parse(&h, wire, &benchLimits)
			require.True(t, done)
			require.Equal(t, fault.None, code)
		})
	}
	require.Zero(t, run(benchRequest, (*head).parseRequest))
	require.Zero(t, run(benchResponse, (*head).parseResponse))
	require.Zero(t, run([]byte("Digest: x\r\n\r\n"), (*head).parseTrailer))
}
