package h1_test

// Servers that other people wrote, each driven over its limits: the requests
// that a connection may carry, and the time that it may be idle. Nobody may
// notice that connections end, and every answer has to be the asker's own.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// realOrigin is a server whose answers name their request.
type realOrigin struct {
	start func(t *testing.T) (addr string)
	limit int64         // requests that a connection may carry; 0: it varies
	idle  time.Duration // how long one may be idle
}

var realOrigins = map[string]realOrigin{
	"nginx": {func(t *testing.T) string {
		addr, _ := startNginx(t, "origin.conf", "", nil)
		return addr
	}, 3, time.Second},
	"apache":   {startApache, 6, 2 * time.Second},
	"haproxy":  {startHAProxy, 0, time.Second},
	"node":     {startNode, 5, 2 * time.Second},
	"net-http": {startNetHTTP, 0, time.Second},
}

// configure fills in a configuration from testdata.
func configure(t *testing.T, file, dir string, values map[string]string) (path string) {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata", file))
	require.NoError(t, err)
	var conf bytes.Buffer
	require.NoError(t, tmpl.Execute(&conf, values))
	path = filepath.Join(dir, "conf")
	require.NoError(t, os.WriteFile(path, conf.Bytes(), 0o644))
	return path
}

func startApache(t *testing.T) string {
	apache := wiretest.Program(t, "apache2")
	dir := t.TempDir()
	// It reads files as a user of its own, who has to get there.
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "files"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "files", "named"), []byte("hello"), 0o644))
	addr, _ := wiretest.StartOnPort(t, func(addr string) *exec.Cmd {
		conf := configure(t, "apache/origin.conf", dir, map[string]string{"Dir": dir, "Listen": addr, "Modules": "/usr/lib/apache2/modules"})
		return exec.Command(apache, "-f", conf, "-D", "FOREGROUND")
	})
	return addr
}

func startHAProxy(t *testing.T) string {
	haproxy := wiretest.Program(t, "haproxy")
	dir := t.TempDir()
	addr, _ := wiretest.StartOnPort(t, func(addr string) *exec.Cmd {
		return exec.Command(haproxy, "-db", "-q", "-f", configure(t, "haproxy/origin.conf", dir, map[string]string{"Listen": addr}))
	})
	return addr
}

func startNetHTTP(t *testing.T) string {
	var answers atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Named", r.Method+" "+r.URL.RawQuery)
		if answers.Add(1)%5 == 0 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, "hello")
	}))
	s.Config.IdleTimeout = time.Second
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// named asks once, and tells what is wrong with the answer.
func named(client *http.Client, addr, id string, body []byte) error {
	method, r := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, r = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+addr+"/named?"+id, r)
	if err != nil {
		return err
	}
	res, answer, err := wholeAnswer(client, req)
	switch want := method + " " + id; {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK || string(answer) != "hello":
		return fmt.Errorf("%s: %q", res.Status, answer)
	case res.Header.Get("X-Named") != want:
		return fmt.Errorf("the answer to %q is that to %q", want, res.Header.Get("X-Named"))
	}
	return nil
}

// A server that closes what is idle may close it under a request that was on its way,
// when one of the two stood still in between. That cannot be told from one that had
// the request, so a POST is lost then; but only then.
func TestNoRequestIsLostOverTheLimitsOfRealServers(t *testing.T) {
	for name, o := range realOrigins {
		t.Run(name, func(t *testing.T) {
			addr := o.start(t)
			wiretest.Steadily(t, o.idle/8, func() error { return overTheLimits(t, o, addr) })
		})
	}
}

// overTheLimits has many workers ask a server, and gives the POSTs that were lost on
// a connection that had been used before; all else fails the test.
func overTheLimits(t *testing.T, o realOrigin, addr string) error {
	const workers = 64
	each := 50
	if testing.Short() {
		each = 10
	}
	tr := &h1.Transport{}
	client, book := h1Client(t, tr)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var lost error
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range each {
				if i == each/2 && w%2 == 0 {
					time.Sleep(o.idle + o.idle/4) // till the server has closed what is idle
				}
				var body []byte
				if rnd.IntN(2) == 0 {
					body = payload(1 + rnd.IntN(20_000))
				}
				err := named(client, addr, fmt.Sprintf("id=%d-%d", w, i), body)
				var f *h1.RequestError
				switch {
				case err == nil:
				case errors.As(err, &f) && f.Outcome == h1.OutcomeMaybeProcessed && f.Before > 0 && body != nil:
					mu.Lock()
					lost = errors.Join(lost, fmt.Errorf("request %d of worker %d: %w", i, w, err))
					mu.Unlock()
				default:
					t.Errorf("request %d of worker %d: %v", i, w, err)
				}
			}
		})
	}
	wg.Wait()
	conns := book.end(t, client)
	require.Eventually(t, func() bool { return tr.Stats().Total.Open == 0 }, patience, time.Millisecond, "they are counted when they have ended")
	st := tr.Stats().Total
	t.Logf("%d requests on %d connections, %d reuses, %v", st.Requests, st.Dials, st.Reuses, st.Closed)
	require.GreaterOrEqual(t, st.Requests, int64(workers*each))
	require.Greater(t, st.Reuses, int64(workers*each)/4)
	require.EqualValues(t, len(conns), st.Closed.Total())
	require.Zero(t, st.Closed[h1.CloseBadPeer])
	for _, c := range conns {
		if o.limit > 0 {
			require.LessOrEqual(t, c.Requests, o.limit)
		}
	}
	return lost
}
