package h1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// A pipelined conversation is cut after every octet of its answers: each request
// ends exactly once, with its own answer, with an answer that broke off, or among
// those left over; and what is said to be safe to send again is.
func TestAPipelineIsCutAtEveryOctet(t *testing.T) {
	requests := []struct {
		method, key string
		replayable  bool
	}{
		{"GET", "", true}, {"POST", "", false}, {"PUT", "", true}, {"POST", "k1", true}, {"GET", "", true},
	}
	var wire strings.Builder
	var ends []int // where each answer ends
	var begins []int
	for i := range requests {
		begins = append(begins, wire.Len())
		switch i {
		case 1: // chunked, after an informational response
			fmt.Fprintf(&wire, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nanswer %d\r\n0\r\n\r\n", i)
		default:
			fmt.Fprintf(&wire, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanswer %d", i)
		}
		ends = append(ends, wire.Len())
	}
	for cut := range wire.Len() + 1 {
		near, far := wiretest.Pair()
		c, err := NewClientConn(near, nil)
		require.NoError(t, err)
		for i, r := range requests {
			req, err := http.NewRequest(r.method, fmt.Sprintf("http://a/%d", i), nil)
			require.NoError(t, err)
			if r.key != "" {
				req.Header.Set("Idempotency-Key", r.key)
			}
			require.NoError(t, c.Send(req))
		}
		_, err = io.WriteString(far, wire.String()[:cut])
		require.NoError(t, err)
		require.NoError(t, far.CloseWrite())

		var got []string
		for i := 0; ; i++ {
			res, err := c.Receive()
			if err != nil {
				break
			}
			body, err := io.ReadAll(res.Body)
			switch {
			case err == nil:
				require.Equal(t, fmt.Sprintf("answer %d", i), string(body), "cut after %d octets", cut)
				got = append(got, fmt.Sprintf("/%d answered", i))
			default:
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut after %d octets", cut)
				got = append(got, fmt.Sprintf("/%d broke off", i))
			}
		}
		for req, again := range c.Unanswered() {
			got = append(got, fmt.Sprintf("%s left over, again %v", req.URL.Path, again))
		}

		var want []string
		for i, r := range requests {
			switch {
			case cut >= ends[i]:
				want = append(want, fmt.Sprintf("/%d answered", i))
			case cut >= ends[i]-bodyAndEnd(wire.String()[begins[i]:ends[i]]):
				want = append(want, fmt.Sprintf("/%d broke off", i))
			default:
				want = append(want, fmt.Sprintf("/%d left over, again %v", i, r.replayable && cut <= begins[i]))
			}
		}
		require.Empty(t, cmp.Diff(want, got), "cut after %d octets", cut)
	}
}

// bodyAndEnd is how much of an answer lies behind its final head.
func bodyAndEnd(answer string) int {
	_, rest, _ := strings.Cut(answer, "200 OK")
	_, body, _ := strings.Cut(rest, "\r\n\r\n")
	return len(body)
}

func TestALivingConnectionLeavesNothingUnanswered(t *testing.T) {
	near, far := wiretest.Pair()
	c, err := NewClientConn(near, nil)
	require.NoError(t, err)
	req, err := http.NewRequest("GET", "http://a/", nil)
	require.NoError(t, err)
	require.NoError(t, c.Send(req))
	for range c.Unanswered() {
		require.Fail(t, "its answer may still come")
	}
	_, err = io.WriteString(far, "HTTP/1.1 204 No Content\r\n\r\n")
	require.NoError(t, err)
	_, err = c.Receive()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	for range c.Unanswered() {
		require.Fail(t, "it was answered")
	}
}
