package h1

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/wiretest"
)

// knowsGzip is an end that has the gzip coding enabled.
func knowsGzip(name string) bool { return name == "gzip" }

var framings = cmp.AllowUnexported(framing{})

// ample are limits that no test head reaches.
var ample = headLimits{startLine: 1 << 16, bytes: 1 << 20, fields: 1 << 10}

func parsedRequest(t *testing.T, wire string) (*head, []byte) {
	t.Helper()
	var h head
	h.reset()
	done, code := h.parseRequest([]byte(wire), &ample)
	require.Equal(t, fault.None, code)
	require.True(t, done)
	return &h, []byte(wire)
}

func parsedResponse(t *testing.T, wire string) (*head, []byte) {
	t.Helper()
	var h head
	h.reset()
	done, code := h.parseResponse([]byte(wire), &ample)
	require.Equal(t, fault.None, code)
	require.True(t, done)
	return &h, []byte(wire)
}

// fieldLines makes wire text of fields that are separated by "|".
func fieldLines(fields string) string {
	if fields == "" {
		return "\r\n"
	}
	return strings.ReplaceAll(fields, "|", "\r\n") + "\r\n\r\n"
}

// stackOf is a framing's stack; nil for no codings.
func stackOf(codings []string) *[]string {
	if len(codings) == 0 {
		return nil
	}
	return &codings
}

func TestRequestFramingFollowsTheStepsOfRFC9112(t *testing.T) {
	length := func(n int64) framing { return framing{kind: bodyLength, length: n} }
	chunked := func(stack ...string) framing { return framing{kind: bodyChunked, stack: stackOf(stack)} }
	for _, tt := range []struct {
		name    string
		version string // 1.1 when empty
		fields  string
		want    framing
		code    fault.Code
	}{
		{"step 3: both fields", "", "Content-Length: 5|Transfer-Encoding: chunked", framing{}, fault.LengthAndCoding},
		{"step 3: both fields, a bad length", "", "Content-Length: x|Transfer-Encoding: chunked", framing{}, fault.LengthAndCoding},
		{"step 3: both fields, a coding of no use", "", "Transfer-Encoding: identity|Content-Length: 5", framing{}, fault.LengthAndCoding},
		{"6.1: a coding in HTTP/1.0", "1.0", "Transfer-Encoding: chunked", framing{}, fault.CodingInHTTP10},
		{"6.1: a coding in HTTP/1.0 beside a length", "1.0", "Transfer-Encoding: chunked|Content-Length: 5", framing{}, fault.CodingInHTTP10},

		{"step 4: chunked", "", "Transfer-Encoding: chunked", chunked(), fault.None},
		{"step 4: chunked in any case", "", "transfer-encoding: ChunKED", chunked(), fault.None},
		{"step 4: a known coding under chunked", "", "Transfer-Encoding: GZip, chunked", chunked("gzip"), fault.None},
		{"step 4: white space around the comma", "", "Transfer-Encoding: gzip \t,\t chunked", chunked("gzip"), fault.None},
		{"step 4: two fields are one list", "", "Transfer-Encoding: gzip|X: y|Transfer-Encoding: chunked", chunked("gzip"), fault.None},
		{"step 4: stacked", "", "Transfer-Encoding: gzip, gzip, chunked", chunked("gzip", "gzip"), fault.None},
		{"step 4: as many as may be stacked", "", "Transfer-Encoding: gzip, gzip, gzip, gzip, chunked", chunked("gzip", "gzip", "gzip", "gzip"), fault.None},
		{"step 4: one more than that", "", "Transfer-Encoding: gzip, gzip, gzip, gzip, gzip, chunked", framing{}, fault.BadTransferEncoding},

		{"step 4: not chunked at all", "", "Transfer-Encoding: gzip", framing{}, fault.CodingNotFinal},
		{"step 4: unknown and not chunked", "", "Transfer-Encoding: xchunked", framing{}, fault.CodingNotFinal},
		{"step 4: identity", "", "Transfer-Encoding: identity", framing{}, fault.CodingNotFinal},
		{"step 4: chunked, then another", "", "Transfer-Encoding: chunked, gzip", framing{}, fault.CodingNotFinal},
		{"step 4: chunked, then another field", "", "Transfer-Encoding: chunked|Transfer-Encoding: gzip", framing{}, fault.CodingNotFinal},
		{"step 4: chunked, then identity", "", "Transfer-Encoding: chunked|Transfer-Encoding: identity", framing{}, fault.CodingNotFinal},

		{"6.1: an unknown coding", "", "Transfer-Encoding: br, chunked", framing{}, fault.CodingUnknown},
		{"6.1: identity under chunked", "", "Transfer-Encoding: identity, chunked", framing{}, fault.CodingUnknown},
		{"6.1: chunked twice", "", "Transfer-Encoding: chunked, chunked", framing{}, fault.BadTransferEncoding},
		{"6.1: chunked twice in two fields", "", "Transfer-Encoding: chunked|Transfer-Encoding: chunked", framing{}, fault.BadTransferEncoding},
		{"6.1: chunked twice, one out of place", "", "Transfer-Encoding: chunked, gzip, chunked", framing{}, fault.BadTransferEncoding},
		{"7.1: chunked with a parameter", "", "Transfer-Encoding: chunked;a=b", framing{}, fault.BadTransferEncoding},
		{"7.1: chunked with a weight", "", "Transfer-Encoding: chunked ; q=1", framing{}, fault.BadTransferEncoding},
		{"7.2: gzip with a parameter", "", "Transfer-Encoding: gzip;level=9, chunked", framing{}, fault.BadTransferEncoding},
		{"an empty field", "", "Transfer-Encoding:", framing{}, fault.BadTransferEncoding},
		{"an empty field beside a good one", "", "Transfer-Encoding: chunked|Transfer-Encoding:", framing{}, fault.BadTransferEncoding},
		{"an empty first element", "", "Transfer-Encoding: , chunked", framing{}, fault.BadTransferEncoding},
		{"an empty last element", "", "Transfer-Encoding: chunked,", framing{}, fault.BadTransferEncoding},
		{"a quoted name", "", `Transfer-Encoding: "chunked"`, framing{}, fault.BadTransferEncoding},
		{"a comma within quotes", "", `Transfer-Encoding: gzip;a=",", chunked`, framing{}, fault.BadTransferEncoding},
		{"a space for a comma", "", "Transfer-Encoding: gzip chunked", framing{}, fault.BadTransferEncoding},

		{"step 5: no number", "", "Content-Length: five", framing{}, fault.BadContentLength},
		{"step 5: a sign", "", "Content-Length: +5", framing{}, fault.BadContentLength},
		{"step 5: empty", "", "Content-Length:", framing{}, fault.BadContentLength},
		{"step 5: past 63 bits", "", "Content-Length: 9223372036854775808", framing{}, fault.BadContentLength},
		{"step 5: a list of equals", "", "Content-Length: 5, 5", framing{}, fault.BadContentLength},
		{"step 5: two that differ", "", "Content-Length: 5|Content-Length: 6", framing{}, fault.DifferingContentLength},

		{"step 6: a length", "", "Content-Length: 5", length(5), fault.None},
		{"step 6: zero", "", "Content-Length: 0", length(0), fault.None},
		{"step 6: leading zeros", "", "Content-Length: 0005", length(5), fault.None},
		{"step 6: 63 bits", "", "Content-Length: 9223372036854775807", length(math.MaxInt64), fault.None},
		{"step 6: in HTTP/1.0", "1.0", "Content-Length: 5", length(5), fault.None},
		{"step 6: the same twice", "", "Content-Length: 5|Content-Length: 5", length(5), fault.None},

		{"step 7: neither", "", "", framing{}, fault.None},
		{"step 7: neither in HTTP/1.0", "1.0", "", framing{}, fault.None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			version := tt.version
			if version == "" {
				version = "1.1"
			}
			h, win := parsedRequest(t, "POST / HTTP/"+version+"\r\nHost: a\r\n"+fieldLines(tt.fields))
			got, code := frameRequest(h, win, knowsGzip)
			require.Equal(t, tt.code, code)
			require.Empty(t, cmp.Diff(tt.want, got, framings))
		})
	}
}

