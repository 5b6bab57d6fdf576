package h1

// What net/http's Server has, ours has: the names by reflection, so that a new
// version of Go shows what it added.

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// notOurs are the exported fields of net/http's Server that h1's does not have,
// each with its reason.
var notOurs = map[string]string{
	"HTTP2":     "configures HTTP/2, which is for whom TLSNextProto hands the connection to",
	"Protocols": "switches net/http's own HTTP/2 on and off; TLSNextProto says which protocols there are",
}

// otherType are those whose type differs by more than Server's own name.
var otherType = map[string]string{}

func TestTheServerHasAllThatNetHTTPsHas(t *testing.T) {
	theirs, ours := reflect.TypeFor[http.Server](), reflect.TypeFor[Server]()
	missing, known := map[string]string{}, map[string]string{}
	for _, f := range reflect.VisibleFields(theirs) {
		if !f.IsExported() {
			continue
		}
		own, ok := ours.FieldByName(f.Name)
		switch {
		case !ok:
			missing[f.Name] = notOurs[f.Name]
		case own.Type.String() != asOurs(f.Type):
			known[f.Name] = own.Type.String() + " and not " + asOurs(f.Type)
		}
	}
	require.Equal(t, notOurs, missing, "fields of net/http's Server that ours has not")
	require.Equal(t, otherType, known, "fields of another type")

	theirs, ours = reflect.TypeFor[*http.Server](), reflect.TypeFor[*Server]()
	for m := range theirs.Methods() {
		own, ok := ours.MethodByName(m.Name)
		require.True(t, ok, "h1's Server has no method %s", m.Name)
		require.Equal(t, asOurs(m.Type), own.Type.String(), m.Name)
	}
}

// asOurs is a type of net/http's as it would be written of h1's Server.
func asOurs(t reflect.Type) string {
	return strings.ReplaceAll(t.String(), "*http.Server", "*h1.Server")
}

// What can be asked of net/http's ResponseWriter, directly or through
// http.ResponseController, can be asked of ours.
func TestTheResponseWriterHasAllThatNetHTTPsHas(t *testing.T) {
	var theirs map[string]bool
	methods := func(w http.ResponseWriter) map[string]bool {
		names := map[string]bool{}
		for m := range reflect.TypeOf(w).Methods() {
			names[m.Name] = true
		}
		return names
	}
	c := contract{request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) { theirs = methods(w) }}
	bubble(t, func(t *testing.T) { c.answer(t, c.byNetHTTP) })
	ours := methods(&responseWriter{})
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		require.Contains(t, ours, name)
	}
}

// An application may close the net.Conn that ConnContext or ConnState gave it.
// At the poller nothing tells of that, and the handler used to wait for good.
func TestAConnectionClosedUnderItsHandlerEndsTheContext(t *testing.T) {
	type key struct{}
	told := make(chan bool, 1)
	a := serveTCP(t, &Server{
		IdleTimeout: 2 * time.Second, // so that it is looked for often
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, key{}, nc) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.Context().Value(key{}).(net.Conn).Close()
			select {
			case <-r.Context().Done():
				told <- true
			case <-time.After(20 * time.Second):
				told <- false
			}
		}),
	})
	k := a.talk(t)
	k.Send(get("/"))
	require.True(t, <-told)
	k.ExpectEOF()
}

// net/http removes them. They used to stay until somebody tidied the disk.
func TestFilesOfAnUploadAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	names := make(chan string, 2)
	v := serveOne(t, &Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requireIs(r.ParseMultipartForm(1), nil)
		f, _, err := r.FormFile("f")
		requireIs(err, nil)
		defer func() { _ = f.Close() }()
		names <- f.(*os.File).Name()
		if r.URL.Path == "/panic" {
			panic("oops")
		}
	})})
	upload := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n" + strings.Repeat(large, 20<<20/len(large)) + "\r\n--b--\r\n"
	for _, path := range []string{"/", "/panic"} {
		v.Send(post(path, upload, "Content-Type: multipart/form-data; boundary=b"))
		if path == "/" {
			v.ExpectHead("HTTP/1.1 200 OK")
		} else {
			v.ExpectEOF()
		}
		_, err := os.Stat(<-names)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

// With net/http the time for a head runs from when its connection was accepted,
// and a new connection is never idle. Here it is, so that a client may connect
// ahead of its requests.
func TestANewConnectionWaitsAsAnIdleOneDoes(t *testing.T) {
	ends := func(t *testing.T, serve func(*contract, net.Listener) func()) time.Duration {
		c := contract{config: func(s *http.Server) {
			s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout = time.Second, 2*time.Second, 4*time.Second
		}}
		l := wiretest.Listen()
		defer serve(&c, l)()
		nc, err := l.Dial(context.Background())
		require.NoError(t, err)
		defer func() { _ = nc.Close() }()
		began := time.Now()
		_ = nc.SetReadDeadline(began.Add(time.Minute))
		rest, err := io.ReadAll(nc)
		require.NoError(t, err, "it is closed")
		require.Empty(t, rest)
		return time.Since(began).Round(100 * time.Millisecond)
	}
	bubble(t, func(t *testing.T) {
		require.Equal(t, time.Second, ends(t, (*contract).byNetHTTP))
		require.Equal(t, 4*time.Second, ends(t, (*contract).byH1))
	})
}

func TestConnContextIsCalledWhenThereIsSomethingToServe(t *testing.T) {
	told := make(chan string, 10)
	a := serveTCP(t, &Server{
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			told <- "context"
			return ctx
		},
		ConnState: func(_ net.Conn, state http.ConnState) { told <- state.String() },
		Handler:   http.NotFoundHandler(),
	})
	k := a.talk(t)
	require.Equal(t, "new", <-told)
	k.Send(get("/", "Connection: close"))
	for _, what := range []string{"context", "active", "closed"} {
		require.Equal(t, what, <-told)
	}
}

