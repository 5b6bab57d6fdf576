package wiretest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// Play runs a conversation written as text over one end of a connection:
//
//	> GET / HTTP/1.1        sent, with CRLF at its end
//	> Host: example.com
//	>
//	< HTTP/1.1 200 OK       expected, with CRLF at its end
//	< Date: *               "*" stands for any octets of the line
//	<
//	<| hello                expected as it stands, without a line end
//	>| \x00\r               sent so; Go's escapes count after "|"
//	>.                      a FIN is sent
//	<.                      the end of the stream is expected
//	<!                      a reset is expected
//
// Lines sent one after another leave in one Write; an empty line of the script
// between them makes them two. White space before the mark and lines
// that start with "#" do not count.
func Play(t testing.TB, c net.Conn, script string) {
	t.Helper()
	k := NewTalk(t, c)
	steps, err := parseScript(script)
	if err != nil {
		t.Fatalf("script: %v", err)
		return
	}
	for _, s := range steps {
		s.run(k)
	}
}

type stepKind uint8

const (
	stepSend stepKind = iota
	stepSendFIN
	stepExpect
	stepExpectLine
	stepExpectEOF
	stepExpectReset
	stepPause // an empty line of the script
)

type step struct {
	kind stepKind
	text string
}

func (s step) run(k *Talk) {
	k.t.Helper()
	switch s.kind {
	case stepSend:
		k.Send(s.text)
	case stepSendFIN:
		k.SendFIN()
	case stepExpect:
		k.Expect(s.text)
	case stepExpectLine:
		k.ExpectLine(s.text)
	case stepExpectEOF:
		k.ExpectEOF()
	case stepExpectReset:
		k.ExpectReset()
	}
}

func parseScript(script string) ([]step, error) {
	var steps []step
	for i, line := range strings.Split(script, "\n") {
		line = strings.TrimLeft(line, " \t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if n := len(steps); s.kind == stepSend && n > 0 && steps[n-1].kind == stepSend {
			steps[n-1].text += s.text
			continue
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string) (step, error) {
	switch line {
	case "":
		return step{kind: stepPause}, nil
	case ">.":
		return step{kind: stepSendFIN}, nil
	case "<.":
		return step{kind: stepExpectEOF}, nil
	case "<!":
		return step{kind: stepExpectReset}, nil
	}
	mark, text, _ := strings.Cut(line, " ")
	switch mark {
	case ">":
		return step{stepSend, text + "\r\n"}, nil
	case "<":
		return step{stepExpectLine, text}, nil
	case ">|", "<|":
		raw, err := unescape(text)
		if err != nil {
			return step{}, err
		}
		if mark == ">|" {
			return step{stepSend, raw}, nil
		}
		return step{stepExpect, raw}, nil
	}
	return step{}, fmt.Errorf("no mark at the start of %q", line)
}

// unescape reads Go's escapes; quotes need none.
func unescape(text string) (string, error) {
	raw, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\x22`) + `"`)
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return raw, nil
}
