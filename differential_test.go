package h1_test

// Both Transports, net/http's and h1's, before the same scripted server.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// roundTripper is what both Transports are.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// The two Transports, as indices.
const (
	netHTTP = iota
	ours
)

// scene is the server's end of one connection. Whatever it sends, it sends when
// all else has come to rest, so that a test goes the same way each time.
type scene struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
	in bytes.Buffer // all that was read

	req  *http.Request // whose head was read last
	text string        // the body that was read last
}

// head reads a request's head; false when none comes.
func (s *scene) head() bool {
	var err error
	s.req, err = http.ReadRequest(s.r)
	s.rest()
	return err == nil
}

// body reads the body of the request whose head was read.
func (s *scene) body() bool {
	text, err := io.ReadAll(s.req.Body)
	s.text = string(text)
	s.rest()
	return err == nil
}

// whole reads a request.
func (s *scene) whole() bool { return s.head() && s.body() }

func (s *scene) send(text string) {
	_, _ = io.WriteString(s.nc, text) // the client may have gone
	s.rest()
}

// rest lets all others come to rest: only then does the time of a bubble pass.
func (s *scene) rest() { time.Sleep(time.Millisecond) }

// answerAll gives each request the same answer.
func (s *scene) answerAll(text string) {
	for s.whole() {
		s.send(text)
	}
}

// inBoth lets each Transport meet a server whose connections are played by
// play, which gets their number and closes them when it returns. One connection
// at a time has something to do.
func inBoth(t *testing.T, play func(s *scene, n int), meet func(t *testing.T, kind int, tr roundTripper)) {
	t.Helper()
	for kind := range 2 {
		synctest.Test(t, func(t *testing.T) {
			l := wiretest.Listen()
			var server sync.WaitGroup
			server.Go(func() {
				for n := 0; ; n++ {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					s := &scene{t: t, nc: nc}
					s.r = bufio.NewReader(io.TeeReader(nc, &s.in))
					server.Go(func() {
						defer nc.Close()
						play(s, n)
					})
				}
			})
			var tr roundTripper = &http.Transport{DialContext: l.DialContext, ExpectContinueTimeout: time.Second}
			if kind == ours {
				tr = &h1.Transport{DialContext: l.DialContext}
			}
			meet(t, kind, tr)
			tr.CloseIdleConnections()
			require.NoError(t, l.Close())
			server.Wait()
		})
	}
}

// afresh is the request again, with a body of its own.
func afresh(r *http.Request) *http.Request {
	again := r.Clone(r.Context())
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		again.Body = io.NopCloser(bytes.NewReader(text))
	}
	return again
}

// result is what a caller and a server see of one exchange.
type result struct {
	Err      string // of RoundTrip, in a word
	Status   string
	Proto    string
	Header   http.Header
	Length   int64
	Codings  []string
	Close    bool
	Unzipped bool
	Switched bool // the body can be written to
	Body     string
	BodyErr  string
	Trailer  http.Header

	Sent []string // the request's lines as the server got them, sorted after the first; then its body
	Next string   // what becomes of the next request
}

// errorClass is an error in a word, as each Transport has errors of its own.
func errorClass(err error) string {
	var late net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &late) && late.Timeout():
		if errors.Is(err, context.DeadlineExceeded) {
			return "timeout, as of a context"
		}
		return "timeout"
	case errors.Is(err, io.EOF):
		return "ended"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut off"
	}
	return "error"
}

// difference is one exchange by both Transports.
type difference struct {
	name   string
	req    func(r *http.Request)                            // changes a GET of http://example.com/
	set    func(theirs *http.Transport, ours *h1.Transport) // what is configured, in either
	answer string                                           // to the first request; "": the connection is closed
	closes bool                                             // the connection is closed after it
	play   func(s *scene)                                   // in the place of answer

	why  string          // why h1 does otherwise; "": it does not
	now  bool            // and only now and then, by the order of goroutines
	ours func(r *result) // makes net/http's result h1's
}

// requireSame has both Transports do it.
func (d *difference) requireSame(t *testing.T) {
	var got [2]result
	inBoth(t, d.serve(&got[netHTTP], &got[ours]), func(t *testing.T, kind int, tr roundTripper) {
		if d.set != nil {
			plain, own := &http.Transport{}, &h1.Transport{}
			if kind == netHTTP {
				plain = tr.(*http.Transport)
			} else {
				own = tr.(*h1.Transport)
			}
			d.set(plain, own)
		}
		d.meet(t, tr, &got[kind])
	})
	theirs := got[netHTTP]
	same := cmp.Diff(theirs, got[ours]) == ""
	if d.now && same {
		return
	}
	if d.why != "" {
		require.False(t, same, "it differs no more; the reason was: "+d.why)
		d.ours(&theirs)
	}
	require.Empty(t, cmp.Diff(theirs, got[ours]), "- net/http, + h1")
}

// serve plays the first request of the first connection as the case says, and
// greets all others. Each Transport's server notes what it got.
func (d *difference) serve(notes ...*result) func(s *scene, n int) {
	kind := -1
	return func(s *scene, n int) {
		if n > 0 {
			s.answerAll(hello)
			return
		}
		kind++
		sent := notes[kind]
		defer func() { sent.Sent = s.firstRequest() }()
		if d.play != nil {
			d.play(s)
			return
		}
		if !s.whole() || s.req.URL.Path == next {
			s.send(hello) // the request was refused, and this is the next one
			return
		}
		s.send(d.answer)
		if !d.closes && d.answer != "" {
			_ = s.nc.SetReadDeadline(time.Now().Add(10 * time.Second)) // who takes it for unfinished waits for more
			s.answerAll(hello)
		}
	}
}

// next is the path of the second request.
const next = "/next"

// firstRequest are the lines of the first request's head, its fields sorted, its
// body and its trailer section; nil when it never came.
func (s *scene) firstRequest() []string {
	text, _, _ := strings.Cut(s.in.String(), "GET "+next)
	if text == "" {
		return nil
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return []string{"no request"}
	}
	body, err := io.ReadAll(req.Body)
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(strings.Replace(head, "Go-h1-client", "Go-http-client", 1), "\r\n")
	slices.Sort(lines[1:])
	return append(lines, string(body), fmt.Sprint(req.Trailer), errorClass(err))
}

// meet sends the request, reads the answer, and sends another a second later.
func (d *difference) meet(t *testing.T, tr roundTripper, r *result) {
	req := request("GET", "")
	if d.req != nil {
		d.req(req)
	}
	res, err := tr.RoundTrip(req)
	if r.Err = errorClass(err); err == nil {
		r.describe(res)
		require.Same(t, req, res.Request)
		require.Nil(t, res.TLS)
	}
	time.Sleep(time.Second)
	var reused bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	again := request("GET", "").WithContext(ctx)
	again.URL.Path = next
	res, err = tr.RoundTrip(again)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(text))
	r.Next = "a new connection"
	if reused {
		r.Next = "the same connection"
	}
}

// describe notes a response, its body read to the end.
func (r *result) describe(res *http.Response) {
	r.Status, r.Proto, r.Header, r.Length = res.Status, res.Proto, res.Header.Clone(), res.ContentLength
	r.Codings, r.Close, r.Unzipped = res.TransferEncoding, res.Close, res.Uncompressed
	if _, r.Switched = res.Body.(io.Writer); !r.Switched {
		text, err := io.ReadAll(res.Body)
		r.Body, r.BodyErr = string(text), errorClass(err)
	}
	_ = res.Body.Close()
	r.Trailer = res.Trailer
}
