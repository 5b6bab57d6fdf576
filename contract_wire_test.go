package h1

// The wire cases of testdata/wire on net/http's server as well: what each of
// them takes, refuses and does with the connection. Where the two differ, the
// reason is here.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// wireDiffers says why h1 treats a wire case in another way than net/http.
var wireDiffers = func() map[string]string {
	differs := map[string]string{}
	for why, names := range map[string][]string{
		"both lengths of a body at once let two parties see two messages; h1 refuses the request (RFC 9112 section 6.3, step 3)": {
			"PR#1719 fasthttp took both length and coding", "PR#1490 hertz took both length and coding, in HTTP/1.0 too",
			"nginx 1.21.1 both Content-Length and Transfer-Encoding", "both Content-Length and Transfer-Encoding",
		},
		"HTTP/1.0 has no Transfer-Encoding, so the body's end is not known (RFC 9112 section 6.1)": {
			"nginx 1.21.2 Transfer-Encoding in HTTP/1.0",
		},
		"codings that do not end in chunked, or have it twice, are a bad request; 501 is for a coding that could be known (RFC 9112 sections 6.1 and 6.3)": {
			"CVE-2021-21299 hyper read several Transfer-Encoding fields as chunked", "CVE-2020-8287 Node ignored the second Transfer-Encoding",
			"CVE-2022-32213 llhttp did not read Transfer-Encoding to its end", "chunked twice", "Transfer-Encoding: xchunked",
		},
		"a folded field line is refused (RFC 9112 section 5.2)": {
			"CVE-2022-32215 llhttp misread a folded Transfer-Encoding", "obs-fold", "a folded trailer field",
		},
		"a line of the head or the trailer section ends in CRLF; what takes a lone LF for its end and what does not see two requests (RFC 9112 section 2.2)": {
			"CVE-2022-35256 llhttp took lines not ended by CRLF, again", "bare LF line ends in the head", "bare LF ends a trailer field",
		},
		"a head is at most 64 KiB and 1000 fields by default, and its first line 16 KiB; net/http takes 1 MiB": {
			"CVE-2021-31525 net/http panicked on a very large head", "CVE-2023-24534 a head of many short fields",
			"CVE-2026-58044 fields over the limit are refused, not hidden", "a request line over the limit",
		},
		"what a chunked body may hold besides its content is bounded": {
			"CVE-2023-39326 endless chunk extensions in net/http", "CVE-2024-22019 an endless chunk extension passed Node's limits",
			"a trailer over the limit",
		},
		"a trailer field must not change the framing, nor whom the request is for (RFC 9110 section 6.5.1)": {
			"a trailer that would change the framing", "Host in the trailer section",
		},
		"white space before a colon is refused in the trailer section as in the head (RFC 9112 section 5.1)": {
			"a space before a trailer field's colon",
		},
		"a chunk's line follows its grammar to the end, in its extensions too, and an extension may stand behind white space (RFC 9112 section 7.1.1)": {
			"white space behind a chunk size", "white space before a chunk extension", "a chunk extension without a name", "NUL in a chunk extension",
		},
		"a chunk size may have zeros in front, and is refused at once where no integer holds it (RFC 9112 section 7.1)": {
			"zeros before a chunk size", "a chunk size that no integer holds",
		},
		"Host follows its grammar (RFC 9112 section 3.2): who takes such a one apart in another way sends the request to another host": {
			"a port that is no number", "an IPv6 address without brackets", "a bracket without end in Host",
		},
		"a target has no fragment (RFC 9112 section 3.2): what follows \"#\" is path to one party and nothing to another": {
			"a fragment in the target",
		},
		"an http URI has a host, and no user information (RFC 9110 sections 4.2.1 and 4.2.4)": {
			"an http URI without a host", "an http URI with an empty host", "an http URI with user information",
		},
		"CONNECT has host and port for its target (RFC 9112 section 3.2.3); net/rpc's DialHTTP, whose lines end in LF besides, needs net/http's Server": {
			"CONNECT of a path, as net/rpc's client asks", "CONNECT without a port", "CONNECT of an absolute URI",
		},
		"HTTP/2 comes by TLSNextProto, and not in clear text, so that golang.org/x/net/http2/h2c does not see its preface": {
			"HTTP/2 by prior knowledge",
		},
		"an expectation that nobody knows is not met because another one is (RFC 9110 section 10.1.1)": {
			"a known expectation among others",
		},
		"a body that comes unasked needs no 100 (RFC 9110 section 10.1.1)":     {"a body that comes with its expectation"},
		"the target * is for OPTIONS (RFC 9112 section 3.2.4)":                 {"asterisk-form is for OPTIONS only"},
		"a client that speaks TLS to a plain port is told so at once":          {"a TLS handshake on a plain port"},
		"close comes before keep-alive (RFC 9112 section 9.3)":                 {"HTTP/1.0 with keep-alive and with close"},
		"an empty line before a request is passed over (RFC 9112 section 2.2)": {"blank line before the request line"},
	} {
		for _, name := range names {
			differs[name] = why
		}
	}
	return differs
}()

// fareOf is what came of raw octets: the requests that a handler saw, the
// statuses, and the connection's fate.
func fareOf(t *testing.T, in string, serve func(net.Listener, http.Handler) (stop func())) string {
	var out []string
	l := wiretest.Listen()
	stop := serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = fmt.Fprintf(w, "%s %s %.20q", r.Method, r.RequestURI, body)
	}))
	defer stop()
	nc, err := l.Dial(context.Background())
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	go func() { _, _ = io.WriteString(nc, in) }()
	_ = nc.SetReadDeadline(time.Now().Add(time.Second)) // fake time: it is silent from then on
	raw, err := io.ReadAll(nc)
	fate := "open"
	if err == nil {
		fate = "closed"
	}
	for r := bufio.NewReader(strings.NewReader(string(raw))); ; {
		method := "GET"
		if strings.HasPrefix(in, "HEAD ") {
			method = "HEAD"
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			break
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusOK {
			body = nil // each has words of its own
		}
		out = append(out, strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", string(body))))
	}
	return strings.Join(append(out, fate), ", ")
}

func byNetHTTPs(l net.Listener, h http.Handler) func() {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Close() }
}

func byOurs(l net.Listener, h http.Handler) func() {
	s := &Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Close() }
}

func TestRawRequestsFareAsWithNetHTTP(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, file := range files {
		for _, c := range readWireCases(t, file) {
			if c.codings != nil {
				continue // net/http has none to enable
			}
			inBubble(t, c.name, func(t *testing.T) {
				theirs, ours := fareOf(t, c.in, byNetHTTPs), fareOf(t, c.in, byOurs)
				why, differs := wireDiffers[c.name]
				listed[c.name] = differs
				if differs {
					require.NotEqual(t, theirs, ours, "no longer a difference")
					require.NotEmpty(t, why)
				} else {
					require.Equal(t, theirs, ours, "net/http against h1")
				}
			})
		}
	}
	for name := range wireDiffers {
		require.True(t, listed[name], "no such case: %s", name)
	}
}
