package h1

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/h1go/h1/internal/octet"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
)

// headOf is the head as it goes on the wire.
func headOf(req *http.Request, opt *askOptions) (string, error) {
	set, err := (&ConnConfig{}).resolve(ClientRole)
	if err != nil {
		return "", err
	}
	a, err := set.ask(req, opt)
	if err != nil {
		return "", err
	}
	defer a.sent()
	return string(a.head), nil
}

func TestFieldsAreWrittenInTheOrderOfTheirNames(t *testing.T) {
	const line = "GET /a?b=c HTTP/1.1\r\nHost: h.example\r\n"
	many, all := http.Header{}, ""
	for i := range 26 {
		name := "X-" + string(rune('A'+i))
		many.Set(name, "v")
		all += name + ": v\r\n"
	}
	tests := map[string]struct {
		header http.Header
		opt    askOptions
		want   string
	}{
		"none":                   {nil, askOptions{}, "User-Agent: Go-h1-client/1.1\r\n"},
		"by name":                {http.Header{"B": {"2"}, "C": {"3", "4"}, "A": {"1"}}, askOptions{}, "User-Agent: Go-h1-client/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\nC: 4\r\n"},
		"more than are few":      {many, askOptions{}, "User-Agent: Go-h1-client/1.1\r\n" + all},
		"white space around":     {http.Header{"A": {" \t1 2\t", "", " "}}, askOptions{}, "User-Agent: Go-h1-client/1.1\r\nA: 1 2\r\nA: \r\nA: \r\n"},
		"what h1 writes":         {http.Header{"host": {"x"}, "Content-Length": {"9"}, "transfer-ENCODING": {"x"}, "Trailer": {"T"}}, askOptions{}, "User-Agent: Go-h1-client/1.1\r\n"},
		"its own agent":          {http.Header{"User-Agent": {"me"}}, askOptions{}, "User-Agent: me\r\n"},
		"no agent":               {http.Header{"User-Agent": {""}}, askOptions{}, ""},
		"gzip":                   {http.Header{"B": {"2"}}, askOptions{gzip: true}, "User-Agent: Go-h1-client/1.1\r\nB: 2\r\nAccept-Encoding: gzip\r\n"},
		"no list of codings":     {http.Header{"Accept-Encoding": nil}, askOptions{gzip: true}, "User-Agent: Go-h1-client/1.1\r\nAccept-Encoding: gzip\r\n"},
		"its own coding":         {http.Header{"Accept-Encoding": {"br"}}, askOptions{gzip: true}, "User-Agent: Go-h1-client/1.1\r\nAccept-Encoding: br\r\n"},
		"credentials":            {nil, askOptions{proxyAuth: "Basic x"}, "User-Agent: Go-h1-client/1.1\r\nProxy-Authorization: Basic x\r\n"},
		"credentials of its own": {http.Header{"Proxy-Authorization": {"y"}}, askOptions{proxyAuth: "Basic x"}, "User-Agent: Go-h1-client/1.1\r\nProxy-Authorization: y\r\n"},
		"close and an option":    {http.Header{"Connection": {"X, close"}, "X": {"1"}}, askOptions{}, "User-Agent: Go-h1-client/1.1\r\nConnection: close, X\r\nX: 1\r\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest("GET", "http://h.example/a?b=c", nil)
			require.NoError(t, err)
			req.Header = tt.header
			got, err := headOf(req, &tt.opt)
			require.NoError(t, err)
			require.Equal(t, line+tt.want+"\r\n", got)
		})
	}
}

// A query with letters outside ASCII in it was refused, which programs write all the
// time and net/http sends as it is. Escaped it is the same to a server.
func TestLettersInATargetAreEscaped(t *testing.T) {
	tests := map[string]string{
		"http://h/?q=münchen":       "/?q=m%C3%BCnchen",
		"http://h/ü?q=%C3%BC+ü":     "/%C3%BC?q=%C3%BC+%C3%BC",
		"http://h/?q=\xff\x80":      "/?q=%FF%80",
		"http://h/?q={\"a\":[1|2]}": "/?q={\"a\":[1|2]}", // none of these ends a target
	}
	for raw, want := range tests {
		for _, opt := range []*askOptions{nil, {absolute: true}} {
			req, err := http.NewRequest("GET", raw, nil)
			require.NoError(t, err)
			head, err := headOf(req, opt)
			require.NoError(t, err)
			line, _, _ := strings.Cut(head, "\r\n")
			if opt != nil {
				line = strings.Replace(line, "http://h", "", 1)
			}
			require.Equal(t, "GET "+want+" HTTP/1.1", line)
		}
	}
	_, err := headOf(&http.Request{Method: "GET", URL: &url.URL{Host: "h", RawQuery: "ü\r\nX: y"}, Host: "h"}, nil)
	require.ErrorContains(t, err, "invalid request target")
	_, err = headOf(&http.Request{Method: "CONNECT", URL: &url.URL{Opaque: "ü:443"}, Host: "h"}, nil)
	require.ErrorContains(t, err, "invalid request target") // an authority is not escaped
}

// A path without a slash used to go out as it was. Behind what a proxy is sent of
// the host it named another one.
func TestAPathBeginsWithASlash(t *testing.T) {
	for path, want := range map[string]string{"": "/", "a/b": "/a/b", "@evil": "/@evil", ".evil/x": "/.evil/x", ":1/": "/:1/", "//x": "//x"} {
		for _, opt := range []*askOptions{nil, {absolute: true}} {
			head, err := headOf(&http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: "h", Path: path}, Host: "h"}, opt)
			require.NoError(t, err)
			line, _, _ := strings.Cut(head, "\r\n")
			if opt != nil {
				want = "http://h" + want
			}
			require.Equal(t, "GET "+want+" HTTP/1.1", line)
		}
	}
}

// The target is written piece by piece; it is the one that net/url makes, but for
// letters outside ASCII and a path without a slash.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"http://h/", "http://h", "http://h/a b?c d", "http://h/%2f?", "http://h?q", "http://h/a?b=c#d", "http:opaque?x",
		"http://h/*", "*", "//h//x", "0", "a?b", "http://h/%zz", "/a\x7f", "http://h/ü?ü", "x:/y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			t.Skip("no URL")
		}
		head, err := headOf(&http.Request{URL: u, Host: "h"}, nil)
		var b strings.Builder
		for _, c := range []byte(u.RequestURI()) {
			if c < 0x80 {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		want := b.String()
		if u.Opaque == "" && !strings.HasPrefix(want, "/") && u.EscapedPath() != "*" {
			want = "/" + want
		}
		if !octet.IsTarget([]byte(want)) {
			require.ErrorContains(t, err, "invalid request target")
			return
		}
		require.NoError(t, err)
		line, _, _ := strings.Cut(head, "\r\n")
		require.Equal(t, "GET "+want+" HTTP/1.1", line)
	})
}

// What passes for an address as it is needs none of the steps that others take.
func FuzzPlainAuthority(f *testing.F) {
	for _, s := range []string{"h:80", "a.example:8080", "1.2.3.4:1", "[::1]:80", "H:80", "h", "h:", ":80", "ü:80", "h%zone:80", "a-b:1", "h:80:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !plainAuthority(s) {
			t.Skip("not plain")
		}
		host, err := httpguts.PunycodeHostPort(withoutZone(s))
		require.NoError(t, err)
		require.Equal(t, s, host)
		require.True(t, httpguts.ValidHostHeader(host))
		addr, err := addrOf(&url.URL{Host: s}, "80")
		require.NoError(t, err)
		require.Equal(t, s, addr)
	})
}
