package h1

// The wire cases of testdata/wire: raw requests, the raw answers they get,
// what the handler saw, and what becomes of the connection. Each case runs
// whole, octet by octet and cut at every offset. testdata/wire/README.md says
// how to add one.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// wireCase is one case of the files.
type wireCase struct {
	name      string
	in        string   // what the client sends
	out       string   // what it gets, dates masked
	saw       []string // the requests that reached the handler
	fate      string   // open or closed
	reason    string   // why it is closed
	codings   []string
	onlyWhole bool // whole only: long, or not defined for other cuts
}

// fixed is an IMF-fixdate (RFC 9110 section 5.6.7).
var fixedDate = regexp.MustCompile(`Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

func maskDates(wire string) string { return fixedDate.ReplaceAllString(wire, "Date: *\r\n") }

func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, c := range readWireCases(t, file) {
				t.Run(c.name, func(t *testing.T) { c.run(t) })
			}
		})
	}
}

func (c *wireCase) run(t *testing.T) {
	if c.onlyWhole {
		c.talk(t, "whole", []string{c.in})
		return
	}
	wiretest.EachCut(c.in, func(cut string, segments []string) {
		if !t.Failed() {
			c.talk(t, cut, segments)
		}
	})
}

// probe is sent behind a case that leaves the connection open. That it is
// answered, and answered as itself, shows that not one octet was left over.
const probe = "GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// talk runs the case in the given segments.
func (c *wireCase) talk(t *testing.T, cut string, segments []string) {
	t.Helper()
	out, saw, fate := c.out, c.saw, c.reason
	if c.fate == "open" {
		segments = append(segments[:len(segments):len(segments)], probe)
		out += okWire("GET /probe", "close")
		saw = append(saw[:len(saw):len(saw)], "GET /probe")
		fate = ClosePeerAsked.String()
	}
	near, far := wiretest.Pair()
	conn, err := NewServerConn(far, &ConnConfig{TransferCodings: c.codings})
	require.NoError(t, err)
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		got = serveWire(conn)
	}()
	require.NoError(t, wiretest.WriteSegments(near, segments), cut)
	if strings.HasPrefix(c.fate, "eof") {
		require.NoError(t, near.CloseWrite())
	}
	answers, err := io.ReadAll(near)
	require.NoError(t, err, "%s: after %q", cut, answers)
	require.NoError(t, near.Close())
	<-done
	require.Empty(t, cmp.Diff(out, maskDates(string(answers))), cut)
	require.Empty(t, cmp.Diff(saw, got), cut)
	require.Equal(t, fate, conn.Reason().String(), cut)
}

// serveWire answers each request with what it was, and returns them all.
// The target's last element tells what else to do.
func serveWire(c *Conn) (saw []string) {
	for {
		x, err := c.Next()
		if err != nil {
			return saw
		}
		request := fmt.Sprintf("%s %s", x.Method(), x.Target())
		if bytes.HasSuffix(x.Path(), []byte("/unread")) {
			saw = append(saw, request)
			_ = x.Reply(200, "text/plain", []byte(request))
			continue
		}
		body, err := io.ReadAll(x)
		if f, ok := errors.AsType[*fault.Error](err); ok {
			saw = append(saw, request+" failed: "+f.Code.String())
			_ = x.Reply(400, "text/plain", []byte(f.Code.String()))
			continue
		}
		if len(body) > 0 {
			request += " " + string(body)
		}
		if v := x.Trailer("T"); v != nil {
			request += " T:" + string(v)
		}
		saw = append(saw, request)
		_ = x.Reply(200, "text/plain", []byte(request))
	}
}

// okWire is the answer to a request that was accepted; option is what it says
// of the connection.
func okWire(body, option string) string { return replyWire("200 OK", "text/plain", body, option) }

func replyWire(status, contentType, body, option string) string {
	head := "HTTP/1.1 " + status + "\r\nContent-Type: " + contentType + "\r\nDate: *\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if option != "" {
		head += "Connection: " + option + "\r\n"
	}
	return head + "\r\n" + body
}

// refusedWire is the answer to a request that was refused with the code of
// that name.
func refusedWire(t *testing.T, name string) string {
	code := codeNamed(t, name)
	status, ok := map[int]string{
		400: "400 Bad Request", 408: "408 Request Timeout", 413: "413 Request Entity Too Large", 414: "414 Request URI Too Long",
		417: "417 Expectation Failed", 431: "431 Request Header Fields Too Large", 501: "501 Not Implemented",
		505: "505 HTTP Version Not Supported",
	}[code.Status()]
	require.True(t, ok, name)
	return replyWire(status, "text/plain; charset=utf-8", code.Error()+"\n", "close")
}

func codeNamed(t *testing.T, name string) fault.Code {
	t.Helper()
	for code := fault.None; code < 255; code++ {
		if code.String() == name {
			return code
		}
	}
	require.Fail(t, "no such code", name)
	return fault.None
}

// readWireCases reads a file of cases.
func readWireCases(t *testing.T, file string) []*wireCase {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var cases []*wireCase
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, &wireCase{name: name})
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		require.NotEmpty(t, cases, "%s:%d: no case yet", file, i+1)
		require.NoError(t, cases[len(cases)-1].line(t, line), "%s:%d", file, i+1)
	}
	for _, c := range cases {
		require.NotEmpty(t, c.fate, "%s: %s: no fate", file, c.name)
	}
	return cases
}

// line takes one line of a case.
func (c *wireCase) line(t *testing.T, line string) error {
	mark, text, _ := strings.Cut(line, " ")
	var raw string
	var err error
	switch mark {
	case ">":
		c.in += text + "\r\n"
	case ">|":
		raw, err = expandWire(text)
		c.in += raw
	case "<":
		c.out += text + "\r\n"
	case "<|":
		raw, err = expandWire(text)
		c.out += raw
	case "<200", "<200-close", "<200-keep":
		option := map[string]string{"<200": "", "<200-close": "close", "<200-keep": "keep-alive"}[mark]
		c.out += okWire(text, option)
		c.saw = append(c.saw, text)
	case "<400-body":
		c.out += replyWire("400 Bad Request", "text/plain", text[strings.LastIndex(text, " ")+1:], "close")
		c.saw = append(c.saw, text)
	case "<refused":
		c.out += refusedWire(t, text)
	case "saw":
		c.saw = append(c.saw, text)
	case "codings":
		c.codings = strings.Fields(text)
	case "whole":
		c.onlyWhole = true
	case "fate":
		c.fate, c.reason, _ = strings.Cut(text, " ")
	default:
		err = fmt.Errorf("unknown mark %q", mark)
	}
	return err
}

// repeats is "{N*text}" in a raw line.
var repeats = regexp.MustCompile(`\{(\d+)\*([^}]*)\}`)

// expandWire reads a raw line: Go's escapes, and "{N*text}" for N times text.
func expandWire(text string) (string, error) {
	text = repeats.ReplaceAllStringFunc(text, func(m string) string {
		parts := repeats.FindStringSubmatch(m)
		n, _ := strconv.Atoi(parts[1])
		return strings.Repeat(parts[2], n)
	})
	return strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\x22`) + `"`)
}