func TestNoCodingIsKnownWithoutAKnower(t *testing.T) {
	h, win := parsedRequest(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
	_, code := frameRequest(h, win, nil)
	require.Equal(t, fault.CodingUnknown, code)
}

func TestResponseFramingFollowsTheStepsOfRFC9112(t *testing.T) {
	length := func(n int64) framing { return framing{kind: bodyLength, length: n} }
	untilClose := func(stack ...string) framing { return framing{kind: bodyUntilClose, stack: stackOf(stack)} }
	const both = "Content-Length: 5|Transfer-Encoding: chunked"
	for _, tt := range []struct {
		name   string
		method field.Method
		line   string
		fields string
		want   framing
		code   fault.Code
	}{
		{"step 1: HEAD with a length", field.HEAD, "1.1 200", "Content-Length: 5", framing{}, fault.None},
		{"step 1: HEAD with a coding", field.HEAD, "1.1 200", "Transfer-Encoding: chunked", framing{}, fault.None},
		{"step 1: HEAD with both", field.HEAD, "1.1 200", both, framing{}, fault.None},
		{"step 1: HEAD with a bad length", field.HEAD, "1.1 200", "Content-Length: x", framing{}, fault.None},
		{"step 1: HEAD with an error", field.HEAD, "1.1 404", "Content-Length: 5", framing{}, fault.None},
		{"step 1: 100", field.POST, "1.1 100", "", framing{}, fault.None},
		{"step 1: 103 with a length", field.GET, "1.1 103", "Content-Length: 5", framing{}, fault.None},
		{"step 1: 101", field.GET, "1.1 101", "Upgrade: x", framing{}, fault.None},
		{"step 1: 204 with a length", field.GET, "1.1 204", "Content-Length: 5", framing{}, fault.None},
		{"step 1: 204 with a coding", field.GET, "1.1 204", "Transfer-Encoding: chunked", framing{}, fault.None},
		{"step 1: 304 with a length", field.GET, "1.1 304", "Content-Length: 5", framing{}, fault.None},
		{"step 1: 304 in HTTP/1.0 with a coding", field.GET, "1.0 304", "Transfer-Encoding: chunked", framing{}, fault.None},
		{"step 2: CONNECT", field.CONNECT, "1.1 200", "", framing{}, fault.None},
		{"step 2: CONNECT with both", field.CONNECT, "1.1 299", both, framing{}, fault.None},
		{"step 6: CONNECT refused", field.CONNECT, "1.1 407", "Content-Length: 5", length(5), fault.None},
		{"step 8: CONNECT redirected", field.CONNECT, "1.1 300", "", untilClose(), fault.None},

		{"step 3: both fields", field.GET, "1.1 200", both, framing{}, fault.LengthAndCoding},
		{"6.1: a coding in HTTP/1.0", field.GET, "1.0 200", "Transfer-Encoding: chunked", framing{}, fault.CodingInHTTP10},
		{"6.1: both in HTTP/1.0", field.GET, "1.0 200", both, framing{}, fault.CodingInHTTP10},

		{"step 4: chunked", field.GET, "1.1 200", "Transfer-Encoding: chunked", framing{kind: bodyChunked}, fault.None},
		{"step 4: a coding under chunked", field.GET, "1.1 200", "Transfer-Encoding: gzip, chunked", framing{kind: bodyChunked, stack: &[]string{"gzip"}}, fault.None},
		{"step 4: a coding without chunked", field.GET, "1.1 200", "Transfer-Encoding: gzip", untilClose("gzip"), fault.None},
		{"step 4: an unknown coding without chunked", field.GET, "1.1 200", "Transfer-Encoding: br", framing{}, fault.CodingUnknown},
		{"step 4: identity", field.GET, "1.1 200", "Transfer-Encoding: identity", framing{}, fault.CodingUnknown},
		{"step 4: chunked, then another", field.GET, "1.1 200", "Transfer-Encoding: chunked, gzip", framing{}, fault.CodingNotFinal},
		{"6.1: chunked twice", field.GET, "1.1 200", "Transfer-Encoding: chunked, chunked", framing{}, fault.BadTransferEncoding},
		{"a malformed list", field.GET, "1.1 200", "Transfer-Encoding: chunked;", framing{}, fault.BadTransferEncoding},

		{"step 5: a bad length", field.GET, "1.1 200", "Content-Length: -5", framing{}, fault.BadContentLength},
		{"step 5: lengths that differ", field.GET, "1.1 200", "Content-Length: 5|Content-Length: 6", framing{}, fault.DifferingContentLength},
		{"step 6: a length", field.GET, "1.1 200", "Content-Length: 5", length(5), fault.None},
		{"step 6: an empty body", field.GET, "1.1 205", "Content-Length: 0", length(0), fault.None},
		{"step 6: in HTTP/1.0", field.GET, "1.0 200", "Content-Length: 5", length(5), fault.None},
		{"step 8: neither", field.GET, "1.1 200", "", untilClose(), fault.None},
		{"step 8: neither in HTTP/1.0", field.GET, "1.0 200", "", untilClose(), fault.None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, win := parsedResponse(t, "HTTP/"+tt.line+" Reason\r\n"+fieldLines(tt.fields))
			got, code := frameResponse(h, win, tt.method, knowsGzip)
			require.Equal(t, tt.code, code)
			require.Empty(t, cmp.Diff(tt.want, got, framings))
		})
	}
}

func TestAnswersAreFramedAsThePeerCanRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method field.Method
		status int
		minor  uint8
		length int64
		want   framing
	}{
		{"a known length", field.GET, 200, 1, 5, framing{kind: bodyLength, length: 5}},
		{"an empty body still says so", field.GET, 200, 1, 0, framing{kind: bodyLength}},
		{"an unknown length", field.GET, 200, 1, -1, framing{kind: bodyChunked}},
		{"an unknown length to HTTP/1.0", field.GET, 200, 0, -1, framing{kind: bodyUntilClose}},
		{"a known length to HTTP/1.0", field.GET, 200, 0, 5, framing{kind: bodyLength, length: 5}},
		{"HEAD", field.HEAD, 200, 1, 5, framing{}},
		{"HEAD, unknown", field.HEAD, 200, 1, -1, framing{}},
		{"103", field.GET, 103, 1, -1, framing{}},
		{"204", field.GET, 204, 1, 5, framing{}},
		{"304", field.GET, 304, 1, 5, framing{}},
		{"CONNECT accepted", field.CONNECT, 200, 1, -1, framing{}},
		{"CONNECT refused", field.CONNECT, 403, 1, -1, framing{kind: bodyChunked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := frameAnswer(tt.method, tt.status, tt.minor, tt.length)
			require.Empty(t, cmp.Diff(tt.want, got, framings))
		})
	}
}

func TestRequestsAreNeverFramedByTheEndOfTheStream(t *testing.T) {
	require.Empty(t, cmp.Diff(framing{}, frameAsk(0), framings))
	require.Empty(t, cmp.Diff(framing{kind: bodyLength, length: 7}, frameAsk(7), framings))
	require.Empty(t, cmp.Diff(framing{kind: bodyChunked}, frameAsk(-1), framings))
}

