package h1

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// numbered is a turn that tests can tell from others; the queue does not look
// into what it carries.
func numbered(i int) turn {
	return turn{method: field.Method(i % 200), replayable: i%2 == 0, offer: i%3 == 0}
}

func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	var q inflight
	_, ok := q.next()
	require.False(t, ok, "nobody waits")
	q.pop() // of nothing: nothing happens
	require.Zero(t, q.len())
	for i := range 3 {
		q.push(numbered(i))
	}
	for i := range 3 {
		require.Equal(t, 3-i, q.len())
		got, ok := q.next()
		require.True(t, ok)
		require.Equal(t, numbered(i), got)
		again, _ := q.next()
		require.Equal(t, got, again, "looking takes nobody off the line")
		q.pop()
	}
	_, ok = q.next()
	require.False(t, ok)
}

// The ring grows wherever its first turn happens to lie.
func TestTheLineGrowsFromEveryPlaceInItsRing(t *testing.T) {
	for lead := range 9 {
		t.Run(fmt.Sprintf("first at %d", lead), func(t *testing.T) {
			var q inflight
			for i := range lead {
				q.push(numbered(i))
				q.pop()
			}
			for i := range 40 {
				q.push(numbered(100 + i))
			}
			for i := range 40 {
				got, ok := q.next()
				require.True(t, ok)
				require.Equal(t, numbered(100+i), got)
				q.pop()
			}
			require.Zero(t, q.len())
		})
	}
}

// A plain slice is what the ring has to behave like.
func TestTheLineBehavesLikeASlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var q inflight
	var want []turn
	for i := range 20_000 {
		switch r := rnd.IntN(100); {
		case r < 48:
			q.push(numbered(i))
			want = append(want, numbered(i))
		case r < 52:
			q.sentLast()
			if len(want) > 0 {
				want[len(want)-1].sent = sentWhole
			}
		default:
			q.pop()
			want = want[min(1, len(want)):]
		}
		require.Equal(t, len(want), q.len())
		got, ok := q.next()
		require.Equal(t, len(want) > 0, ok)
		if ok {
			require.Equal(t, want[0], got)
		}
	}
}

func TestOnlyTheLastRequestIsBeingSent(t *testing.T) {
	var q inflight
	q.sentLast() // nobody in line: nothing happens
	q.push(turn{method: field.GET})
	q.sentLast()
	q.push(turn{method: field.PUT})
	first, _ := q.next()
	require.Equal(t, sentWhole, first.sent)
	q.pop()
	second, _ := q.next()
	require.Equal(t, sentPart, second.sent, "a place used before starts afresh")
	q.sentLast()
	second, _ = q.next()
	require.Equal(t, sentWhole, second.sent)
}

// fate is what lost said of a turn.
type fate struct {
	Method field.Method
	Replay bool
}

func loss(q *inflight, answerBegun bool) []fate {
	var got []fate
	q.lost(answerBegun, func(t turn, replay bool) { got = append(got, fate{t.method, replay}) })
	return got
}

// RFC 9112 section 9.3.1: three requests were sent, and the connection is lost
// after so many answers, with or without the beginning of the next.
func TestALossAtEachPlaceInTheLine(t *testing.T) {
	for _, c := range []struct {
		name     string
		answered int
		begun    bool
		want     []fate
	}{
		{"before any answer", 0, false, []fate{{field.GET, true}, {field.POST, false}, {field.PUT, true}}},
		{"in the first answer", 0, true, []fate{{field.GET, false}, {field.POST, false}, {field.PUT, true}}},
		{"after the first answer", 1, false, []fate{{field.POST, false}, {field.PUT, true}}},
		{"in the second answer", 1, true, []fate{{field.POST, false}, {field.PUT, true}}},
		{"after the second answer", 2, false, []fate{{field.PUT, true}}},
		{"in the third answer", 2, true, []fate{{field.PUT, false}}},
		{"after all answers", 3, false, nil},
	} {
		for lead := range 4 { // and wherever the line lies in its ring
			t.Run(fmt.Sprintf("%s, first at %d", c.name, lead), func(t *testing.T) {
				var q inflight
				for range lead {
					q.push(turn{})
					q.pop()
				}
				for _, m := range []field.Method{field.GET, field.POST, field.PUT} {
					q.push(turn{method: m, replayable: idempotent(m)})
				}
				for range c.answered {
					q.pop()
				}
				if diff := cmp.Diff(c.want, loss(&q, c.begun)); diff != "" {
					t.Fatal(diff)
				}
				require.Zero(t, q.len(), "nobody is left in line")
				_, ok := q.next()
				require.False(t, ok)
				require.Empty(t, loss(&q, c.begun), "a second loss concerns nobody")
			})
		}
	}
}

