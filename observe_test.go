package h1_test

// What a Transport counts and logs, and that it prints nothing.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
)

func TestStatsOfEachHost(t *testing.T) {
	inBubble(t, &h1.Transport{MaxConnsPerHost: 3}, func(t *testing.T, s *stage) {
		require.Equal(t, h1.TransportStats{Total: h1.HostStats{Closed: h1.CloseCounts{}}, Hosts: []h1.HostStats{}}, s.tr.Stats())

		k := s.exchange(nil)
		s.exchange(k)
		conns, replies := s.busy("example.org", 3)
		waiting := s.open(func() *http.Request {
			req := request("GET", "")
			req.URL.Host, req.Host = "example.org", ""
			return req
		}())
		dials := holdDials(s)
		dialling := s.open(request("GET", ""))
		k.ExpectHead("GET / HTTP/1.1") // the idle one is busy now
		another := s.open(request("GET", ""))
		require.Equal(t, 1, dials.under())

		octets := cmpopts.IgnoreFields(h1.HostStats{}, "BytesIn", "BytesOut")
		want := h1.TransportStats{
			Total: h1.HostStats{Open: 5, Busy: 4, Dialing: 1, Waiting: 2, Dials: 5, Requests: 6, Reuses: 2, Closed: h1.CloseCounts{}},
			Hosts: []h1.HostStats{
				{Scheme: "http", Host: "example.com:80", Open: 2, Busy: 1, Dialing: 1, Waiting: 1, Dials: 2, Requests: 3, Reuses: 2, Closed: h1.CloseCounts{}},
				{Scheme: "http", Host: "example.org:80", Open: 3, Busy: 3, Waiting: 1, Dials: 3, Requests: 3, Closed: h1.CloseCounts{}},
			},
		}
		require.Empty(t, cmp.Diff(want, s.tr.Stats(), octets))

		s.answer(conns[0], replies[0])
		conns[0].ExpectHead("GET / HTTP/1.1")
		s.answer(conns[0], waiting)
		s.answer(conns[1], replies[1])
		s.answer(conns[2], replies[2])
		(<-dials.began)(errors.New("the server is down"))
		require.Error(t, (<-another).err)
		s.answer(k, dialling)
		total := s.tr.Stats().Total
		require.Empty(t, cmp.Diff(h1.HostStats{Open: 4, Idle: 4, Dials: 5, Failed: 1, Requests: 7, Reuses: 3, Closed: h1.CloseCounts{}}, total, octets))
	})
}

func TestStatsAddUp(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		for _, last := range []string{"", "Connection: close\r\n"} {
			got := s.open(request("GET", ""))
			k := s.accept()
			head := k.ExpectHead("GET / HTTP/1.1")
			answer := "HTTP/1.1 204 No Content\r\n" + last + "\r\n"
			k.Send(answer)
			require.NoError(t, (<-got).err)
			s.tr.CloseIdleConnections()
			st := s.tr.Stats().Hosts[0]
			require.GreaterOrEqual(t, st.BytesOut, int64(len(head)))
			require.GreaterOrEqual(t, st.BytesIn, int64(len(answer)))
		}
		st := s.tr.Stats()
		require.Equal(t, h1.CloseCounts{h1.CloseLocalAsked: 1, h1.ClosePeerAsked: 1}, st.Total.Closed)
		require.Equal(t, st.Total.Dials, st.Total.Open+st.Total.Failed+st.Total.Closed.Total())
		text, err := json.Marshal(st)
		require.NoError(t, err)
		require.Contains(t, string(text), `"closed":{"local_asked":1,"peer_asked":1}`)
		require.NotContains(t, string(text), `"proxy"`)
	})
}

func TestStatsTellNoCredentials(t *testing.T) {
	proxy, err := url.Parse("http://user:secret@proxy.example:3128")
	require.NoError(t, err)
	inBubble(t, &h1.Transport{Proxy: http.ProxyURL(proxy)}, func(t *testing.T, s *stage) {
		got := s.open(request("GET", ""))
		k := s.accept()
		k.ExpectHead("GET http://example.com/ HTTP/1.1")
		s.answer(k, got)
		require.Equal(t, "http://proxy.example:3128", s.tr.Stats().Hosts[0].Proxy)
	})
}

// logged are the records that a Transport wrote, without times and ends.
func logged(t *testing.T, text string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var record struct {
			Level, Msg, Host, Error, Method string
			Conn                            struct{ Reason string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		require.Equal(t, "DEBUG", record.Level)
		what := []string{strings.TrimPrefix(record.Msg, "h1: "), record.Host}
		for _, more := range []string{record.Conn.Reason, record.Method} {
			if more != "" && more != "none" {
				what = append(what, more)
			}
		}
		lines = append(lines, strings.Join(what, " "))
	}
	return lines
}

func TestLoggerTellsOfConnections(t *testing.T) {
	var text bytes.Buffer
	tr := &h1.Transport{Logger: slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	inBubble(t, tr, func(t *testing.T, s *stage) {
		k := s.exchange(nil)
		got := s.open(request("GET", ""))
		k.ExpectHead("GET / HTTP/1.1")
		k.SendFIN()
		k = s.accept()
		k.ExpectHead("GET / HTTP/1.1")
		s.answer(k, got)
		time.Sleep(time.Minute) // idle for too long
		synctest.Wait()
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrClosedPipe }
		_, err := tr.RoundTrip(request("GET", ""))
		require.Error(t, err)
	})
	require.Equal(t, []string{
		"connection opened example.com:80",
		"connection ended example.com:80 peer_eof",
		"request sent again example.com:80 GET",
		"connection opened example.com:80",
		"connection ended example.com:80 idle",
		"dial failed example.com:80",
	}, logged(t, text.String()))
}

// Whatever a server does, a Transport prints nothing where nobody asked it to.
func TestNothingIsPrintedToTheGlobalLogger(t *testing.T) {
	var printed bytes.Buffer
	was, flags, out := slog.Default(), log.Flags(), log.Writer()
	slog.SetDefault(slog.New(slog.NewTextHandler(&printed, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(&printed)
	defer func() {
		slog.SetDefault(was)
		log.SetOutput(out)
		log.SetFlags(flags)
	}()
	scripts := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 Request Timeout\r\n\r\n", // net/http prints this
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nnonsense",
		"nonsense\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"",
	}
	for _, script := range scripts {
		inBubble(t, nil, func(t *testing.T, s *stage) {
			got := s.send(request("GET", ""))
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send(script)
			k.SendFIN()
			<-got
			synctest.Wait()
			require.Len(t, s.ends(), 1)
		})
	}
	require.Empty(t, printed.String())
}