// step takes the framing off in as a connection does: data is the part of in
// that is body, used is how many octets of in are spent, those of data included.
func step(d *decoder, in []byte) (data []byte, used int, done bool, code fault.Code) {
	if used, code = d.advance(in); code != fault.None {
		return nil, used, false, code
	}
	if n := min(d.direct(), int64(len(in)-used)); n > 0 {
		data = in[used : used+int(n)]
		used += int(n)
		d.took(n)
	}
	return data, used, d.ended(), fault.None
}

// outcome is what came of decoding segments.
type outcome struct {
	Data  string
	Spent int    // octets spent
	End   string // "done", "trailer", "more"
	Code  fault.Code
}

// decodeAll feeds the segments to a decoder the way a connection does: what a
// step leaves is given again with the next segment behind it.
func decodeAll(f framing, segments []string) outcome {
	var d decoder
	var out outcome
	var data strings.Builder
	d.start(f)
	var win []byte
	finish := func() outcome {
		out.Data = data.String()
		switch {
		case d.ended():
			out.End = "done"
		case d.trailing():
			out.End = "trailer"
		default:
			out.End = "more"
		}
		return out
	}
	for _, s := range segments {
		win = append(win, s...)
		for {
			run, used, done, code := step(&d, win)
			data.Write(run)
			win = win[used:]
			out.Spent += used
			if code != fault.None {
				out.Code = code
				return finish()
			}
			if done || used == 0 {
				break
			}
		}
	}
	return finish()
}