// At the poller the system tells of the client's end; net/http notices nothing
// while octets of a body wait to be read.
func TestAHangupCancelsThoughTheBodyIsUnread(t *testing.T) {
	needPoller(t)
	cancelled := make(chan bool, 1)
	a := serveTCP(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			cancelled <- true
		case <-time.After(20 * time.Second):
			cancelled <- false
		}
	})})
	nc, err := a.dial()
	require.NoError(t, err)
	_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\nhello")
	require.NoError(t, err)
	require.NoError(t, nc.Close())
	require.True(t, <-cancelled)
}

// namelessConn is a net.Conn of somebody's own that has no addresses.
type namelessConn struct{ net.Conn }

func (namelessConn) LocalAddr() net.Addr  { return nil }
func (namelessConn) RemoteAddr() net.Addr { return nil }

// One without an address used to end with a panic in the log, before its first
// request.
func TestAConnectionNeedsNoAddress(t *testing.T) {
	for name, s := range map[string]*Server{
		"http.Handler": {Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.RemoteAddr+"served")
		})},
		"native": {Native: NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(200, "", []byte("served")) })},
		"with limits and a log": {MaxConnsPerSource: 1, Logger: slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Native: NativeHandlerFunc(func(x *Exchange) { _ = x.Reply(200, "", []byte("served")) })},
	} {
		t.Run(name, func(t *testing.T) {
			var logged syncBuffer
			s.ErrorLog = log.New(&logged, "", 0)
			near, far := wiretest.Pair()
			served := make(chan error, 1)
			go func() { served <- s.ServeConn(namelessConn{far}) }()
			k := wiretest.NewTalk(t, near)
			k.Send(get("/", "Connection: close"))
			k.ExpectHead("HTTP/1.1 200 OK")
			k.Expect("served")
			k.ExpectEOF()
			require.NoError(t, near.Close())
			require.NoError(t, <-served)
			require.Empty(t, logged.String())
		})
	}
}

// slowlyNamedConn tells its peer's address when it knows it, as a connection does
// that begins with a PROXY line.
type slowlyNamedConn struct {
	net.Conn
	known chan struct{}
}

func (c slowlyNamedConn) RemoteAddr() net.Addr {
	<-c.known
	return c.Conn.RemoteAddr()
}

// slowlyNamedListener has all its connections wait for their names.
type slowlyNamedListener struct {
	net.Listener
	known chan chan struct{}
}

func (l slowlyNamedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowlyNamedConn{nc, <-l.known}, nil
}

// As with net/http, nobody who is accepted waits for another's address.
func TestAnAddressThatIsLongInComingHoldsUpNobodyElse(t *testing.T) {
	l := slowlyNamedListener{wiretest.Listen(), make(chan chan struct{}, 2)}
	s := &Server{
		ConnState: func(net.Conn, http.ConnState) {},
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr[:3]) }),
	}
	a := startOn(t, s, l, s.Serve, func() (net.Conn, error) { return l.Listener.(*wiretest.Listener).Dial(t.Context()) })
	late, soon := make(chan struct{}), make(chan struct{})
	close(soon)
	l.known <- late
	l.known <- soon
	first, second := a.talk(t), a.talk(t)
	for _, k := range []*wiretest.Talk{second, first} {
		k.Send(get("/", "Connection: close"))
		k.ExpectHead("HTTP/1.1 200 OK")
		k.Expect("mem")
		k.ExpectEOF()
		if k == second {
			close(late)
		}
	}
}

// secretDir is a directory that cannot be listed.
type secretDir struct{ http.File }

func (secretDir) Readdir(int) ([]os.FileInfo, error) { return nil, errors.New("secret") }

type secretFS struct{ http.FileSystem }

func (fs secretFS) Open(name string) (http.File, error) {
	f, err := fs.FileSystem.Open(name)
	return secretDir{f}, err
}

// net/http's handlers look for a server's log in the request's context. Where
// only Logger was set, what they had to say went to the standard logger.
func TestHandlersOfNetHTTPFindTheLog(t *testing.T) {
	for name, log := range map[string]func(*syncBuffer) *Server{
		"ErrorLog": func(b *syncBuffer) *Server { return &Server{ErrorLog: log.New(b, "", 0)} },
		"Logger":   func(b *syncBuffer) *Server { return &Server{Logger: slog.New(slog.NewTextHandler(b, nil))} },
	} {
		t.Run(name, func(t *testing.T) {
			var logged syncBuffer
			s := log(&logged)
			s.Handler = http.FileServer(secretFS{http.Dir(t.TempDir())})
			v := serveOne(t, s)
			v.Send(get("/"))
			v.ExpectHead("HTTP/1.1 500 Internal Server Error")
			v.over()
			require.Contains(t, logged.String(), "error reading directory: secret")
		})
	}
}

// Close used to leave a handler at the poller alone that waits for its context.
func TestCloseEndsTheContexts(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"of a handler that waits": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"of a handler that looks": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			entered := make(chan struct{})
			a := serveTCP(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(entered)
				handler(w, r)
			})})
			k := a.talk(t)
			k.Send(get("/"))
			<-entered
			require.NoError(t, a.Close())
			k.ExpectEOF()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			require.NoError(t, a.Shutdown(ctx), "it waits for the handler")
		})
	}
}