// Being replayable is the caller's knowledge: a body that cannot be read twice
// makes a PUT unfit, an Idempotency-Key makes a POST fit.
func TestALossTrustsWhatTheCallerSaidOfReplay(t *testing.T) {
	var q inflight
	q.push(turn{method: field.PUT})
	q.push(turn{method: field.POST, replayable: true})
	require.Equal(t, []fate{{field.PUT, false}, {field.POST, true}}, loss(&q, false))
}

// RFC 9110 section 9.2.2.
func TestIdempotentMethods(t *testing.T) {
	want := map[field.Method]bool{
		field.GET: true, field.HEAD: true, field.OPTIONS: true, field.TRACE: true, field.PUT: true, field.DELETE: true,
		field.POST: false, field.PATCH: false, field.CONNECT: false, field.OtherMethod: false,
	}
	for m, ok := range want {
		require.Equal(t, ok, idempotent(m), m.String())
	}
}

func TestTheLineAllocatesOnlyToGrow(t *testing.T) {
	var q inflight
	run := func() {
		for range 16 {
			q.push(turn{method: field.GET})
			q.sentLast()
		}
		for range 16 {
			q.next()
			q.pop()
		}
	}
	run()
	require.Zero(t, testing.AllocsPerRun(100, run))
}

func BenchmarkInflight(b *testing.B) {
	var q inflight
	b.ReportAllocs()
	for b.Loop() {
		q.push(turn{method: field.GET})
		q.sentLast()
		q.next()
		q.pop()
	}
}

// answering is a client Conn whose server reads n requests and then sends
// what it is given.
func answering(t *testing.T, cfg *ConnConfig, n int, answers string) *Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	go func() {
		in := bufio.NewReader(theirs)
		for range n {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
		}
		_, _ = theirs.Write([]byte(answers))
	}()
	c, err := NewClientConn(ours, cfg)
	require.NoError(t, err)
	return c
}

// The last of three pipelined requests says close, or meets the limit: the
// answers to all three are received. Once the first answer's end took it for
// the last exchange, and cost the others (RFC 9112 section 9.6).
func TestTheLastPipelinedRequestCostsNoAnswer(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, c := range []struct {
		name string
		cfg  *ConnConfig
		last bool
		why  CloseReason
	}{
		{"it says close", nil, true, CloseLocalAsked},
		{"it meets the limit", &ConnConfig{KeepAlive: KeepAlive{MaxRequests: 3}}, false, CloseMaxRequests},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := answering(t, c.cfg, 3, strings.Repeat(answer, 3))
			for i := range 3 {
				req, err := http.NewRequest(http.MethodGet, "http://example.test/", nil)
				require.NoError(t, err)
				req.Close = c.last && i == 2
				require.NoError(t, conn.Send(req), "request %d", i+1)
			}
			for i := range 3 {
				res, err := conn.Receive()
				require.NoError(t, err, "answer %d", i+1)
				require.NoError(t, res.Body.Close())
			}
			require.Equal(t, c.why, conn.Reason())
		})
	}
}

// A server that switches protocols unasked would take the connection out of
// HTTP (RFC 9110 section 7.8).
func TestAnUnaskedSwitchIsRefused(t *testing.T) {
	conn := answering(t, nil, 1, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	req, err := http.NewRequest(http.MethodGet, "http://example.test/", nil)
	require.NoError(t, err)
	_, err = conn.RoundTrip(req)
	require.ErrorIs(t, err, fault.UnexpectedMessage)
}

// An idle connection may stay for hours; the requests that it carried should not.
func TestTheLineForgetsWhoLeft(t *testing.T) {
	var q inflight
	for i := range 9 {
		q.push(turn{of: i})
		q.push(turn{of: -i})
		q.pop()
	}
	for q.len() > 0 {
		q.pop()
	}
	for _, left := range q.ring {
		require.Nil(t, left.of)
	}
}