func TestDecodingDoesNotDependOnCuts(t *testing.T) {
	chunked := framing{kind: bodyChunked}
	size := func(s string, code fault.Code) outcome { return outcome{Spent: len(s), End: "more", Code: code} }
	for _, tt := range []struct {
		name string
		f    framing
		wire string
		want outcome
	}{
		{"no body", framing{}, "GET ", outcome{"", 0, "done", 0}},
		{"length zero", framing{kind: bodyLength}, "GET ", outcome{"", 0, "done", 0}},
		{"length", framing{kind: bodyLength, length: 5}, "helloGET ", outcome{"hello", 5, "done", 0}},
		{"length, not all of it", framing{kind: bodyLength, length: 9}, "hello", outcome{"hello", 5, "more", 0}},
		{"until close", framing{kind: bodyUntilClose}, "hello", outcome{"hello", 5, "more", 0}},

		{"one chunk", chunked, "5\r\nhello\r\n0\r\n\r\nGET ", outcome{"hello", 13, "trailer", 0}},
		{"two chunks", chunked, "5\r\nhello\r\nA\r\n, octets!!\r\n00\r\n", outcome{"hello, octets!!", 29, "trailer", 0}},
		{"no chunk", chunked, "0\r\n", outcome{"", 3, "trailer", 0}},
		{"digits of any case", chunked, "1a\r\n" + strings.Repeat("x", 26) + "\r\n1A\r\n" + strings.Repeat("y", 26), outcome{strings.Repeat("x", 26) + strings.Repeat("y", 26), 62, "more", 0}},
		{"zeros before the size", chunked, "0000000000000000000000005\r\nhello", outcome{"hello", 32, "more", 0}},
		{"data that looks like framing", chunked, "7\r\n\r\n0\r\n\r\n\r\n0\r\n", outcome{"\r\n0\r\n\r\n", 15, "trailer", 0}},
		{"the largest size", chunked, "7fffffffffffffff\r\nhello", outcome{"hello", 23, "more", 0}},

		{"an extension", chunked, "5;a\r\nhello", outcome{"hello", 10, "more", 0}},
		{"an extension with a token", chunked, "5;a=b\r\nhello", outcome{"hello", 12, "more", 0}},
		{"an extension with a quoted string", chunked, "5;a=\"b;c\\\"\\\\=d,\t\xff\"\r\nhello", outcome{"hello", 25, "more", 0}},
		{"an empty quoted string", chunked, "5;a=\"\"\r\nhello", outcome{"hello", 13, "more", 0}},
		{"extensions", chunked, "5;a;b=c;d=\"e\";f\r\nhello", outcome{"hello", 22, "more", 0}},
		{"white space where it may be", chunked, "5 \t; a \t= b ;c = \"d\" ; e\r\nhello", outcome{"hello", 31, "more", 0}},
		{"an extension of the last chunk", chunked, "0;a=b\r\n\r\n", outcome{"", 7, "trailer", 0}},

		{"no size", chunked, "\r\n", size("", fault.BadChunkSize)},
		{"only an extension", chunked, ";a\r\n", size("", fault.BadChunkSize)},
		{"white space before the size", chunked, " 5\r\n", size("", fault.BadChunkSize)},
		{"a sign", chunked, "+5\r\n", size("", fault.BadChunkSize)},
		{"0x", chunked, "0x5\r\n", size("0", fault.BadChunkSize)},
		{"an underscore", chunked, "1_0\r\n", size("1", fault.BadChunkSize)},
		{"not a digit", chunked, "5g\r\n", size("5", fault.BadChunkSize)},
		{"a comma", chunked, "5,5\r\n", size("5", fault.BadChunkSize)},
		{"white space after the size", chunked, "5 \r\n", size("5 ", fault.BadChunkSize)},
		{"LF alone after the size", chunked, "5\nhello\n", size("5", fault.BadChunkSize)},
		{"CR alone after the size", chunked, "5\rhello", size("5\r", fault.BadChunkSize)},
		{"two CR after the size", chunked, "5\r\r\nhello", size("5\r", fault.BadChunkSize)},
		{"NUL after the size", chunked, "5\x00\r\n", size("5", fault.BadChunkSize)},
		{"past 63 bits", chunked, "8000000000000000\r\n", size("800000000000000", fault.ChunkTooLarge)},
		{"past 64 bits", chunked, "10000000000000005\r\n", size("1000000000000000", fault.ChunkTooLarge)},
		{"past 63 bits after zeros", chunked, "000ffffffffffffffff\r\n", size("000fffffffffffffff", fault.ChunkTooLarge)},

		{"no extension name", chunked, "5;\r\n", size("5;", fault.BadChunkExtension)},
		{"no extension name before a value", chunked, "5;=b\r\n", size("5;", fault.BadChunkExtension)},
		{"no extension name before another", chunked, "5;;a\r\n", size("5;", fault.BadChunkExtension)},
		{"a quoted name", chunked, "5;\"a\"\r\n", size("5;", fault.BadChunkExtension)},
		{"no extension value", chunked, "5;a=\r\n", size("5;a=", fault.BadChunkExtension)},
		{"two extension values", chunked, "5;a=b=c\r\n", size("5;a=b", fault.BadChunkExtension)},
		{"two names", chunked, "5;a b\r\n", size("5;a ", fault.BadChunkExtension)},
		{"two tokens", chunked, "5;a=b c\r\n", size("5;a=b ", fault.BadChunkExtension)},
		{"a name that is no token", chunked, "5;a/b\r\n", size("5;a", fault.BadChunkExtension)},
		{"a value that is no token", chunked, "5;a=b@c\r\n", size("5;a=b", fault.BadChunkExtension)},
		{"text behind a quoted string", chunked, "5;a=\"b\"c\r\n", size("5;a=\"b\"", fault.BadChunkExtension)},
		{"white space at the line's end", chunked, "5;a \r\n", size("5;a ", fault.BadChunkExtension)},
		{"LF alone after an extension", chunked, "5;a\nhello", size("5;a", fault.BadChunkExtension)},
		{"CR alone after an extension", chunked, "5;a\rX\n", size("5;a\r", fault.BadChunkExtension)},
		{"LF within quotes", chunked, "5;a=\"\n\"\r\n", size("5;a=\"", fault.BadChunkExtension)},
		{"CRLF within quotes", chunked, "5;a=\"\r\n\"\r\n", size("5;a=\"", fault.BadChunkExtension)},
		{"an escaped CR", chunked, "5;a=\"\\\r\n\"\r\n", size("5;a=\"\\", fault.BadChunkExtension)},
		{"an escaped NUL", chunked, "5;a=\"\\\x00\"\r\n", size("5;a=\"\\", fault.BadChunkExtension)},
		{"DEL within quotes", chunked, "5;a=\"\x7f\"\r\n", size("5;a=\"", fault.BadChunkExtension)},
		{"NUL in a name", chunked, "5;a\x00\r\n", size("5;a", fault.BadChunkExtension)},

		{"data longer than its size", chunked, "2\r\nhello\r\n", outcome{"he", 5, "more", fault.BadChunkEnd}},
		{"LF alone after data", chunked, "5\r\nhello\n0\r\n", outcome{"hello", 8, "more", fault.BadChunkEnd}},
		{"CR alone after data", chunked, "5\r\nhello\r0\r\n", outcome{"hello", 9, "more", fault.BadChunkEnd}},
		{"nothing after data", chunked, "5\r\nhello0\r\n", outcome{"hello", 8, "more", fault.BadChunkEnd}},
		{"a fault in the second chunk", chunked, "5\r\nhello\r\nx\r\n", outcome{"hello", 10, "more", fault.BadChunkSize}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wiretest.EachCut(tt.wire, func(cut string, segments []string) {
				require.Empty(t, cmp.Diff(tt.want, decodeAll(tt.f, segments)), cut)
			})
		})
	}
}

