package h1

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/wiretest"
)

type parseFunc = func(h *head, win []byte, lim *headLimits) (bool, fault.Code)

// parses has the parse functions by the section they read.
var parses = map[string]parseFunc{
	"request":  (*head).parseRequest,
	"response": (*head).parseResponse,
	"trailer":  (*head).parseTrailer,
}

var testLimits = headLimits{startLine: 1000, bytes: 4000, fields: 100}

// view is a head with its spans resolved, for comparing.
type view struct {
	Method, Target, Host, Reason string
	MethodID                     field.Method
	Form                         targetForm
	Status                       int
	Minor                        uint8
	Fields                       []fieldView

	Hosts, Lengths, Codings int
	Length                  int64
	LengthFault             fault.Code
	ChunkedOnly             bool
	Options                 connOptions
	Expect                  expectation
	Upgrade, TE, Trailer    bool
	HintTimeout, HintMax    int32

	Size int
	Code fault.Code
}

type fieldView struct {
	Name, Value string
	ID          field.ID
}

func viewOf(h *head, win []byte) view {
	v := view{
		Method: string(h.method.of(win)), Target: string(h.target.of(win)),
		Host: string(h.host.of(win)), Reason: string(h.reason.of(win)),
		MethodID: h.methodID, Form: h.form, Status: h.status, Minor: h.minor,
		Hosts: h.hosts, Lengths: h.lengths, Codings: h.codings,
		Length: h.length, LengthFault: h.lengthFault, ChunkedOnly: h.chunkedOnly,
		Options: h.options, Expect: h.expect, Upgrade: h.upgrade, TE: h.te, Trailer: h.trailer,
		HintTimeout: h.hintTimeout, HintMax: h.hintMax,
		Size: int(h.pos),
	}
	for _, f := range h.fields {
		v.Fields = append(v.Fields, fieldView{string(f.name.of(win)), string(f.value.of(win)), f.id})
	}
	return v
}

// parsePieces parses a head that arrives in the given segments. The window
// moves in memory with every one of them, and has no octet to spare behind it.
// Of a head that is refused, the code and the line at fault are to be
// compared; of one that is not all there, nothing.
func parsePieces[S string | []byte](parse parseFunc, segments []S, lim *headLimits) view {
	var h head
	h.reset()
	var win []byte
	for _, s := range segments {
		grown := make([]byte, 0, len(win)+len(s))
		win = append(append(grown, win...), s...)
		switch done, code := parse(&h, win, lim); {
		case code != fault.None:
			return view{Code: code, Size: int(h.pos)}
		case done:
			return viewOf(&h, win)
		}
	}
	return view{Size: -1}
}

// parseEachCut parses wire whole and cut in every way, and wants one outcome.
func parseEachCut(t *testing.T, parse parseFunc, wire string, lim *headLimits) view {
	t.Helper()
	want := parsePieces(parse, []string{wire}, lim)
	wiretest.EachCut(wire, func(name string, segments []string) {
		got := parsePieces(parse, segments, lim)
		if !reflect.DeepEqual(want, got) { // quicker than cmp.Diff
			t.Fatalf("%s (-whole +cut):\n%s", name, cmp.Diff(want, got))
		}
	})
	return want
}

func TestRequestHeadIsTakenApart(t *testing.T) {
	const wire = "POST /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nX-Empty:\r\n" +
		"x-spaces: \t a  b \t \r\ncontent-LENGTH:12\r\nX-Obs: caf\xe9\tx\r\n\r\n"
	want := view{
		Method: "POST", MethodID: field.POST, Target: "/a/b?c=d", Minor: 1,
		Host: "example.com:8080", Hosts: 1, Lengths: 1, Length: 12,
		Fields: []fieldView{
			{"Host", "example.com:8080", field.Host},
			{"X-Empty", "", field.Unknown},
			{"x-spaces", "a  b", field.Unknown},
			{"content-LENGTH", "12", field.ContentLength},
			{"X-Obs", "caf\xe9\tx", field.Unknown},
		},
		HintTimeout: -1, HintMax: -1,
		Size: len(wire),
	}
	got := parseEachCut(t, (*head).parseRequest, wire+"NEXT", &testLimits)
	require.Empty(t, cmp.Diff(want, got))
}

func TestResponseHeadIsTakenApart(t *testing.T) {
	const wire = "HTTP/1.0 404 Not\tFound \xe9\r\nServer: x\r\nConnection: Close\r\nKeep-Alive: timeout=5\r\n\r\n"
	want := view{
		Status: 404, Reason: "Not\tFound \xe9",
		Fields: []fieldView{
			{"Server", "x", field.Server},
			{"Connection", "Close", field.Connection},
			{"Keep-Alive", "timeout=5", field.KeepAlive},
		},
		Options: optClose, HintTimeout: 5, HintMax: -1,
		Size: len(wire),
	}
	got := parseEachCut(t, (*head).parseResponse, wire+"NEXT", &testLimits)
	require.Empty(t, cmp.Diff(want, got))
}

