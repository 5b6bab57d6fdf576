package wiretest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long an Expect waits unless the test says otherwise. It only
// bounds a test that fails, so it is long.
const patience = 30 * time.Second

// Talk speaks raw text over a connection, and fails the test at the first
// octet that is not the one expected. What was read and not yet expected is
// kept for the next call.
type Talk struct {
	// Patience is how long each Expect waits for what it expects. In a
	// testing/synctest bubble it passes in fake time.
	Patience time.Duration

	t    testing.TB
	c    net.Conn
	have []byte // read from c, not expected yet
}

// NewTalk returns a Talk over one end of a connection.
func NewTalk(t testing.TB, c net.Conn) *Talk {
	return &Talk{Patience: patience, t: t, c: c}
}

// Send writes the text in one Write.
func (k *Talk) Send(text string) {
	k.t.Helper()
	if _, err := io.WriteString(k.c, text); err != nil {
		k.t.Fatalf("sending %q: %v", text, err)
	}
}

// SendFIN half-closes the connection.
func (k *Talk) SendFIN() {
	k.t.Helper()
	h, ok := k.c.(interface{ CloseWrite() error })
	if !ok {
		k.t.Fatalf("%T has no CloseWrite", k.c)
		return
	}
	if err := h.CloseWrite(); err != nil {
		k.t.Fatalf("sending a FIN: %v", err)
	}
}

// Expect reads exactly the text. It fails at the first octet that differs, and
// does not wait for octets that can no longer make it right.
func (k *Talk) Expect(text string) {
	k.t.Helper()
	for len(k.have) < len(text) && strings.HasPrefix(text, string(k.have)) {
		if err := k.more(); err != nil {
			k.t.Fatalf("expected %q, got %q, then: %v", text, k.have, err)
			return
		}
	}
	if !bytes.HasPrefix(k.have, []byte(text)) {
		k.t.Fatalf("expected %q, got %q", text, k.have)
		return
	}
	k.have = k.have[len(text):]
}

// ExpectLine reads one line with its CRLF, and returns it without. A "*" in
// the text stands for any octets of the line, as a date needs; the first one
// only.
func (k *Talk) ExpectLine(text string) string {
	k.t.Helper()
	line, err := k.until("\r\n")
	if err != nil {
		k.t.Fatalf("expected the line %q, got %q, then: %v", text, k.have, err)
		return ""
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !matches(text, line) {
		k.t.Fatalf("expected the line %q, got %q", text, line)
	}
	return line
}

// ExpectHead reads a message head up to its empty line, and returns it whole.
// The first line must be startLine, and each of the fields must be among the
// field lines. All of them may use the "*" of ExpectLine.
func (k *Talk) ExpectHead(startLine string, fields ...string) string {
	k.t.Helper()
	head, err := k.until("\r\n\r\n")
	if err != nil {
		k.t.Fatalf("expected a head that starts with %q, got %q, then: %v", startLine, k.have, err)
		return ""
	}
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	if !matches(startLine, lines[0]) {
		k.t.Fatalf("expected the start line %q, got the head %q", startLine, head)
	}
	for _, f := range fields {
		if !anyMatches(f, lines[1:]) {
			k.t.Fatalf("expected the field line %q in the head %q", f, head)
		}
	}
	return head
}

// ExpectEOF reads the end of the stream, with nothing before it.
func (k *Talk) ExpectEOF() {
	k.t.Helper()
	if err := k.drained(); err != io.EOF {
		k.t.Fatalf("expected the end of the stream, got %q, %v", k.have, err)
	}
}

// ExpectReset reads a reset connection, with nothing before it.
func (k *Talk) ExpectReset() {
	k.t.Helper()
	if err := k.drained(); !errors.Is(err, syscall.ECONNRESET) {
		k.t.Fatalf("expected a reset, got %q, %v", k.have, err)
	}
}

// ExpectSilence checks that nothing arrives for as long as d, neither octets
// nor an end. It is meant for fake time; in real time it waits.
func (k *Talk) ExpectSilence(d time.Duration) {
	k.t.Helper()
	before := k.Patience
	k.Patience = d
	err := k.drained()
	k.Patience = before
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		k.t.Fatalf("expected silence for %v, got %q, %v", d, k.have, err)
	}
}

// Read gives what was read and not expected, then what the connection gives,
// so that a parser of the test's choice can take over.
func (k *Talk) Read(p []byte) (int, error) {
	if len(k.have) > 0 {
		n := copy(p, k.have)
		k.have = k.have[n:]
		return n, nil
	}
	return k.c.Read(p)
}

// drained reads once if nothing is left over; nil means that there are octets.
func (k *Talk) drained() error {
	if len(k.have) > 0 {
		return nil
	}
	return k.more()
}

// until takes what was read up to and including the end mark.
func (k *Talk) until(end string) (string, error) {
	for {
		if i := bytes.Index(k.have, []byte(end)); i >= 0 {
			text := string(k.have[:i+len(end)])
			k.have = k.have[i+len(end):]
			return text, nil
		}
		if err := k.more(); err != nil {
			return "", err
		}
	}
}

// more reads once, within the patience.
func (k *Talk) more() error {
	if err := k.c.SetReadDeadline(time.Now().Add(k.Patience)); err != nil {
		return err
	}
	var p [4096]byte
	n, err := k.c.Read(p[:])
	k.c.SetReadDeadline(time.Time{})
	k.have = append(k.have, p[:n]...)
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func matches(pattern, line string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == line
	}
	return len(line) >= len(before)+len(after) &&
		strings.HasPrefix(line, before) && strings.HasSuffix(line, after)
}

func anyMatches(pattern string, lines []string) bool {
	for _, l := range lines {
		if matches(pattern, l) {
			return true
		}
	}
	return false
}