func TestEveryOctetIsJudgedInEveryPlaceOfAChunkLine(t *testing.T) {
	// What may stand after each of these, by the grammar of RFC 9112 section 7.1.
	const (
		digits = "0123456789abcdefABCDEF"
		tchars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		blanks = " \t"
	)
	var text string // what a quoted-string may hold
	for c := range 256 {
		if c == '\t' || c >= ' ' && c != 0x7f {
			text += string([]byte{byte(c)})
		}
	}
	for before, allowed := range map[string]string{
		"":               digits,
		"5":              digits + blanks + ";\r",
		"5 ":             blanks + ";",
		"5;":             tchars + blanks,
		"5;a":            tchars + blanks + "=;\r",
		"5;a ":           blanks + "=;",
		"5;a=":           tchars + blanks + `"`,
		"5;a=b":          tchars + blanks + ";\r",
		"5;a=b ":         blanks + ";",
		`5;a="b`:         text,
		`5;a="b\`:        text,
		`5;a="b"`:        blanks + ";\r",
		"5\r":            "\n",
		"5;a\r":          "\n",
		"1\r\nx":         "\r",
		"1\r\nx\r":       "\n",
		"1\r\nx\r\n":     digits,
		"1\r\nx\r\n0;a=": tchars + blanks + `"`,
	} {
		for c := range 256 {
			octet := string([]byte{byte(c)})
			got := decodeAll(framing{kind: bodyChunked}, []string{before + octet})
			require.Equal(t, strings.Contains(allowed, octet), got.Code == fault.None, "%q after %q", octet, before)
		}
	}
}

func TestChunkFramingIsBounded(t *testing.T) {
	chunked := framing{kind: bodyChunked}
	many := func(n int, chunk string) []string { return []string{strings.Repeat(chunk, n)} }
	for _, tt := range []struct {
		name string
		wire []string
		code fault.Code
	}{
		{"a line as long as may be", []string{"5;" + strings.Repeat("a", maxChunkRun-4) + "\r\n"}, fault.None},
		{"a line one octet longer", []string{"5;" + strings.Repeat("a", maxChunkRun-3) + "\r\n"}, fault.ChunkOverhead},
		{"an extension without end", []string{"5;" + strings.Repeat("a", 1<<20)}, fault.ChunkOverhead},
		{"a quoted string without end", []string{"5;a=\"" + strings.Repeat("a", 1<<20)}, fault.ChunkOverhead},
		{"zeros without end", []string{strings.Repeat("0", 1<<20)}, fault.ChunkOverhead},
		{"white space without end", []string{"5" + strings.Repeat(" ", 1<<20)}, fault.ChunkOverhead},

		{"a million chunks of one octet", many(1<<20, "1\r\nx\r\n"), fault.None},
		{"signed chunks of object storage", many(1<<8, "2000;chunk-signature="+strings.Repeat("0", 64)+"\r\n"+strings.Repeat("x", 8192)+"\r\n"), fault.None},
		{"chunks of one octet with a name", many(1<<18, "1;a=b\r\nx\r\n"), fault.None},
		{"chunks of one octet with a short extension", many(1<<20, "1;a=bc\r\nx\r\n"), fault.ChunkOverhead},
		{"chunks of one octet behind zeros", many(1<<20, "0000000001\r\nx\r\n"), fault.ChunkOverhead},
		{"long extensions on small chunks", many(1<<8, "1;"+strings.Repeat("a", 1000)+"\r\nx\r\n"), fault.ChunkOverhead},
		{"extensions as long as the data", many(1<<10, "3e8;"+strings.Repeat("a", 992)+"\r\n"+strings.Repeat("x", 1000)+"\r\n"), fault.None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decodeAll(chunked, tt.wire)
			require.Equal(t, tt.code, got.Code)
			if tt.code == fault.None {
				require.Len(t, strings.Join(tt.wire, ""), got.Spent)
			} else {
				require.Less(t, got.Spent, 256<<10, "refused late")
			}
		})
	}
}

func TestADebtOfFramingIsPaidByLaterData(t *testing.T) {
	long := "1;" + strings.Repeat("a", 4000) + "\r\nx\r\n"
	debts := strings.Repeat(long, 4)
	data := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	require.Equal(t, fault.None, decodeAll(framing{kind: bodyChunked}, []string{debts}).Code)
	require.Equal(t, fault.ChunkOverhead, decodeAll(framing{kind: bodyChunked}, []string{debts, long}).Code)
	require.Equal(t, fault.None, decodeAll(framing{kind: bodyChunked}, []string{debts, data, debts}).Code)
	require.Equal(t, fault.ChunkOverhead, decodeAll(framing{kind: bodyChunked}, []string{data, debts, long}).Code,
		"data pays debts, it does not save up for later ones")
}

func TestDataMayBeTakenInAnyPieces(t *testing.T) {
	t.Run("length", func(t *testing.T) {
		var d decoder
		d.start(framing{kind: bodyLength, length: 10})
		require.EqualValues(t, 10, d.direct())
		require.False(t, d.took(0))
		require.False(t, d.took(4))
		data, used, done, code := step(&d, []byte("abc"))
		require.Equal(t, "abc", string(data))
		require.Equal(t, 3, used)
		require.False(t, done)
		require.Equal(t, fault.None, code)
		require.EqualValues(t, 3, d.direct())
		require.EqualValues(t, 3, d.remaining())
		require.True(t, d.took(3))
		require.True(t, d.ended())
		require.Zero(t, d.direct())
		require.True(t, d.took(0))
	})
	t.Run("chunk", func(t *testing.T) {
		var d decoder
		d.start(framing{kind: bodyChunked})
		require.Zero(t, d.direct())
		require.False(t, d.took(0))
		used, code := d.advance([]byte("a\r\n"))
		require.Equal(t, 3, used)
		require.Equal(t, fault.None, code)
		require.EqualValues(t, 10, d.direct())
		require.False(t, d.took(10))
		require.Zero(t, d.direct())
		require.EqualValues(t, -1, d.remaining())
		_, used, _, code = step(&d, []byte("\r\n0\r\nX: y\r\n\r\n"))
		require.Equal(t, 5, used)
		require.Equal(t, fault.None, code)
		require.True(t, d.trailing())
	})
	t.Run("until close", func(t *testing.T) {
		var d decoder
		d.start(framing{kind: bodyUntilClose})
		require.Positive(t, d.direct())
		require.False(t, d.took(1<<40))
		require.Positive(t, d.direct())
	})
}

