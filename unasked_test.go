package h1

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// A server answers one request twice, while the next one waits to be sent: what
// came too much was taken for its answer, and the answers of all that followed
// were another's.
func TestAnAnswerThatCameBeforeItsRequestLeftIsNotTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		fields, more string
		reason       CloseReason
	}{
		"a second answer":             {"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1", CloseUnasked},
		"its first octet":             {"", "H", CloseUnasked},
		"nothing":                     {"", "", CloseNone},
		"nothing, and it says close":  {"Connection: close\r\n", "", ClosePeerAsked},
		"a second, and it says close": {"Connection: close\r\n", "HTTP/1.1 204 No Content\r\n\r\n", ClosePeerAsked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := wiretest.Pair()
				c, err := NewClientConn(near, nil)
				require.NoError(t, err)
				defer c.Close()
				server := wiretest.NewTalk(t, far)
				sendGet(t, c, "/1")
				got := make(chan string)
				go func() { got <- receiveText(t, c) }()
				server.ExpectHead("GET /1 HTTP/1.1")
				synctest.Wait()
				sendGet(t, c, "/2") // it leaves when somebody waits for its answer
				server.Send("HTTP/1.1 200 OK\r\n" + tt.fields + "Content-Length: 2\r\n\r\n/1" + tt.more)
				require.Equal(t, "/1", <-got)
				require.Equal(t, tt.reason, c.Reason())
				if tt.reason == CloseNone {
					go func() { got <- receiveText(t, c) }()
					server.ExpectHead("GET /2 HTTP/1.1")
					server.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/2")
					require.Equal(t, "/2", <-got)
					return
				}
				server.ExpectEOF()
				var left []string
				for req, again := range c.Unanswered() {
					left = append(left, fmt.Sprintf("%s %v", req.URL.Path, again))
				}
				require.Equal(t, []string{"/2 true"}, left)
			})
		})
	}
}

func sendGet(t *testing.T, c *Conn, path string) {
	req, err := http.NewRequest("GET", "http://a"+path, nil)
	require.NoError(t, err)
	require.NoError(t, c.Send(req))
}

func receiveText(t *testing.T, c *Conn) string {
	res, err := c.Receive()
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}
