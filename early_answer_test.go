package h1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A server refuses an upload and reads no more of it, nor does it close. Once
// the end of the exchange waited for the upload's write, and that for the server.
func TestAnAnswerDoesNotWaitForAnUploadThatIsStuck(t *testing.T) {
	for _, body := range []string{"", "no"} {
		near, far := wiretest.Pair()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
				return
			}
			for near.Pending() == 0 && far.Pending() < 1<<20 {
				time.Sleep(time.Millisecond) // until the upload is stuck
			}
			_, _ = io.WriteString(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: "+[]string{"0", "1", "2"}[len(body)]+"\r\n\r\n"+body)
		}()
		tr := &Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
		done := make(chan error, 1)
		go func() {
			res, err := tr.RoundTrip(httpPost(t, endless{}))
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				err = res.Body.Close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			t.Fatal("it waits")
		}
		<-answered
	}
}

func httpPost(t *testing.T, body io.Reader) *http.Request {
	req, err := http.NewRequest("POST", "http://origin.test/", io.MultiReader(strings.NewReader("x"), body))
	require.NoError(t, err)
	return req
}
