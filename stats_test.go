package h1

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestStatsCountConnectionsInEachState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := wiretest.Listen()
		over := make(chan struct{})
		defer close(over)
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			if string(x.Path()) == "/slow" {
				<-over
			}
			echo(x)
		})}
		a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(t.Context()) })
		a.talk(t)
		active, idle, gone := a.talk(t), a.talk(t), a.talk(t)
		active.Send(get("/slow"))
		idle.Send(get("/1"))
		expectEcho(idle, "/1", "")
		for range 2 {
			gone.Send(get("/22"))
			expectEcho(gone, "/22", "")
		}
		gone.SendFIN()
		gone.ExpectEOF()
		synctest.Wait()
		answers := int64(len("HTTP/1.1 200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 1\r\n\r\n"))
		want := ServerStats{
			Accepted: 4, Open: 3, New: 1, Active: 1, Idle: 1,
			Requests: 4,
			BytesIn:  int64(len(get("/slow")) + len(get("/1")) + 2*len(get("/22"))),
			BytesOut: 3*answers + int64(len("/1")+2*len("/22")),
			Closed:   CloseCounts{ClosePeerEOF: 1},
		}
		require.Empty(t, cmp.Diff(want, s.Stats()))
		text, err := json.Marshal(s.Stats())
		require.NoError(t, err)
		require.Contains(t, string(text), `"accepted":4,`)
		require.Contains(t, string(text), `"closed":{"peer_eof":1}`)
	})
}

// However connections come and go, no request is counted twice and none is
// lost, and the sums agree.
func TestStatsAreConsistentWhileConnectionsComeAndGo(t *testing.T) {
	l := wiretest.Listen()
	s := &Server{Native: NativeHandlerFunc(echo)}
	a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Dial(t.Context()) })
	const clients, conns, requests = 4, 50, 3
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for range conns {
				k := a.talk(t)
				for range requests {
					k.Send(get("/"))
					expectEcho(k, "/", "")
				}
				k.SendFIN()
				k.ExpectEOF()
			}
		})
	}
	over := make(chan struct{})
	go func() { work.Wait(); close(over) }()
	var before ServerStats
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		st := s.Stats()
		require.Equal(t, st.Accepted, st.Open+st.Closed.Total())
		require.Equal(t, st.Open, st.New+st.Active+st.Idle)
		require.GreaterOrEqual(t, st.Requests, before.Requests)
		before = st
	}
	require.Eventually(t, func() bool { return s.Stats().Open == 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, clients*conns*requests, s.Stats().Requests)
	require.EqualValues(t, clients*conns, s.Stats().Accepted)
}

func TestWhatGoesWrongIsToldToOneLog(t *testing.T) {
	tests := map[string]struct {
		set              func(s *Server, errors *log.Logger, logger *slog.Logger)
		errors, loggered bool
	}{
		"ErrorLog":            {func(s *Server, e *log.Logger, l *slog.Logger) { s.ErrorLog = e }, true, false},
		"Logger":              {func(s *Server, e *log.Logger, l *slog.Logger) { s.Logger = l }, false, true},
		"ErrorLog of the two": {func(s *Server, e *log.Logger, l *slog.Logger) { s.ErrorLog, s.Logger = e, l }, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var errs, records bytes.Buffer
			s := &Server{}
			tt.set(s, log.New(&errs, "", 0), slog.New(slog.NewTextHandler(&records, nil)))
			s.logf("h1: accept failed: %v", errors.New("oops"))
			require.Equal(t, tt.errors, errs.String() == "h1: accept failed: oops\n")
			require.Equal(t, tt.loggered, bytes.Contains(records.Bytes(), []byte(`level=ERROR msg="h1: accept failed: oops"`)))
			require.False(t, errs.Len() > 0 && records.Len() > 0)
		})
	}
}

// hundredThousand is a server that has as many connections, all idle.
func hundredThousand(b *testing.B) *Server {
	s := &Server{}
	set, err := s.settle()
	require.NoError(b, err)
	s.conns = map[*Conn]struct{}{}
	for range 100_000 {
		near, _ := wiretest.Pair()
		c := newConn(near, ServerRole, set)
		c.m.begin(c.now, &set.policy)
		c.m.rest(c.now)
		busies.Put(c.asleep())
		s.conns[c] = struct{}{}
	}
	return s
}

func BenchmarkStatsOf100000Connections(b *testing.B) {
	s := hundredThousand(b)
	for b.Loop() {
		if s.Stats().Idle != 100_000 {
			b.Fatal("they are not idle")
		}
	}
}

// What it costs to find the connection that is idle for longest, for each one
// that is reclaimed.
func BenchmarkReclaimOf100000Connections(b *testing.B) {
	s := hundredThousand(b)
	var found []*Conn
	for b.Loop() {
		longest := s.longestIdle().c
		if longest == nil || !longest.m.raise(levelNoMore, CloseReclaimed) {
			b.Fatal("nobody is idle")
		}
		if found = append(found, longest); len(found) == 50_000 { // enough for now: they are back
			for _, c := range found {
				c.m.intent.Store(0)
			}
			found = found[:0]
		}
	}
}
