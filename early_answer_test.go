package h1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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

// A server answers whole before it has read the last octets of an upload. The
// request counted as sent, and the last Read of the answer waited for its write, a
// minute at worst.
func TestAnAnswersEndDoesNotWaitForTheUploadsLastPiece(t *testing.T) {
	for _, body := range []string{"", "hello"} {
		for _, taken := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				far := make(chan *wiretest.Conn, 2)
				tr := &Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					a, b := wiretest.PairSize(2000)
					far <- b
					return a, nil
				}}
				defer tr.CloseIdleConnections()
				done := make(chan error, 1)
				ask := func(size int64) {
					req := httpPost(t, endless{})
					req.Body = io.NopCloser(io.LimitReader(endless{}, size))
					req.ContentLength = size
					res, err := tr.RoundTrip(req)
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
					}
					done <- err
				}
				const size = 3 * 32 << 10 // three pieces of what is copied at a time
				answer := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
				go ask(size)
				server := <-far
				r := bufio.NewReaderSize(server, 16)
				req, err := http.ReadRequest(r)
				require.NoError(t, err)
				_, err = io.CopyN(io.Discard, req.Body, size-10_000)
				require.NoError(t, err)
				synctest.Wait()
				began := time.Now()
				_, err = io.WriteString(server, answer)
				require.NoError(t, err)
				require.NoError(t, <-done)
				require.Less(t, time.Since(began), 100*time.Millisecond)
				require.EqualValues(t, 1, tr.Stats().Total.Busy)

				if taken { // late, and in good time: the connection is used again
					_, err = io.Copy(io.Discard, req.Body)
					require.NoError(t, err)
				} else { // never: it ends with its budget
					time.Sleep(2 * time.Second)
				}
				synctest.Wait()
				n := tr.Stats().Total
				require.EqualValues(t, map[bool]int64{true: 1, false: 0}[taken], n.Idle, "%q %+v", body, n)
				require.Zero(t, n.Busy)
				_ = server.Close()
			})
		}
	}
}
