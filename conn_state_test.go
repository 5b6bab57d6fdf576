package h1

import (
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// stateful is what this test needs of either server.
type stateful interface {
	Serve(net.Listener) error
	SetKeepAlivesEnabled(bool)
	Close() error
}

// ConnState tells what net/http's does, in the same order. (Where a second request
// is bad, net/http forgets to say that the connection became active.)
func TestConnStateTellsWhatNetHTTPTells(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/hijack":
			nc, _, _ := w.(http.Hijacker).Hijack()
			_ = nc.Close()
		case "/unread":
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "/")
	})
	scripts := map[string]struct {
		play func(s stateful, nc *wiretest.Conn)
		want string
	}{
		"no request":             {func(s stateful, nc *wiretest.Conn) {}, "new closed"},
		"one":                    {plays(get("/")), "new active idle closed"},
		"two":                    {plays(get("/"), get("/")), "new active idle active idle closed"},
		"close":                  {plays("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "new active closed"},
		"HTTP/1.0":               {plays("GET / HTTP/1.0\r\n\r\n"), "new active closed"},
		"the handler closes":     {plays(post("/unread", "abc")), "new active closed"},
		"a part of a head":       {plays("GET"), "new active closed"},
		"a bad request":          {plays("GET  / HTTP/1.1\r\n\r\n"), "new active closed"},
		"an unknown expectation": {plays("GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"), "new active closed"},
		"a panic":                {plays(get("/panic")), "new active closed"},
		"a hijack":               {plays(get("/hijack")), "new active hijacked"},
		"keep-alives switched off while idle": {func(s stateful, nc *wiretest.Conn) {
			plays(get("/"))(s, nc)
			s.SetKeepAlivesEnabled(false)
			time.Sleep(time.Second)
		}, "new active idle closed"},
		"keep-alives switched off before": {func(s stateful, nc *wiretest.Conn) {
			s.SetKeepAlivesEnabled(false)
			plays(get("/"))(s, nc)
		}, "new active closed"},
		"Close": {func(s stateful, nc *wiretest.Conn) {
			plays(get("/"))(s, nc)
			_ = s.Close()
		}, "new active idle closed"},
	}
	for name, tt := range scripts {
		t.Run(name, func(t *testing.T) {
			quiet := log.New(io.Discard, "", 0)
			var theirs, ours states
			statesOf(t, &http.Server{Handler: handler, ErrorLog: quiet, ConnState: theirs.note}, tt.play)
			statesOf(t, &Server{Handler: handler, ErrorLog: quiet, ConnState: ours.note}, tt.play)
			require.Equal(t, tt.want, theirs.String(), "net/http")
			require.Equal(t, tt.want, ours.String(), "h1")
		})
	}
}

// plays sends one message after the other, reading what comes.
func plays(messages ...string) func(stateful, *wiretest.Conn) {
	return func(_ stateful, nc *wiretest.Conn) {
		for _, m := range messages {
			_, _ = io.WriteString(nc, m)
			synctest.Wait()
		}
	}
}

// statesOf serves one connection, which its client closes in the end.
func statesOf(t *testing.T, s stateful, play func(stateful, *wiretest.Conn)) {
	bubble(t, func(t *testing.T) {
		l := wiretest.Listen()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		nc, err := l.Dial(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		play(s, nc.(*wiretest.Conn))
		_ = nc.Close()
		time.Sleep(10 * time.Second)
		_ = s.Close()
		<-served
	})
}
