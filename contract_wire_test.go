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
			"CVE-2022-32215 llhttp misread a folded Transfer-Encoding", "obs-fold",
		},
		"a line of the head ends in CRLF; what takes a lone LF for its end and what does not see two requests (RFC 9112 section 2.2)": {
			"CVE-2022-35256 llhttp took lines not ended by CRLF, again", "bare LF line ends in the head",
		},
		"a head is at most 64 KiB and 1000 fields by default, and its first line 16 KiB; net/http takes 1 MiB": {
			"CVE-2021-31525 net/http panicked on a very large head", "CVE-2023-24534 a head of many short fields",
			"CVE-2026-58044 fields over the limit are refused, not hidden", "a request line over the limit",
		},
		"what a chunked body may hold besides its content is bounded": {
			"CVE-2023-39326 endless chunk extensions in net/http", "CVE-2024-22019 an endless chunk extension passed Node's limits",
			"a trailer over the limit",
		},
		"a trailer field must not change the framing (RFC 9110 section 6.5.1)": {"a trailer that would change the framing"},
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
