package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// golden is every code's name, and the status that a server answers. Programs
// compare names and operators count them: a name may be added, but none may
// change.
const golden = `
none 0
bad_method 400
bad_target 400
bad_version 400
version_unsupported 505
http09 400
request_line_too_long 414
bad_status_line 502
bad_status_code 502
tls_on_plain 400
bare_lf 400
bare_cr 400
obs_fold 400
space_before_colon 400
bad_field_name 400
bad_field_value 400
bad_field_line 400
head_too_large 431
too_many_fields 431
no_host 400
several_hosts 400
bad_host 400
expectation_unknown 417
bad_content_length 400
differing_content_length 400
length_and_coding 400
coding_in_http10 400
bad_transfer_encoding 400
coding_unknown 501
coding_not_final 400
coding_without_body 400
body_too_large 413
bad_chunk_size 400
chunk_too_large 413
bad_chunk_extension 400
bad_chunk_end 400
chunk_overhead 400
bad_trailer 400
trailer_too_large 431
bad_coding 400
unexpected_eof 0
unexpected_data 0
unexpected_message 0
too_many_informational 0
head_timeout 408
idle_timeout 0
body_timeout 408
response_timeout 0
write_timeout 0
read_failed 0
write_failed 0
unacknowledged 0
cancelled 0
closed 0
dial_failed 0
tls_failed 0
tunnel_failed 0
bad_request 0
bad_response 0
body_length 0
wrong_state 0
`

func TestNamesAndStatusesAreStable(t *testing.T) {
	var b strings.Builder
	for c := range codes {
		fmt.Fprintf(&b, "%s %d\n", c.String(), c.Status())
	}
	require.Empty(t, cmp.Diff(strings.TrimSpace(golden), strings.TrimSpace(b.String())))
}

func TestEachCodeIsDescribed(t *testing.T) {
	names, texts := map[string]Code{}, map[string]Code{}
	for c := range codes {
		require.NotContains(t, names, c.String())
		require.NotContains(t, texts, c.text(), "%s has the words of another code", c.String())
		names[c.String()], texts[c.text()] = c, c
		require.Regexp(t, `^[a-z][a-z0-9_]*$`, c.String())
		require.Regexp(t, `^[a-z].*[^.]$`, c.text(), "it stands in the middle of a sentence")
		require.Equal(t, "h1: "+c.text(), c.Error())
		if s := c.Status(); s != 0 {
			require.True(t, 400 <= s && s <= 599, "%s is answered with %d", c.String(), s)
		}
	}
	past := codes + 7
	require.Equal(t, fmt.Sprintf("code_%d", uint8(past)), past.String())
	require.Equal(t, "h1: "+past.String(), past.Error())
	require.Zero(t, past.Status())
}

func TestMessagesTellWhoDidWhatAndWhen(t *testing.T) {
	tests := []struct {
		err  *Error
		want string
	}{
		{New(ObsFold, Client, "reading the request head"), "h1: client sent a folded field line while reading the request head"},
		{New(BadStatusLine, Server, ""), "h1: server sent an invalid status line"},
		{New(BodyLength, Local, "sending"), "h1: caller gave a body that differs from its declared length while sending"},
		{Wrap(ReadFailed, Client, "closing", syscall.ECONNRESET), "h1: client could not be read from while closing: connection reset by peer"},
		{&Error{Code: BadTarget, By: Client, Detail: `"\x00"`, Err: io.EOF}, `h1: client sent an invalid request target: "\x00": EOF`},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, tt.err.Error())
	}
}

