package h1

// Known holes of other implementations, and where ours is shown not to have
// them. Most are wire cases (testdata/wire), named after their id.

import (
	"crypto/tls"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/h1go/h1/internal/fault"

	"github.com/stretchr/testify/require"
)

// knownBugs says for each which test is about it: a Go test, or the wire cases
// whose names begin with the id where it is empty.
var knownBugs = map[string]string{
	"CVE-2013-4450":       "TestAPipelineFloodIsNotRead",
	"CVE-2019-15605":      "",
	"CVE-2019-16276":      "",
	"CVE-2019-20372":      "",
	"CVE-2019-5737":       "TestAHeadHasToComeInTime",
	"CVE-2019-5739":       "TestIdleness", // and TestTheLongestIdleMakeRoomWhenDescriptorsRunOut
	"CVE-2020-15586":      "TestReadingBesideWriting",
	"CVE-2020-35863":      "",
	"CVE-2020-8201":       "",
	"CVE-2020-8287":       "",
	"CVE-2021-21299":      "",
	"CVE-2021-22959":      "",
	"CVE-2021-22960":      "",
	"CVE-2021-31525":      "",
	"CVE-2021-32714":      "",
	"CVE-2021-32715":      "",
	"CVE-2021-38512":      "",
	"CVE-2022-1705":       "TestAnswersOfUnknownFramingAreRefused",
	"CVE-2022-21221":      "",
	"CVE-2022-32213":      "",
	"CVE-2022-32214":      "",
	"CVE-2022-32215":      "",
	"CVE-2022-35256":      "",
	"CVE-2022-40082":      "", // hertz; its class is that of CVE-2022-21221
	"CVE-2023-24534":      "",
	"CVE-2023-29406":      "TestRequestThatCannotBeSentIsRefusedAndItsBodyClosed",
	"CVE-2023-30589":      "",
	"CVE-2023-39326":      "",
	"CVE-2024-22019":      "",
	"CVE-2024-24791":      "TestExpectContinue",
	"CVE-2024-27982":      "",
	"CVE-2025-22871":      "",
	"CVE-2025-23167":      "",
	"CVE-2025-58186":      "TestCookiesAreBoundedByTheHead",
	"CVE-2025-61724":      "TestWorkIsLinearForASlowSender",
	"CVE-2026-1642":       "TestPlainServerBehindHTTPSIsToldApart",
	"CVE-2026-21710":      "",
	"CVE-2026-42507":      "TestLogLinesShowThePeersOctetsEscaped",
	"CVE-2026-48931":      "TestIdleConnectionIsLookedAtBeforeItIsUsedAgain",
	"CVE-2026-56853":      "TestAHeadHasToComeInTime",
	"CVE-2026-58044":      "",
	"GHSA-35p6-xmwp-9g52": "TestIdleConnectionIsLookedAtBeforeItIsUsedAgain",
	"GO-2026-4950":        "",
	"go#11549":            "",
	"go#51614":            "TestLineEndsBetweenRequestsBeginNone",
	"go#61679":            "",
	"go#64517":            "",
	"go#65244":            "",
	"PR#1490":             "",
	"PR#1703":             "",
	"PR#1719":             "",
	"PR#1899":             "",
	"Deno PR#34446":       "",
	"h11 0.16.0":          "",
	"nginx 1.17.4":        "",
	"nginx 1.17.9":        "",
	"nginx 1.21.1":        "",
	"nginx 1.21.2":        "",
	"nginx 1.29.4":        "",
}

func TestEachKnownBugHasItsTest(t *testing.T) {
	cases := wireCaseNames(t)
	tests := testNames(t)
	for id, test := range knownBugs {
		if test != "" {
			require.Contains(t, tests, test, id)
			continue
		}
		require.True(t, strings.Contains(cases, "\n== "+id+" "), "no wire case is named after %s", id)
	}
}

func wireCaseNames(t *testing.T) string {
	var all strings.Builder
	files, err := filepath.Glob("testdata/wire/*.txt")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

func testNames(t *testing.T) map[string]bool {
	names := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// CVE-2025-58186: net/http's cookies of one field were without limit. What a
// head may hold limits them here.
func TestCookiesAreBoundedByTheHead(t *testing.T) {
	var cookies int
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cookies = len(r.Cookies()) })}
	v := serveOne(t, s)
	v.Send(get("/", "Cookie: "+strings.Repeat("a=;", 2000)))
	v.ExpectHead("HTTP/1.1 200 OK")
	require.Equal(t, 2000, cookies)
	v.Send(get("/", "Cookie: "+strings.Repeat("a=;", 30000)))
	v.ExpectHead("HTTP/1.1 431 Request Header Fields Too Large", "Connection: close")
}

// dirty is what a log must not show as it is.
const dirty = "\x1b[31mred\x07\x00\u202e\xff"

