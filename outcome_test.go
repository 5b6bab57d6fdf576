package h1_test

// What a failed request says of itself, with a fault at each step of its way.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

var errInjected = errors.New("injected")

// requestError is the *RequestError that every failure has to be.
func requestError(t *testing.T, err error) *h1.RequestError {
	t.Helper()
	var lost *h1.RequestError
	require.ErrorAs(t, err, &lost)
	var f *h1.Error
	require.ErrorAs(t, err, &f)
	return lost
}

// The head that these tests send, by which the faults are placed.
const postHead = "POST / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nContent-Length: 3\r\nAccept-Encoding: gzip\r\n\r\n"

func TestOutcomeOfAFaultAtEachStep(t *testing.T) {
	const whole = len(postHead) + len("abc")
	tests := map[string]struct {
		faults  wiretest.Faults
		dial    error
		spoil   func(r *http.Request)
		answer  string // what the server says to the request
		outcome h1.Outcome
		written int
		body    bool // the error is the body's
	}{
		"the request cannot be written": {spoil: func(r *http.Request) { r.Header["X"] = []string{"\n"} }, outcome: h1.OutcomeNotSent},
		"the dial fails":                {dial: errInjected, outcome: h1.OutcomeNotSent},
		"not an octet can be sent":      {faults: wiretest.Faults{WriteErr: errInjected}, outcome: h1.OutcomeNotSent},
		"one octet can be sent":         {faults: wiretest.Faults{WriteErr: errInjected, WriteLimit: 1}, outcome: h1.OutcomeMaybeProcessed, written: 1},
		"all but one octet can be sent": {faults: wiretest.Faults{WriteErr: errInjected, WriteLimit: whole - 1}, outcome: h1.OutcomeMaybeProcessed, written: whole - 1},
		"nothing can be read":           {faults: wiretest.Faults{ReadErr: errInjected}, outcome: h1.OutcomeMaybeProcessed, written: whole},
		"the server closes":             {faults: wiretest.Faults{ReadErr: io.EOF}, outcome: h1.OutcomeMaybeProcessed, written: whole},
		"one octet of the answer came":  {faults: wiretest.Faults{ReadErr: errInjected, ReadLimit: 1}, answer: hello, outcome: h1.OutcomeAnswered, written: whole},
		"the answer's head is cut off":  {faults: wiretest.Faults{ReadErr: io.EOF, ReadLimit: 20}, answer: hello, outcome: h1.OutcomeAnswered, written: whole},
		"an informational answer came": {faults: wiretest.Faults{ReadErr: io.EOF, ReadLimit: len("HTTP/1.1 102 Processing\r\n\r\n")},
			answer: "HTTP/1.1 102 Processing\r\n\r\n", outcome: h1.OutcomeAnswered, written: whole},
		"the answer is not HTTP":           {answer: "\x00\x00\x00\r\n", outcome: h1.OutcomeAnswered, written: whole},
		"the answer's body cannot be read": {faults: wiretest.Faults{ReadErr: errInjected, ReadLimit: len(hello) - 1}, answer: hello, outcome: h1.OutcomeAnswered, written: whole, body: true},
		"the answer's body is cut off":     {faults: wiretest.Faults{ReadErr: io.EOF, ReadLimit: len(hello) - 5}, answer: hello, outcome: h1.OutcomeAnswered, written: whole, body: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if tt.dial != nil {
						return nil, tt.dial
					}
					nc, err := s.l.DialContext(ctx, network, addr)
					require.NoError(t, err)
					return tt.faults.Wrap(nc), nil
				}
				req := request("POST", "abc")
				if tt.spoil != nil {
					tt.spoil(req)
				}
				got := s.send(req)
				if tt.answer != "" {
					k := s.accept()
					k.Expect(postHead + "abc")
					k.Send(tt.answer)
				}
				r := <-got
				err := r.err
				if tt.body {
					require.NoError(t, err)
					err = r.read
				}
				lost := requestError(t, err)
				require.Equal(t, tt.outcome, lost.Outcome, err)
				require.EqualValues(t, tt.written, lost.Written)
				require.Zero(t, lost.Before)
				require.Zero(t, lost.Idle)
				require.False(t, lost.Resent)
				if tt.dial != nil || tt.faults.WriteErr != nil || tt.faults.ReadErr == errInjected {
					require.ErrorIs(t, err, errInjected)
				}
			})
		})
	}
}

