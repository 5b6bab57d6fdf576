package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// The fuzz targets state two invariants. First: however the octets are cut,
// the outcome is that of the whole. Second: what h1 accepts, net/http accepts
// too and reads alike, but for the differences named below.

// checkCuts parses wire whole and in pieces: each octet of cuts is the length
// of one piece, less one.
func checkCuts(t *testing.T, parse parseFunc, wire, cuts []byte) view {
	t.Helper()
	want := parsePieces(parse, [][]byte{wire}, &testLimits)
	var pieces [][]byte
	rest := wire
	for _, c := range cuts {
		n := min(int(c)+1, len(rest))
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	got := parsePieces(parse, append(pieces, rest), &testLimits)
	if !reflect.DeepEqual(want, got) { // quicker than cmp.Diff
		t.Fatalf("%q in pieces %v (-whole +pieces):\n%s", wire, cuts, cmp.Diff(want, got))
	}
	return want
}

// accepted tells whether a head was parsed to its end.
func accepted(v view) bool { return v.Code == fault.None && v.Size >= 0 }

// framed tells whether the head has a field that net/http's readers judge, and
// perhaps refuse, together with the body; h1 does so in framing.go.
func framed(v view) bool { return v.Lengths > 0 || v.Codings > 0 }

func seedHeads(f *testing.F, section string, more ...string) {
	for _, wire := range more {
		f.Add([]byte(wire), []byte{0, 3, 14, 0, 0, 1, 30})
	}
	for _, tables := range []map[string][]refusal{refusals(), limitRefusals()} {
		for _, row := range tables[section] {
			f.Add([]byte(row.wire), []byte{7, 0, 0, 9})
		}
	}
}

func FuzzRequestHead(f *testing.F) {
	seedHeads(f, "request", string(benchRequest),
		"\r\n\r\nOPTIONS * HTTP/1.0\r\nPragma: no-cache\r\n\r\n",
		"CONNECT [::1%25a]:443 HTTP/1.1\r\nHost:\r\nConnection: close, te\r\nKeep-Alive: timeout=\"5\", max=6\r\n\r\n",
		"GET http://a%41:80/b?c HTTP/1.9\r\nhost: x\r\nExpect: 100-continue\r\nTrailer: a\r\n\r\n",
		"GET urn:a HTTP/1.1\r\nHost: \t \r\nX:\t\xe9 \t\r\nCookie: a=b\r\ncookie: c\r\n\r\nNEXT")
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		got := checkCuts(t, (*head).parseRequest, wire, cuts)
		if accepted(got) && !framed(got) && !uriRefusedByNetURL(got) {
			compareRequest(t, got, wire[:got.Size])
		}
	})
}

// uriRefusedByNetURL tells the one difference over targets: net/url looks into
// them, at percent-encodings and at addresses in
// brackets. To h1 they are octets like others; who needs a *url.URL parses it.
func uriRefusedByNetURL(v view) bool {
	target := v.Target
	if v.Form == formAuthority {
		target = "http://" + target
	}
	_, err := url.ParseRequestURI(target)
	return err != nil
}

func compareRequest(t *testing.T, got view, wire []byte) {
	t.Helper()
	// Difference: net/http takes no empty line before the request line.
	for bytes.HasPrefix(wire, []byte("\r\n")) {
		wire = wire[2:]
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		t.Fatalf("%q is accepted; net/http: %v", wire, err)
	}
	host := got.Host
	if u := req.URL; u.Host != "" {
		host = unescapedHost(host)
	}
	want := []string{req.Method, req.RequestURI, req.Host}
	if diff := cmp.Diff(want, []string{got.Method, got.Target, host}); diff != "" {
		t.Fatalf("%q (-net/http +h1):\n%s", wire, diff)
	}
	compareFields(t, got, req.Header, "Host")
}

// unescapedHost is a target's authority as *url.URL has it. Difference: h1
// hands it on as it came.
func unescapedHost(host string) string {
	u, err := url.Parse("http://" + host)
	if err != nil {
		return host
	}
	return u.Host
}

func FuzzResponseHead(f *testing.F) {
	seedHeads(f, "response", string(benchResponse),
		"HTTP/1.1 200\r\n\r\n",
		"HTTP/1.0 999 \t \xe9\r\nPragma: no-cache\r\nVia:\r\n\r\nNEXT",
		"HTTP/1.1 304 Not Modified\r\nHost: a b\r\nConnection: close\r\nETag: \"x\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		got := checkCuts(t, (*head).parseResponse, wire, cuts)
		if accepted(got) && !framed(got) {
			compareResponse(t, got, wire[:got.Size])
		}
	})
}

func compareResponse(t *testing.T, got view, wire []byte) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(wire)), nil)
	if err != nil {
		t.Fatalf("%q is accepted; net/http: %v", wire, err)
	}
	if resp.StatusCode != got.Status {
		t.Fatalf("%q: status %d, net/http %d", wire, got.Status, resp.StatusCode)
	}
	// Difference: net/http trims the end of the line, and the start behind the
	// code; h1 hands the reason on as it came.
	_, reason, _ := strings.Cut(resp.Status, " ")
	if strings.Trim(reason, " \t") != strings.Trim(got.Reason, " \t") {
		t.Fatalf("%q: reason %q, net/http %q", wire, got.Reason, reason)
	}
	compareFields(t, got, resp.Header, "")
}

func FuzzTrailer(f *testing.F) {
	seedHeads(f, "trailer", "\r\n", "Digest: a\r\nexpires:\t\r\nTE: x\r\n\r\nNEXT")
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		got := checkCuts(t, (*head).parseTrailer, wire, cuts)
		if !accepted(got) {
			return
		}
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(wire[:got.Size])))
		header, err := r.ReadMIMEHeader()
		if err != nil && err != io.EOF {
			t.Fatalf("%q is accepted; net/textproto: %v", wire, err)
		}
		compareFields(t, got, http.Header(header), "")
	})
}

// compareFields wants got to have the fields of header, apart from one that
// net/http keeps elsewhere.
func compareFields(t *testing.T, got view, header http.Header, elsewhere string) {
	t.Helper()
	fields := http.Header{}
	for _, f := range got.Fields {
		if key := field.Canonical([]byte(f.Name)); key != elsewhere {
			fields[key] = append(fields[key], f.Value)
		}
	}
	// Difference: net/http adds what an old client means by Pragma.
	if p := fields["Pragma"]; len(p) > 0 && p[0] == "no-cache" && fields["Cache-Control"] == nil {
		fields["Cache-Control"] = []string{"no-cache"}
	}
	// Difference: net/http's reader of responses takes out a Connection that
	// closes.
	if header["Connection"] == nil && got.Options&optClose != 0 {
		delete(fields, "Connection")
	}
	if diff := cmp.Diff(header, fields); diff != "" && len(header)+len(fields) > 0 {
		t.Fatalf("fields (-net/http +h1):\n%s", diff)
	}
}