func TestTheTrailerSectionIsLeftToTheCaller(t *testing.T) {
	var d decoder
	d.start(framing{kind: bodyChunked})
	in := []byte("0\r\nX: y\r\n\r\n")
	_, used, done, code := step(&d, in)
	require.Equal(t, fault.None, code)
	require.Equal(t, 3, used)
	require.False(t, done)
	require.True(t, d.trailing())
	data, used, done, code := step(&d, in[3:])
	require.Empty(t, data)
	require.Zero(t, used)
	require.False(t, done)
	require.Equal(t, fault.None, code)
	require.Equal(t, fault.UnexpectedEOF, d.eof(), "a body without its trailer section is not complete")
	d.endTrailer()
	require.False(t, d.trailing())
	require.True(t, d.ended())
	require.Zero(t, d.remaining())
}

func TestTheEndOfTheStreamEndsOnlySomeBodies(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    framing
		wire string
		want fault.Code
	}{
		{"no body", framing{}, "", fault.None},
		{"until close", framing{kind: bodyUntilClose}, "hello", fault.None},
		{"until close, empty", framing{kind: bodyUntilClose}, "", fault.None},
		{"all of the length", framing{kind: bodyLength, length: 5}, "hello", fault.None},
		{"some of the length", framing{kind: bodyLength, length: 5}, "hell", fault.UnexpectedEOF},
		{"none of the length", framing{kind: bodyLength, length: 5}, "", fault.UnexpectedEOF},
		{"before a chunk", framing{kind: bodyChunked}, "", fault.UnexpectedEOF},
		{"within a size", framing{kind: bodyChunked}, "5", fault.UnexpectedEOF},
		{"within a chunk", framing{kind: bodyChunked}, "5\r\nhell", fault.UnexpectedEOF},
		{"between chunks", framing{kind: bodyChunked}, "5\r\nhello\r\n", fault.UnexpectedEOF},
		{"before the trailer section", framing{kind: bodyChunked}, "0\r\n", fault.UnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d decoder
			d.start(tt.f)
			for in := []byte(tt.wire); len(in) > 0; {
				_, used, _, code := step(&d, in)
				require.Equal(t, fault.None, code)
				in = in[used:]
			}
			require.Equal(t, tt.want, d.eof())
			require.Equal(t, tt.want == fault.None, d.ended())
		})
	}
}

func TestAStartedDecoderForgetsItsLastBody(t *testing.T) {
	var d, fresh decoder
	d.start(framing{kind: bodyChunked})
	_, code := d.advance([]byte("5;" + strings.Repeat("a", 4000)))
	require.Equal(t, fault.None, code)
	for _, f := range []framing{{}, {kind: bodyLength, length: 3}, {kind: bodyChunked}, {kind: bodyUntilClose}} {
		d.start(f)
		fresh = decoder{}
		fresh.start(f)
		require.Equal(t, fresh, d)
	}
}

// written is what an encoder put on the wire.
type written struct {
	Wire string
	Code fault.Code // of the first write refused, or of the end
}

func encodeAll(f framing, pieces []string, trailer string) written {
	var e encoder
	var wire []byte
	var code fault.Code
	e.start(f)
	for _, p := range pieces {
		if wire, code = e.before(wire, len(p)); code != fault.None {
			return written{string(wire), code}
		}
		wire = e.after(append(wire, p...))
	}
	wire, code = e.end(wire, []byte(trailer))
	return written{string(wire), code}
}