func TestTrailerIsTakenApartAndGivesNoFacts(t *testing.T) {
	const wire = "Digest: abc\r\nKeep-Alive: timeout=5\r\nUpgrade: x\r\nTE: x\r\nTrailer: x\r\nExpect: x\r\n\r\n"
	want := view{
		Fields: []fieldView{
			{"Digest", "abc", field.Unknown},
			{"Keep-Alive", "timeout=5", field.KeepAlive},
			{"Upgrade", "x", field.Upgrade},
			{"TE", "x", field.TE},
			{"Trailer", "x", field.Trailer},
			{"Expect", "x", field.Expect},
		},
		HintTimeout: -1, HintMax: -1,
		Size: len(wire),
	}
	got := parseEachCut(t, (*head).parseTrailer, wire+"NEXT", &testLimits)
	require.Empty(t, cmp.Diff(want, got))

	none := parseEachCut(t, (*head).parseTrailer, "\r\nNEXT", &testLimits)
	require.Equal(t, 2, none.Size)
}

func TestRequestLinesAccepted(t *testing.T) {
	tests := []struct {
		name, line, method, target string
		form                       targetForm
		minor                      uint8
		host                       string // "x" comes from Host
	}{
		{"origin form", "GET / HTTP/1.1", "GET", "/", formOrigin, 1, "x"},
		{"path that looks like an authority", "GET //a/b HTTP/1.1", "GET", "//a/b", formOrigin, 1, "x"},
		{"path with a colon", "GET /a:b HTTP/1.1", "GET", "/a:b", formOrigin, 1, "x"},
		{"octets browsers do not encode", `GET /a|b^c?{d}[e]\` + "`" + ` HTTP/1.1`, "GET", `/a|b^c?{d}[e]\` + "`", formOrigin, 1, "x"},
		{"octets past ASCII", "GET /\xe9?caf\xc3\xa9 HTTP/1.1", "GET", "/\xe9?caf\xc3\xa9", formOrigin, 1, "x"},
		{"HTTP/1.0", "GET / HTTP/1.0", "GET", "/", formOrigin, 0, "x"},
		{"higher minor version is 1.1", "GET / HTTP/1.9", "GET", "/", formOrigin, 1, "x"},
		{"method nobody knows", "M-SEARCH! / HTTP/1.1", "M-SEARCH!", "/", formOrigin, 1, "x"},
		{"method in small letters is another one", "get / HTTP/1.1", "get", "/", formOrigin, 1, "x"},
		{"asterisk form", "OPTIONS * HTTP/1.1", "OPTIONS", "*", formAsterisk, 1, "x"},
		{"options of a path", "OPTIONS /a HTTP/1.1", "OPTIONS", "/a", formOrigin, 1, "x"},
		{"absolute form overrides Host", "GET http://a.example/p?q HTTP/1.1", "GET", "http://a.example/p?q", formAbsolute, 1, "a.example"},
		{"absolute form without a path", "GET HTTPS://a:1 HTTP/1.1", "GET", "HTTPS://a:1", formAbsolute, 1, "a:1"},
		{"absolute form with query behind the host", "GET http://a?b HTTP/1.1", "GET", "http://a?b", formAbsolute, 1, "a"},
		{"absolute form with an IPv6 address", "GET http://[::1]:80/ HTTP/1.1", "GET", "http://[::1]:80/", formAbsolute, 1, "[::1]:80"},
		{"absolute form without an authority", "GET urn:a:b HTTP/1.1", "GET", "urn:a:b", formAbsolute, 1, "x"},
		{"absolute form with an empty authority", "GET file:///a HTTP/1.1", "GET", "file:///a", formAbsolute, 1, "x"},
		{"authority form overrides Host", "CONNECT a.example:443 HTTP/1.1", "CONNECT", "a.example:443", formAuthority, 1, "a.example:443"},
		{"authority form with an IPv6 address", "CONNECT [fe80::1%25en0]:443 HTTP/1.1", "CONNECT", "[fe80::1%25en0]:443", formAuthority, 1, "[fe80::1%25en0]:443"},
		{"empty lines before", "\r\n\r\n\r\n\r\nGET / HTTP/1.1", "GET", "/", formOrigin, 1, "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := tt.line + "\r\nHost: x\r\n\r\n"
			got := parseEachCut(t, (*head).parseRequest, wire+"NEXT", &testLimits)
			require.Equal(t, fault.None, got.Code)
			require.Equal(t, len(wire), got.Size)
			require.Equal(t, tt.method, got.Method)
			require.Equal(t, tt.target, got.Target)
			require.Equal(t, tt.form, got.Form)
			require.Equal(t, tt.minor, got.Minor)
			require.Equal(t, tt.host, got.Host)
		})
	}
}

// refusal is wire text and the code it is refused with.
type refusal struct {
	name, wire string
	code       fault.Code
}

func requestRefusals() []refusal {
	const get = "GET / HTTP/1.1\r\n"
	const host = "Host: x\r\n"
	return []refusal{
		{"TLS handshake", "\x16\x03\x01\x02\x00\x01\x00", fault.TLSOnPlain},
		{"TLS handshake after an empty line", "\r\n\x16\x03\x01", fault.TLSOnPlain},
		{"binary at once, before any line end", "\x00", fault.BadMethod},
		{"space first", " GET / HTTP/1.1\r\n", fault.BadMethod},
		{"method with a bad octet", "G(T / HTTP/1.1\r\n", fault.BadMethod},
		{"more than a few empty lines", strings.Repeat("\r\n", emptyLines+1) + get + host, fault.BadMethod},
		{"one word", "GET\r\n", fault.BadTarget},
		{"HTTP/0.9", "GET /path\r\n", fault.HTTP09},
		{"two words, the second no target", "GET /pa\x01th\r\n", fault.BadTarget},

		{"two spaces before the target", "GET  / HTTP/1.1\r\n", fault.BadTarget},
		{"two spaces behind the target", "GET /  HTTP/1.1\r\n", fault.BadTarget},
		{"space in the target", "GET /a b HTTP/1.1\r\n", fault.BadTarget},
		{"tab for space", "GET\t/\tHTTP/1.1\r\n", fault.BadMethod},
		{"vertical tab in the target", "GET /\v HTTP/1.1\r\n", fault.BadTarget},
		{"NUL in the target", "GET /\x00 HTTP/1.1\r\n", fault.BadTarget},
		{"DEL in the target", "GET /\x7f HTTP/1.1\r\n", fault.BadTarget},
		{"obs-text in the authority", "GET http://\xe9/ HTTP/1.1\r\n", fault.BadTarget},
		{"obs-text in the authority of CONNECT", "CONNECT \xe9:80 HTTP/1.1\r\n", fault.BadTarget},
		{"fragment", "GET /a#b HTTP/1.1\r\n", fault.BadTarget},
		{"asterisk form of GET", "GET * HTTP/1.1\r\n", fault.BadTarget},
		{"relative path", "GET a/b HTTP/1.1\r\n", fault.BadTarget},
		{"scheme that begins with a digit", "GET 1http://a/ HTTP/1.1\r\n", fault.BadTarget},
		{"nothing behind the scheme", "GET http: HTTP/1.1\r\n", fault.BadTarget},
		{"http URI without authority", "GET http:/a HTTP/1.1\r\n", fault.BadTarget},
		{"http URI with an empty host", "GET http://:80/ HTTP/1.1\r\n", fault.BadTarget},
		{"user information", "GET http://good@evil/ HTTP/1.1\r\n", fault.BadTarget},
		{"backslash in the authority", `GET http://good\evil/ HTTP/1.1` + "\r\n", fault.BadTarget},
		{"CONNECT of a path", "CONNECT / HTTP/1.1\r\n", fault.BadTarget},
		{"CONNECT without port", "CONNECT a HTTP/1.1\r\n", fault.BadTarget},
		{"CONNECT with an empty port", "CONNECT a: HTTP/1.1\r\n", fault.BadTarget},
		{"CONNECT with an empty host", "CONNECT :80 HTTP/1.1\r\n", fault.BadTarget},
		{"CONNECT of an absolute URI", "CONNECT http://a:80/ HTTP/1.1\r\n", fault.BadTarget},

		{"version in small letters", "GET / http/1.1\r\n", fault.BadVersion},
		{"space behind the version", "GET / HTTP/1.1 \r\n", fault.BadVersion},
		{"version of two digits", "GET / HTTP/1.10\r\n", fault.BadVersion},
		{"version without minor", "GET / HTTP/1\r\n", fault.BadVersion},
		{"version of letters", "GET / HTTP/x.y\r\n", fault.BadVersion},
		{"another protocol", "GET / ICAP/1.0\r\n", fault.BadVersion},
		{"HTTP/2.0", "GET / HTTP/2.0\r\n", fault.VersionUnsupported},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", fault.VersionUnsupported},
		{"HTTP/0.9 spelled out", "GET / HTTP/0.9\r\n", fault.VersionUnsupported},

		{"CVE-2022-32214: bare LF behind the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", fault.BareLF},
		{"CVE-2022-35256: bare LF behind a field", get + "Host: x\n\r\n", fault.BareLF},
		{"bare LF for the empty line", get + host + "\n", fault.BareLF},
		{"bare LF first of all", "\nGET / HTTP/1.1\r\n", fault.BareLF},
		{"CR in the method", "GE\rT / HTTP/1.1\r\n", fault.BareCR},
		{"CR in the target", "GET /\r HTTP/1.1\r\n", fault.BareCR},
		{"CR behind the version", "GET / HTTP/1.1\r\r\n", fault.BareCR},
		{"CVE-2020-8201: CR in a field name", get + host + "Content\rLength: 5\r\n\r\n", fault.BareCR},
		{"CVE-2023-30589: CR for a line end", get + host + "A: b\rContent-Length: 5\r\n\r\n", fault.BareCR},
		{"CVE-2025-23167: CR X for the empty line", get + host + "\rX: y\r\n\r\n", fault.BareCR},
		{"CR at the end of a value", get + host + "A: b\r\r\n\r\n", fault.BareCR},

		{"CVE-2022-32215: folded Transfer-Encoding", get + host + "Transfer-Encoding: chunked\r\n , identity\r\n\r\n", fault.ObsFold},
		{"fold by tab", get + host + "A: b\r\n\tc\r\n\r\n", fault.ObsFold},
		{"CVE-2024-27982: space before a name", get + " Content-Length: 5\r\nHost: x\r\n\r\n", fault.ObsFold},
		{"line of spaces", get + host + "   \r\n\r\n", fault.ObsFold},
		{"CVE-2019-16276, CVE-2021-22959: space before the colon", get + host + "Content-Length : 5\r\n\r\n", fault.SpaceBeforeColon},
		{"tab before the colon", get + host + "Content-Length\t: 5\r\n\r\n", fault.SpaceBeforeColon},
		{"go#65244: empty name", get + host + ": x\r\n\r\n", fault.BadFieldName},
		{"space in a name", get + host + "A B: c\r\n\r\n", fault.BadFieldName},
		{"NUL in a name", get + host + "A\x00: c\r\n\r\n", fault.BadFieldName},
		{"obs-text in a name", get + host + "\xe9: c\r\n\r\n", fault.BadFieldName},
		{"no colon", get + host + "Content-Length\r\n\r\n", fault.BadFieldLine},
		{"nbio: NUL in a value", get + host + "A: b\x00c\r\n\r\n", fault.BadFieldValue},
		{"DEL in a value", get + host + "A: b\x7f\r\n\r\n", fault.BadFieldValue},
		{"escape in a long value", get + host + "A: 0123456789 0123456789 \x1b[31m 0123456789\r\n\r\n", fault.BadFieldValue},

		{"no Host", get + "\r\n", fault.NoHost},
		{"nginx 1.21.1: two Hosts", get + host + "HOST: y\r\n\r\n", fault.SeveralHosts},
		{"two Hosts that agree", get + host + host + "\r\n", fault.SeveralHosts},
		{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" + host + host + "\r\n", fault.SeveralHosts},
		{"CVE-2023-29406: space in Host", get + "Host: a b\r\n\r\n", fault.BadHost},
		{"user information in Host", get + "Host: a@b\r\n\r\n", fault.BadHost},
		{"path in Host", get + "Host: a/b\r\n\r\n", fault.BadHost},
		{"port that is no number", get + "Host: a:b\r\n\r\n", fault.BadHost},
		{"two ports", get + "Host: a:1:2\r\n\r\n", fault.BadHost},
		{"bracket without end", get + "Host: [::1\r\n\r\n", fault.BadHost},
		{"obs-text in Host", get + "Host: \xe9\r\n\r\n", fault.BadHost},
		{"bad Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", fault.BadHost},
		{"bad Host under an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", fault.BadHost},
	}
}

func responseRefusals() []refusal {
	const ok = "HTTP/1.1 200 OK\r\n"
	return []refusal{
		{"TLS alert at once, before any line end", "\x15\x03\x01\x00\x02", fault.BadStatusLine},
		{"empty line before", "\r\n" + ok + "\r\n", fault.BadStatusLine},
		{"another protocol", "ICY 200 OK\r\n\r\n", fault.BadStatusLine},
		{"another protocol of H", "HELO x\r\n", fault.BadStatusLine},
		{"version alone", "HTTP/1.1\r\n", fault.BadStatusLine},
		{"version in small letters", "Http/1.1 200 OK\r\n", fault.BadStatusLine},
		{"control octet in the reason", "HTTP/1.1 200 O\x07K\r\n", fault.BadStatusLine},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n", fault.VersionUnsupported},
		{"no code", "HTTP/1.1 \r\n", fault.BadStatusCode},
		{"code of two digits", "HTTP/1.1 20 OK\r\n", fault.BadStatusCode},
		{"code of four digits", "HTTP/1.1 2000\r\n", fault.BadStatusCode},
		{"code of letters", "HTTP/1.1 2x0 OK\r\n", fault.BadStatusCode},
		{"signed code", "HTTP/1.1 +20 OK\r\n", fault.BadStatusCode},
		{"code below 100", "HTTP/1.1 099 OK\r\n", fault.BadStatusCode},
		{"two spaces before the code", "HTTP/1.1  200 OK\r\n", fault.BadStatusCode},
		{"tab before the code", "HTTP/1.1\t200 OK\r\n", fault.BadStatusLine},
		{"bare LF", "HTTP/1.1 200 OK\n\n", fault.BareLF},
		{"bare CR in the reason", "HTTP/1.1 200 O\rK\r\n", fault.BareCR},
		{"fold", ok + "A: b\r\n c\r\n\r\n", fault.ObsFold},
		{"field before any field", ok + " A: b\r\n\r\n", fault.ObsFold},
		{"space before the colon", ok + "A : b\r\n\r\n", fault.SpaceBeforeColon},
		{"no colon", ok + "A\r\n\r\n", fault.BadFieldLine},
		{"NUL in a value", ok + "A: \x00\r\n\r\n", fault.BadFieldValue},
		{"bad name", ok + "A[]: b\r\n\r\n", fault.BadFieldName},
	}
}

func trailerRefusals() []refusal {
	return []refusal{
		{"Content-Length", "Content-Length: 5\r\n\r\n", fault.BadTrailer},
		{"Transfer-Encoding", "A: b\r\ntransfer-encoding: chunked\r\n\r\n", fault.BadTrailer},
		{"Host", "Host: x\r\n\r\n", fault.BadTrailer},
		{"Connection", "Connection: close\r\n\r\n", fault.BadTrailer},
		{"bare LF", "A: b\n\r\n", fault.BareLF},
		{"bare LF for the empty line", "\n", fault.BareLF},
		{"bare CR", "A: b\rc\r\n\r\n", fault.BareCR},
		{"fold of nothing", " A: b\r\n\r\n", fault.ObsFold},
		{"space before the colon", "A : b\r\n\r\n", fault.SpaceBeforeColon},
		{"NUL in a value", "A: \x00\r\n\r\n", fault.BadFieldValue},
	}
}

func refusals() map[string][]refusal {
	return map[string][]refusal{
		"request":  requestRefusals(),
		"response": responseRefusals(),
		"trailer":  trailerRefusals(),
	}
}

func TestHeadsRefused(t *testing.T) {
	for section, rows := range refusals() {
		for _, tt := range rows {
			t.Run(section+": "+tt.name, func(t *testing.T) {
				got := parseEachCut(t, parses[section], tt.wire+"NEXT", &testLimits)
				require.Equal(t, tt.code.String(), got.Code.String())
			})
		}
	}
}

func TestAFaultPointsAtItsLine(t *testing.T) {
	tests := []struct{ name, section, good, fault string }{
		{"request line", "request", "\r\n", "GET / HTTP/1.1 \r\n"},
		{"bare LF", "request", "", "GET / HTTP/1.1\nHost: x\r\n"},
		{"field", "request", "GET / HTTP/1.1\r\nHost: x\r\n", "A : b\r\n\r\n"},
		{"second Host", "request", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n", "Host: y\r\nC: d\r\n\r\n"},
		{"no Host", "request", "\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r\n"},
		{"status line", "response", "", "HTTP/1.1 x\r\n"},
		{"trailer field", "trailer", "A: b\r\n", "Host: x\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseEachCut(t, parses[tt.section], tt.good+tt.fault, &testLimits)
			require.NotEqual(t, fault.None, got.Code)
			require.Equal(t, len(tt.good), got.Size)
		})
	}
}

// Every code that parser.go names has a row in one of the tables.
func TestEachCodeOfTheParserIsTested(t *testing.T) {
	tested := map[string]bool{"none": true}
	for _, tables := range []map[string][]refusal{refusals(), limitRefusals()} {
		for _, rows := range tables {
			for _, row := range rows {
				tested[row.code.String()] = true
			}
		}
	}
	for _, row := range contentLengths {
		tested[row.fault.String()] = true
	}
	for name := range tested {
		tested[strings.ReplaceAll(name, "_", "")] = true
	}
	source, err := os.ReadFile("parser.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`fault\.([A-Z]\w+)`).FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, codes)
	for _, m := range codes {
		if m[1] != "Code" {
			require.Truef(t, tested[strings.ToLower(m[1])], "no test refuses anything with %s", m[0])
		}
	}
}

func TestHostsAccepted(t *testing.T) {
	tests := []struct{ name, head, host string }{
		{"name", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
		{"empty value", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ""},
		{"port", "GET / HTTP/1.1\r\nhost: a:8080\r\n\r\n", "a:8080"},
		{"empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "a:"},
		{"IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80"},
		{"octets of reg-name", "GET / HTTP/1.1\r\nHost: a_b~!$&'()*+,;=%41\r\n\r\n", "a_b~!$&'()*+,;=%41"},
		{"none in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", ""},
		{"none in HTTP/1.0 under an absolute target", "GET http://a/ HTTP/1.0\r\n\r\n", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseEachCut(t, (*head).parseRequest, tt.head+"NEXT", &testLimits)
			require.Equal(t, fault.None, got.Code)
			require.Equal(t, len(tt.head), got.Size)
			require.Equal(t, tt.host, got.Host)
		})
	}
}

func TestStatusLinesAccepted(t *testing.T) {
	tests := []struct {
		name, line, reason string
		status             int
		minor              uint8
	}{
		{"with reason", "HTTP/1.1 200 OK", "OK", 200, 1},
		{"reason of several words", "HTTP/1.1 404 Not Found", "Not Found", 404, 1},
		{"empty reason", "HTTP/1.1 200 ", "", 200, 1},
		{"neither reason nor its space", "HTTP/1.1 200", "", 200, 1},
		{"lowest", "HTTP/1.1 100 Continue", "Continue", 100, 1},
		{"past 599", "HTTP/1.1 999 x", "x", 999, 1},
		{"HTTP/1.0", "HTTP/1.0 200 OK", "OK", 200, 0},
		{"higher minor version is 1.1", "HTTP/1.2 200 OK", "OK", 200, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := tt.line + "\r\n\r\n"
			got := parseEachCut(t, (*head).parseResponse, wire+"NEXT", &testLimits)
			require.Equal(t, fault.None, got.Code)
			require.Equal(t, len(wire), got.Size)
			require.Equal(t, tt.reason, got.Reason)
			require.Equal(t, tt.status, got.Status)
			require.Equal(t, tt.minor, got.Minor)
		})
	}
}

// withFields is the head of a request with the field lines given.
func withFields(lines ...string) string {
	return "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

func parseFields(t *testing.T, lines ...string) view {
	t.Helper()
	wire := withFields(lines...)
	got := parseEachCut(t, (*head).parseRequest, wire+"NEXT", &testLimits)
	require.Equal(t, fault.None, got.Code)
	require.Equal(t, len(wire), got.Size)
	return got
}

var contentLengths = []struct {
	name   string
	values []string
	length int64
	fault  fault.Code
}{
	{"one", []string{"42"}, 42, fault.None},
	{"none at all to send", []string{"0"}, 0, fault.None},
	{"leading zeros", []string{"0042"}, 42, fault.None},
	{"the largest", []string{"9223372036854775807"}, 1<<63 - 1, fault.None},
	{"twice the same", []string{"42", "42"}, 42, fault.None},
	{"spelled differently", []string{"5", "05"}, 5, fault.DifferingContentLength},
	{"differing", []string{"42", "43"}, 42, fault.DifferingContentLength},
	{"the first fault stays", []string{"42", "43", "x"}, 42, fault.DifferingContentLength},
	{"go#61679: empty", []string{""}, 0, fault.BadContentLength},
	{"CVE-2021-32715: plus sign", []string{"+42"}, 0, fault.BadContentLength},
	{"minus sign", []string{"-42"}, 0, fault.BadContentLength},
	{"hexadecimal", []string{"0x2a"}, 0, fault.BadContentLength},
	{"underscore", []string{"4_2"}, 0, fault.BadContentLength},
	{"space within", []string{"4 2"}, 0, fault.BadContentLength},
	{"list of equal numbers", []string{"42, 42"}, 0, fault.BadContentLength},
	{"past 63 bits", []string{"9223372036854775808"}, 0, fault.BadContentLength},
	{"past 64 bits", []string{"18446744073709551617"}, 0, fault.BadContentLength},
}

func TestContentLengthFacts(t *testing.T) {
	for _, tt := range contentLengths {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for _, v := range tt.values {
				lines = append(lines, "Content-Length: "+v)
			}
			got := parseFields(t, lines...)
			require.Equal(t, len(tt.values), got.Lengths)
			require.Equal(t, tt.length, got.Length)
			require.Equal(t, tt.fault, got.LengthFault)
		})
	}
}

func TestTransferEncodingFacts(t *testing.T) {
	tests := []struct {
		name    string
		values  []string
		chunked bool
	}{
		{"chunked", []string{"chunked"}, true},
		{"chunked in capitals", []string{"CHUNKED"}, true},
		{"CVE-2020-8287: twice", []string{"chunked", "chunked"}, false},
		{"CVE-2021-21299: two fields", []string{"gzip", "chunked"}, false},
		{"list", []string{"gzip, chunked"}, false},
		{"list of one", []string{"chunked,"}, false},
		{"CVE-2022-32213: not quite chunked", []string{"xchunked"}, false},
		{"quoted", []string{`"chunked"`}, false},
		{"empty", []string{""}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for _, v := range tt.values {
				lines = append(lines, "Transfer-Encoding: "+v)
			}
			got := parseFields(t, lines...)
			require.Equal(t, len(tt.values), got.Codings)
			require.Equal(t, tt.chunked, got.ChunkedOnly)
		})
	}
}

func TestConnectionFacts(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  connOptions
	}{
		{"none", nil, 0},
		{"empty", []string{"Connection:"}, 0},
		{"close", []string{"Connection: close"}, optClose},
		{"any case", []string{"connection: KEEP-alive"}, optKeepAlive},
		{"list", []string{"Connection: Upgrade, TE"}, optUpgrade | optTE},
		{"empty members", []string{"Connection: , ,close,, "}, optClose},
		{"several fields", []string{"Connection: keep-alive", "Connection: close"}, optKeepAlive | optClose},
		{"others", []string{"Connection: X-Hop, closed"}, optOther},
		{"Proxy-Connection is not heard", []string{"Proxy-Connection: close"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, parseFields(t, tt.lines...).Options)
		})
	}
}