func TestErrorsAreFoundByCodeAndByCause(t *testing.T) {
	cause := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	err := Wrap(ReadFailed, Server, "reading the response head", cause)
	wrapped := fmt.Errorf("fetching: %w", err)

	require.ErrorIs(t, wrapped, ReadFailed)
	require.ErrorIs(t, wrapped, &Error{Code: ReadFailed}, "an Error with nothing but a code stands for it")
	require.NotErrorIs(t, wrapped, WriteFailed)
	require.NotErrorIs(t, wrapped, New(ReadFailed, Client, ""), "another side's fault")
	require.NotErrorIs(t, wrapped, New(ReadFailed, Local, "closing"), "another moment")
	require.ErrorIs(t, wrapped, err, "the same error")

	require.ErrorIs(t, wrapped, syscall.ECONNRESET)
	var op *net.OpError
	require.ErrorAs(t, wrapped, &op)
	require.Same(t, cause, op)
	var own *Error
	require.ErrorAs(t, wrapped, &own)
	require.Same(t, err, own)
	require.Equal(t, cause, errors.Unwrap(err))
	require.NoError(t, errors.Unwrap(New(ObsFold, Client, "")))
}

func TestStatusOfAnErrorIsItsCodes(t *testing.T) {
	for c := range codes {
		require.Equal(t, c.Status(), New(c, Client, "").Status())
	}
}

func TestOnlyTheEndOfStreamHasAStandardCause(t *testing.T) {
	for c := range codes {
		if c == UnexpectedEOF {
			require.Equal(t, io.ErrUnexpectedEOF, c.Cause())
		} else {
			require.NoError(t, c.Cause(), "%s", c.String())
		}
	}
}

func TestTimeoutsAreNetErrors(t *testing.T) {
	waits := map[Code]bool{HeadTimeout: true, IdleTimeout: true, BodyTimeout: true, ResponseTimeout: true, WriteTimeout: true}
	for c := range codes {
		var err net.Error = New(c, Client, "")
		require.Equal(t, waits[c], err.Timeout(), "%s", c.String())
		require.Equal(t, waits[c], errors.Is(err, os.ErrDeadlineExceeded), "%s", c.String())
		require.Equal(t, c == ResponseTimeout, errors.Is(err, context.DeadlineExceeded), "%s", c.String())
		//lint:ignore SA1019 it is part of net.Error
		require.False(t, err.Temporary(), "%s", c.String())
	}
	causes := []struct {
		cause error
		want  bool
	}{
		{os.ErrDeadlineExceeded, true},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
		{syscall.ECONNREFUSED, false},
		{io.EOF, false},
	}
	for _, tt := range causes {
		require.Equal(t, tt.want, Wrap(DialFailed, Server, "", tt.cause).Timeout(), "%v", tt.cause)
	}
}

func TestSidesHaveWords(t *testing.T) {
	require.Equal(t, []string{"caller", "client", "server", "proxy", "caller"},
		[]string{Local.String(), Client.String(), Server.String(), Proxy.String(), Side(9).String()})
}

// What the peer sent must not reach a terminal or a log as anything but plain
// text, nor at any length.
func TestQuoteEscapes(t *testing.T) {
	tests := []struct {
		name, in string
		max      int
		want     string
	}{
		{"plain text", "Host: a", 40, `"Host: a"`},
		{"nothing", "", 40, `""`},
		{"quotes and backslashes", `a"b\c`, 40, `"a\"b\\c"`},
		{"line ends", "a\r\nb", 40, `"a\r\nb"`},
		{"control characters", "\x1b[31m\x00\x7f", 40, `"\x1b[31m\x00\x7f"`},
		{"octets that are no text", "\xff\x80", 40, `"\xff\x80"`},
		{"text past ASCII", "é\u202e", 40, `"\u00e9\u202e"`},
		{"as long as allowed", "abcd", 4, `"abcd"`},
		{"longer than allowed", "abcdef", 4, `"abcd"...`},
		{"cut within a character", "aé", 2, `"a\xc3"...`},
	}
	for _, tt := range tests {
		got := Quote([]byte(tt.in), tt.max)
		require.Equal(t, tt.want, got, tt.name)
		for _, c := range []byte(got) {
			require.True(t, ' ' <= c && c <= '~', tt.name)
		}
	}
}