// hostile are requests whose octets would do harm in a log.
var hostile = map[string]string{
	"method":            "GE" + dirty + "T / HTTP/1.1\r\nHost: h\r\n\r\n",
	"target":            "GET /" + dirty + " HTTP/1.1\r\nHost: h\r\n\r\n",
	"version":           "GET / HTTP/1.1" + dirty + "\r\nHost: h\r\n\r\n",
	"name":              get("/", "X"+dirty+": y"),
	"value":             get("/", "X: "+dirty),
	"line":              get("/", dirty),
	"host":              "GET / HTTP/1.1\r\nHost: " + dirty + "\r\n\r\n",
	"length":            get("/", "Content-Length: 1"+dirty),
	"coding":            get("/", "Transfer-Encoding: "+dirty),
	"chunk size":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + dirty + "\r\n",
	"chunk extension":   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + dirty + "\r\nx\r\n0\r\n\r\n",
	"trailer":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + dirty + ": x\r\n\r\n",
	"a TLS handshake":   "\x16\x03\x01" + dirty + "\r\n\r\n",
	"percent encodings": "GET /%0a%1b[31m%zz HTTP/1.1\r\nHost: h\r\n\r\n",
	"expectation":       get("/", "Expect: "+"%1b[31m"),
}

// CVE-2026-42507: what the peer sends stood unescaped in error texts, and from
// there in logs.
func TestLogLinesShowThePeersOctetsEscaped(t *testing.T) {
	for name, request := range hostile {
		t.Run(name, func(t *testing.T) {
			var errs, text lockedBuffer
			executed := 0
			s := &Server{
				ErrorLog: log.New(&errs, "", 0),
				Logger:   slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					executed++
					_, err := io.Copy(io.Discard, r.Body)
					require.Error(t, err)
					http.Error(w, err.Error(), 400)
				}),
			}
			v := serveOne(t, s)
			v.Send(request + get("/smuggled"))
			v.SendFIN()
			answer, err := io.ReadAll(v)
			require.NoError(t, err)
			require.Regexp(t, `^HTTP/1\.1 [45]\d\d `, string(answer))
			require.Equal(t, 1, strings.Count(string(answer), "HTTP/1.1 "), "one answer: %q", answer)
			require.LessOrEqual(t, executed, 1)
			info := v.over()
			require.Equal(t, CloseBadPeer, info.Reason)
			requireClean(t, info.Err.Error())
			requireClean(t, strings.TrimSuffix(errs.String(), "\n"))
			requireClean(t, strings.TrimSuffix(text.String(), "\n"), "µ") // of a duration
			require.Contains(t, text.String(), "bad_peer")
			requireClean(t, strings.ReplaceAll(string(answer), "\r\n", ""), "\n")
		})
	}
}

// requireClean wants printable ASCII and nothing else but what is allowed.
func requireClean(t *testing.T, s string, allowed ...string) {
	t.Helper()
	for _, a := range allowed {
		s = strings.ReplaceAll(s, a, "")
	}
	for _, r := range s {
		require.True(t, r < 0x7f && unicode.IsPrint(r), "%q in %q", r, s)
	}
}

// A client of a Unix socket names its own end, which errors show.
func TestLogLinesShowAClientsAddressEscaped(t *testing.T) {
	dir, err := os.MkdirTemp("", "h1") // socket names are short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	var errs lockedBuffer
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	ends := make(chan ConnInfo, 1)
	start(t, &Server{ErrorLog: log.New(&errs, "", 0), Handler: echoPath, OnConn: onClosed(ends)}, l)
	nc, err := net.DialUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "c\nh1: all is well\x1b"), Net: "unix"},
		&net.UnixAddr{Name: l.Addr().String(), Net: "unix"})
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "\x16\x03\x01\x00\x10\r\n")
	require.NoError(t, err)
	require.NoError(t, nc.CloseWrite())
	require.ErrorIs(t, (<-ends).Err, fault.TLSOnPlain)
	require.Contains(t, errs.String(), "TLS handshake")
	requireClean(t, strings.TrimSuffix(errs.String(), "\n"))
}

// A TLS client chooses names that handshake errors show.
func TestLogLinesOfFailedHandshakesAreEscaped(t *testing.T) {
	cert, _ := certificate(t)
	var errs lockedBuffer
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{ErrorLog: log.New(&errs, "", 0), Handler: echoPath, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"},
	}}
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	_, err = tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"a\nb\x1b[31m"}})
	require.Error(t, err)
	require.Eventually(t, func() bool { return errs.String() != "" }, 10*time.Second, time.Millisecond)
	requireClean(t, strings.TrimSuffix(errs.String(), "\n"))
	require.Contains(t, errs.String(), `\x1b`)
}
