package h1_test

// Servers that answer so that two readers may see two messages.

import (
	"net/http"
	"strings"
	"testing"

	"github.com/h1go/h1"

	"github.com/stretchr/testify/require"
)

// CVE-2022-1705: net/http took some Transfer-Encoding fields of answers for
// chunked although they are not, and others for nothing at all.
func TestAnswersOfUnknownFramingAreRefused(t *testing.T) {
	for value, want := range map[string]string{
		"identity, chunked":               "coding_unknown",
		"chunked, identity":               "coding_not_final",
		"xchunked":                        "coding_unknown",
		"chunked, chunked":                "bad_transfer_encoding",
		"\x0bchunked":                     "bad_field_value",
		`"chunked"`:                       "bad_transfer_encoding",
		"chunked\r\nContent-Length: 3":    "length_and_coding",
		"chunked\r\n\t, identity":         "obs_fold",
		"chunked\r\nTransfer-Encoding: x": "coding_not_final",
	} {
		t.Run(value, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				got := s.send(request("GET", ""))
				k := s.accept()
				k.ExpectHead("GET / HTTP/1.1")
				k.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + value + "\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
				r := <-got
				require.Error(t, r.err)
				require.Equal(t, want, code(r.err))
				k.ExpectEOF() // and nothing is asked on it any more
			})
		})
	}
}

// CVE-2020-35863, from the other side: hyper's client sent a GET's body without
// framing, so that it was read as the next request.
func TestEveryBodyIsFramed(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"} {
		t.Run(method, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				req, err := http.NewRequest(method, "http://example.com/", strings.NewReader("abc"))
				require.NoError(t, err)
				got := s.send(req)
				k := s.accept()
				k.ExpectHead(method+" / HTTP/1.1", "Content-Length: 3")
				k.Expect("abc")
				k.Send("HTTP/1.1 204 No Content\r\n\r\n")
				require.NoError(t, (<-got).err)
			})
		})
	}
}