func TestExpectFacts(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  expectation
	}{
		{"none", nil, expectNone},
		{"empty", []string{"Expect: "}, expectNone},
		{"100-continue", []string{"Expect: 100-continue"}, expectContinue},
		{"any case", []string{"expect: 100-Continue"}, expectContinue},
		{"said twice", []string{"Expect: 100-continue, 100-continue"}, expectContinue},
		{"another", []string{"Expect: 200-ok"}, expectOther},
		{"another first", []string{"Expect: x", "Expect: 100-continue"}, expectOther},
		{"another last", []string{"Expect: 100-continue, x"}, expectOther},
		{"with a parameter", []string{"Expect: 100-continue=1"}, expectOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, parseFields(t, tt.lines...).Expect)
		})
	}
}

func TestExpectInAResponseMeansNothing(t *testing.T) {
	got := parseEachCut(t, (*head).parseResponse, "HTTP/1.1 200 OK\r\nExpect: x\r\n\r\n", &testLimits)
	require.Equal(t, expectNone, got.Expect)
	require.Equal(t, fault.None, got.Code)
}

func TestKeepAliveHints(t *testing.T) {
	tests := []struct {
		name, value  string
		timeout, max int32
	}{
		{"both", "timeout=5, max=100", 5, 100},
		{"other order, other case", "MAX=100,Timeout=5", 5, 100},
		{"quoted", `timeout="5"`, 5, -1},
		{"number alone, as old browsers sent", "115", -1, -1},
		{"clamped", "timeout=4294967296, max=2147483648", 1<<31 - 1, 1<<31 - 1},
		{"past 63 bits", "timeout=99999999999999999999", -1, -1},
		{"negative", "timeout=-1", -1, -1},
		{"empty", "timeout=, max", -1, -1},
		{"half quoted", `timeout="5`, -1, -1},
		{"unknown ones passed over", "x=1, timeout=5, y", 5, -1},
		{"comma in a quoted string", `x="a, timeout=9", timeout=5`, 5, -1},
		{"zero", "timeout=0", 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseFields(t, "Keep-Alive: "+tt.value)
			require.Equal(t, tt.timeout, got.HintTimeout)
			require.Equal(t, tt.max, got.HintMax)
		})
	}
}