func TestEncodingPutsTheFramingOn(t *testing.T) {
	chunked := framing{kind: bodyChunked}
	for _, tt := range []struct {
		name    string
		f       framing
		pieces  []string
		trailer string
		want    written
	}{
		{"no body", framing{}, nil, "", written{"", fault.None}},
		{"no body, nothing written", framing{}, []string{"", ""}, "", written{"", fault.None}},
		{"no body, but data", framing{}, []string{"x"}, "", written{"", fault.BodyLength}},
		{"length", framing{kind: bodyLength, length: 5}, []string{"he", "", "llo"}, "", written{"hello", fault.None}},
		{"length zero", framing{kind: bodyLength}, nil, "", written{"", fault.None}},
		{"length, too much at once", framing{kind: bodyLength, length: 5}, []string{"hello!"}, "", written{"", fault.BodyLength}},
		{"length, too much in the end", framing{kind: bodyLength, length: 5}, []string{"hello", "!"}, "", written{"hello", fault.BodyLength}},
		{"length, too little", framing{kind: bodyLength, length: 5}, []string{"hell"}, "", written{"hell", fault.BodyLength}},
		{"length, a trailer has no place", framing{kind: bodyLength, length: 2}, []string{"he"}, "X: y\r\n", written{"he", fault.None}},
		{"until close", framing{kind: bodyUntilClose}, []string{"he", "llo"}, "X: y\r\n", written{"hello", fault.None}},
		{"chunks", chunked, []string{"hello", ", octets of 19..."}, "", written{"5\r\nhello\r\n11\r\n, octets of 19...\r\n0\r\n\r\n", fault.None}},
		{"no chunk", chunked, nil, "", written{"0\r\n\r\n", fault.None}},
		{"an empty write is no chunk", chunked, []string{"", "x", ""}, "", written{"1\r\nx\r\n0\r\n\r\n", fault.None}},
		{"a trailer", chunked, []string{"x"}, "A: b\r\nC: d\r\n", written{"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", fault.None}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tt.want, encodeAll(tt.f, tt.pieces, tt.trailer)))
		})
	}
}

func TestTheEndClosesAChunkThatIsOpen(t *testing.T) {
	var e encoder
	e.start(framing{kind: bodyChunked})
	wire, code := e.before(nil, 5)
	require.Equal(t, fault.None, code)
	wire, code = e.end(append(wire, "hello"...), nil)
	require.Equal(t, fault.None, code)
	require.Equal(t, "5\r\nhello\r\n0\r\n\r\n", string(wire))
}

func TestAnEncoderTellsWhatIsLeft(t *testing.T) {
	var e encoder
	require.Zero(t, e.left())
	for _, tt := range []struct {
		f           framing
		first, then int64
	}{
		{framing{kind: bodyLength, length: 5}, 5, 3},
		{framing{kind: bodyChunked}, -1, -1},
		{framing{kind: bodyUntilClose}, -1, -1},
	} {
		e.start(tt.f)
		require.Equal(t, tt.first, e.left())
		_, code := e.before(nil, 2)
		require.Equal(t, fault.None, code)
		require.Equal(t, tt.then, e.left())
	}
}

func TestAnEndedEncoderLetsNothingPass(t *testing.T) {
	for _, f := range []framing{{kind: bodyLength, length: 2}, {kind: bodyChunked}, {kind: bodyUntilClose}} {
		var e encoder
		e.start(f)
		wire, code := e.before(nil, 2)
		require.Equal(t, fault.None, code)
		_, code = e.end(wire, nil)
		require.Equal(t, fault.None, code)
		more, code := e.before(nil, 1)
		require.Equal(t, fault.BodyLength, code)
		more = e.after(more)
		more, code = e.end(more, nil)
		require.Equal(t, fault.None, code)
		require.Empty(t, more)
		require.Zero(t, e.left())
	}
}

func TestEncodeThenDecodeIsTheIdentity(t *testing.T) {
	for _, f := range []framing{{kind: bodyLength, length: 36}, {kind: bodyChunked}, {kind: bodyUntilClose}} {
		for _, size := range []int{1, 2, 5, 16, 17, 36} {
			t.Run(fmt.Sprint(f.kind, " in pieces of ", size), func(t *testing.T) {
				const text = "0123456789abcdefghijklmnopqrst\r\n0\r\n\x00"
				var pieces []string
				for rest := text; len(rest) > 0; {
					n := min(size, len(rest))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				wire := encodeAll(f, pieces, "")
				require.Equal(t, fault.None, wire.Code)
				wiretest.EachCut(wire.Wire, func(cut string, segments []string) {
					got := decodeAll(f, segments)
					require.Equal(t, fault.None, got.Code)
					require.Equal(t, text, got.Data, cut)
				})
			})
		}
	}
}

func TestSizesOfChunksRoundTrip(t *testing.T) {
	for shift := range 62 {
		for _, n := range []int64{1<<shift - 1, 1 << shift, 1<<shift + 1} {
			if n == 0 {
				continue
			}
			var e encoder
			e.start(framing{kind: bodyChunked})
			line, code := e.before(nil, int(n))
			require.Equal(t, fault.None, code)
			var d decoder
			d.start(framing{kind: bodyChunked})
			used, code := d.advance(line)
			require.Equal(t, fault.None, code)
			require.Equal(t, len(line), used)
			require.Equal(t, n, d.direct(), strconv.FormatInt(n, 16))
		}
	}
}

func TestFramingDoesNotAllocate(t *testing.T) {
	get, getWin := parsedRequest(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	post, postWin := parsedRequest(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	wire := []byte("5\r\nhello\r\n0\r\n")
	out := make([]byte, 0, 64)
	var d decoder
	var e encoder
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f, _ := frameRequest(get, getWin, knowsGzip)
		d.start(f)
		f, _ = frameRequest(post, postWin, knowsGzip)
		d.start(f)
		for in := wire; len(in) > 0; {
			_, used, _, _ := step(&d, in)
			in = in[used:]
		}
		e.start(f)
		out, _ = e.before(out[:0], 5)
		out = e.after(append(out, "hello"...))
		out, _ = e.end(out, nil)
	}))
}