func TestOutcomeOfARequestThatWasGivenUp(t *testing.T) {
	tests := map[string]struct {
		tr      *h1.Transport
		when    time.Duration // after which the caller gives up; 0: never
		answer  string
		outcome h1.Outcome
		code    string
	}{
		"while waiting for the answer": {when: time.Second, outcome: h1.OutcomeMaybeProcessed, code: "cancelled"},
		"while the answer comes":       {when: time.Second, answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", outcome: h1.OutcomeAnswered, code: "cancelled"},
		"for the answer took too long": {tr: &h1.Transport{ResponseHeaderTimeout: time.Second}, outcome: h1.OutcomeMaybeProcessed, code: "response_timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.tr, func(t *testing.T, s *stage) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				got := s.send(request("POST", "abc").WithContext(ctx))
				k := s.accept()
				k.Expect(postHead + "abc")
				if tt.answer != "" {
					k.Send(tt.answer)
				}
				if tt.when > 0 {
					time.Sleep(tt.when)
					cancel()
				}
				r := <-got
				err := errors.Join(r.err, r.read)
				require.Equal(t, tt.outcome, requestError(t, err).Outcome, err)
				require.Equal(t, tt.code, code(err))
				if tt.answer != "" {
					k.Send("lo") // for which the connection is kept
				}
			})
		})
	}
}

// A request on a used connection tells how used and how idle that was.
func TestAFailedRequestTellsOfItsConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		k := s.exchange(nil)
		s.exchange(k)
		time.Sleep(3 * time.Second)
		got := s.send(request("POST", "abc"))
		k.Expect(postHead + "abc")
		k.SendFIN()
		lost := requestError(t, (<-got).err)
		require.Equal(t, h1.OutcomeMaybeProcessed, lost.Outcome, "in memory nothing can be proven")
		require.EqualValues(t, 2, lost.Before)
		require.Equal(t, 3*time.Second, lost.Idle)
	})
}

// What the first connection may have delivered, a failed second try cannot take
// back.
func TestOutcomeIsThatOfBothTries(t *testing.T) {
	tests := map[string]struct {
		second  func(context.Context, string, string) (net.Conn, error)
		outcome h1.Outcome
	}{
		"the second cannot be sent": {second: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }, outcome: h1.OutcomeMaybeProcessed},
		"the second has an answer": {second: func(context.Context, string, string) (net.Conn, error) {
			near, far := wiretest.Pair()
			go func() {
				_, _ = far.Read(make([]byte, 4096))
				_, _ = io.WriteString(far, "HTTP/1.1 2")
				_ = far.Close()
			}()
			return near, nil
		}, outcome: h1.OutcomeAnswered},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *stage) {
				k := s.exchange(nil)
				s.tr.DialContext = tt.second
				got := s.send(request("GET", ""))
				k.ExpectHead("GET / HTTP/1.1")
				k.SendFIN()
				lost := requestError(t, (<-got).err)
				require.Equal(t, tt.outcome, lost.Outcome)
				require.True(t, lost.Resent)
				synctest.Wait()
			})
		})
	}
}

// A request of which nothing was written is sent again, whatever its method.
func TestARequestThatNeverLeftIsSentAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		dials := 0
		s.tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.l.DialContext(ctx, network, addr)
			if dials++; dials == 1 {
				nc = wiretest.Faults{WriteErr: syscall.EPIPE, WriteLimit: len(postHead) + 3}.Wrap(nc)
			}
			return nc, err
		}
		for i := range 2 {
			got := s.send(request("POST", "abc"))
			k := s.accept()
			k.Expect(postHead + "abc")
			k.Send(hello)
			s.requireHello(got)
			require.Equal(t, i+1, s.count())
		}
	})
}