func TestOtherFacts(t *testing.T) {
	none := parseFields(t, "X-Upgrade: a", "TEA: b")
	require.Equal(t, []bool{false, false, false}, []bool{none.Upgrade, none.TE, none.Trailer})
	all := parseFields(t, "upgrade: a", "te: trailers", "trailer: x")
	require.Equal(t, []bool{true, true, true}, []bool{all.Upgrade, all.TE, all.Trailer})
}

// CVE-2026-21710: a field of any name is data.
func TestAnyTokenIsAFieldName(t *testing.T) {
	got := parseFields(t, "__proto__: x", "!#$%&'*+-.^_`|~09azAZ: y")
	require.Equal(t, []fieldView{
		{"Host", "x", field.Host},
		{"__proto__", "x", field.Unknown},
		{"!#$%&'*+-.^_`|~09azAZ", "y", field.Unknown},
	}, got.Fields)
}

var tightLimits = headLimits{startLine: 20, bytes: 60, fields: 2}

// limitRefusals are heads over tightLimits.
func limitRefusals() map[string][]refusal {
	const get = "GET / HTTP/1.1\r\nHost: x\r\n" // 25 octets
	a := func(n int) string { return strings.Repeat("a", n) }
	return map[string][]refusal{
		"request": {
			{"request line too long", "GET /" + a(7) + " HTTP/1.1\r\n", fault.RequestLineTooLong},
			{"request line without end", a(22), fault.RequestLineTooLong},
			{"long and bad is long", "GET /" + strings.Repeat("\x00", 7) + " HTTP/1.1\r\n", fault.RequestLineTooLong},
			{"empty lines count", "\r\n\r\nGET /abc HTTP/1.1\r\n", fault.RequestLineTooLong},
			{"head too large by a field", get + "A: " + a(31) + "\r\n", fault.HeadTooLarge},
			{"head too large by its empty line", get + "A: " + a(29) + "\r\n\r\n", fault.HeadTooLarge},
			{"field without end", get + "A: " + a(32), fault.HeadTooLarge},
			{"large and bad is large", get + "A: " + strings.Repeat("\x00", 40) + "\r\n\r\n", fault.HeadTooLarge},
			{"bad before large", "GET / HTTP/1.1\r\n: x\r\nA: " + a(40) + "\r\n\r\n", fault.BadFieldName},
			{"CVE-2026-58044: too many fields", get + "A: b\r\nC: d\r\n\r\n", fault.TooManyFields},
		},
		"response": {
			{"status line too long", "HTTP/1.1 200 " + a(8) + "\r\n", fault.HeadTooLarge},
			{"head too large", "HTTP/1.1 200 OK\r\nA: " + a(60) + "\r\n\r\n", fault.HeadTooLarge},
			{"too many fields", "HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", fault.TooManyFields},
		},
		"trailer": {
			{"too large", "A: " + a(60) + "\r\n\r\n", fault.TrailerTooLarge},
			{"without end", a(60), fault.TrailerTooLarge},
			{"too many fields", "A: b\r\nA: b\r\nA: b\r\n\r\n", fault.TooManyFields},
		},
	}
}

