package h1_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that answers early and closes with octets unread resets the
// connection. The answer is in the client's system by then, and sending the rest
// of the request fails; still the answer has to come out.
func TestAnswerBeforeAResetArrives(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: other systems drop what they received when a reset comes")
	}
	bodies := map[string]func() io.Reader{
		"sent by a goroutine of its own": func() io.Reader { return io.LimitReader(zeros{}, 64<<20) },
		"sent before reading":            func() io.Reader { return strings.NewReader(strings.Repeat("x", 32<<10)) },
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			s := newStation(t)
			go func() {
				server, err := s.l.Accept()
				if err != nil {
					return
				}
				_, _ = io.ReadFull(server, make([]byte, 10))
				_, _ = io.WriteString(server, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
				_ = server.Close()
			}()
			req, err := http.NewRequest("POST", "http://example.com/", body())
			require.NoError(t, err)
			res, err := s.tr.RoundTrip(req)
			require.NoError(t, err)
			require.Equal(t, 413, res.StatusCode)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
		})
	}
}