func TestHeadsOverALimit(t *testing.T) {
	for section, rows := range limitRefusals() {
		for _, tt := range rows {
			t.Run(section+": "+tt.name, func(t *testing.T) {
				got := parseEachCut(t, parses[section], tt.wire, &tightLimits)
				require.Equal(t, tt.code.String(), got.Code.String())
			})
		}
	}
}

func TestHeadsAtALimit(t *testing.T) {
	tests := []struct{ name, section, wire string }{
		{"longest request line", "request", "GET /aaaaaa HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"largest head", "request", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 28) + "\r\n\r\n"},
		{"most fields", "request", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"},
		{"longest status line", "response", "HTTP/1.1 200 aaaaaaa\r\n\r\n"},
		{"largest trailer", "trailer", "A: " + strings.Repeat("a", 53) + "\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseEachCut(t, parses[tt.section], tt.wire+"NEXT", &tightLimits)
			require.Equal(t, fault.None, got.Code)
			require.Equal(t, len(tt.wire), got.Size)
		})
	}
}

// A head limit below that of the start line speaks for the start line too.
func TestTheLowerLimitNamesTheFault(t *testing.T) {
	lim := headLimits{startLine: 1000, bytes: 50, fields: 10}
	got := parseEachCut(t, (*head).parseRequest, "GET /"+strings.Repeat("a", 2000)+" HTTP/1.1\r\n", &lim)
	require.Equal(t, fault.HeadTooLarge, got.Code)
}

// CVE-2025-61724: a sender of single octets must not cost quadratic work.
// Octets of a line that were searched already are line feeds here until the
// line is complete: a parser that looked at them again would find an end.
func TestWorkIsLinearForASlowSender(t *testing.T) {
	wire := "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 60<<10) + "\r\nB: c\r\n\r\n"
	lim := headLimits{startLine: 8 << 10, bytes: 64 << 10, fields: 10}
	win := make([]byte, len(wire))
	var h head
	h.reset()
	start := 0
	for i := range len(wire) {
		win[i] = wire[i]
		if wire[i] == '\n' {
			copy(win[start:], wire[start:i])
			start = i + 1
		}
		done, code := h.parseRequest(win[:i+1], &lim)
		require.Equal(t, fault.None, code)
		require.Equal(t, i == len(wire)-1, done)
		require.Equal(t, i+1, int(h.pos+h.seen))
		if wire[i] != '\n' {
			win[i] = '\n'
		}
	}
	require.Len(t, h.fields, 3)
	require.Len(t, h.fields[1].value.of(win), 60<<10)
}

func TestValueGivesTheFirstField(t *testing.T) {
	wire := []byte(withFields("Cookie: a", "cookie: b"))
	var h head
	h.reset()
	done, _ := h.parseRequest(wire, &testLimits)
	require.True(t, done)
	require.Equal(t, "a", string(h.value(wire, field.Cookie)))
	require.Nil(t, h.value(wire, field.Via))
}

func TestResetForgetsAllButTheFieldsArray(t *testing.T) {
	fresh := func(fields int) head {
		var h head
		h.reset()
		lines := make([]string, fields)
		for i := range lines {
			lines[i] = "Connection: close"
		}
		lim := headLimits{startLine: 100, bytes: 1 << 20, fields: 10000}
		done, _ := h.parseRequest([]byte(withFields(lines...)), &lim)
		require.True(t, done)
		h.reset()
		return h
	}
	small := fresh(10)
	require.NotZero(t, cap(small.fields))
	small.fields = nil
	require.Equal(t, head{hintTimeout: -1, hintMax: -1}, small)

	large := fresh(2 * keptFields)
	require.Zero(t, cap(large.fields))
}
