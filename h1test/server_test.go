package h1test_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { wiretest.Main(m, kept...) }

// kept are the goroutines that the process keeps for all servers.
var kept = []string{"internal/poll", "(*dispatcher).work"}

var greet = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.Host) })

func fetch(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	res, err := c.Get(url)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

func TestAServerIsReachedByItsClient(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *h1test.Server{
		"http": h1test.NewServer, "https": h1test.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			wiretest.NoLeaks(t, kept...)
			s := start(greet)
			require.Equal(t, name+"://"+s.Listener.Addr().String(), s.URL)
			for range 3 {
				require.Equal(t, "hello "+s.Listener.Addr().String(), fetch(t, s.Client(), s.URL))
			}
			require.Equal(t, "hello example.com", fetch(t, s.Client(), name+"://example.com"))
			require.Equal(t, "hello www.example.com", fetch(t, s.Client(), name+"://www.example.com/x"))
			require.Equal(t, name == "https", s.Certificate() != nil)
			s.Close()
			s.Close()
			_, err := s.Client().Get(s.URL)
			require.Error(t, err)
			requests := 0
			for _, c := range s.Ended() {
				requests += int(c.Requests)
			}
			require.Equal(t, 5, requests)
			require.Len(t, s.Ended(), 3, "one connection for each name")
		})
	}
}

func TestNetHTTPsClientKnowsTheCertificate(t *testing.T) {
	s := h1test.NewTLSServer(greet)
	defer s.Close()
	_, err := http.Get(s.URL)
	require.ErrorContains(t, err, "certificate")
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Client().Transport.(*h1.Transport).TLSClientConfig.RootCAs}}
	defer tr.CloseIdleConnections()
	require.Contains(t, fetch(t, &http.Client{Transport: tr}, s.URL), "hello")
}

func TestAnUnstartedServerCanBeChanged(t *testing.T) {
	states := make(chan http.ConnState, 10)
	events := make(chan h1.ConnEvent, 10)
	s := h1test.NewUnstartedServer(nil)
	require.Nil(t, s.Client())
	s.Config.Native = h1.NativeHandlerFunc(func(x *h1.Exchange) { _, _ = x.WriteString("native") })
	s.Config.KeepAlive.MaxRequests = 1
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) { states <- st }
	s.Config.OnConn = func(e h1.ConnEvent, _ h1.ConnInfo) { events <- e }
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	require.Panics(t, s.Start)
	require.EqualValues(t, tls.VersionTLS13, s.TLS.MinVersion)
	require.NotEmpty(t, s.TLS.Certificates)
	require.Equal(t, "native", fetch(t, s.Client(), s.URL))
	s.Close()
	require.Equal(t, h1.CloseMaxRequests, s.Ended()[0].Reason)
	require.Equal(t, http.StateNew, <-states)
	require.Equal(t, h1.EventOpened, <-events)

	unstarted := h1test.NewUnstartedServer(greet)
	unstarted.Close()
	_, err := unstarted.Listener.Accept() // to dial would be to ask who has the port now
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseWaitsForRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	answer := make(chan string, 1)
	go func() { answer <- fetch(t, s.Client(), s.URL) }()
	<-entered
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	require.Never(t, func() bool {
		select {
		case <-closed:
			return true
		default:
			return false
		}
	}, 50*time.Millisecond, 10*time.Millisecond)
	close(release)
	require.Equal(t, "done", <-answer)
	<-closed
}

func TestCloseClientConnections(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *h1test.Server{
		"http": h1test.NewServer, "https": h1test.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			entered := make(chan struct{})
			s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(entered)
					<-r.Context().Done()
				}
			}))
			defer s.Close()
			require.Empty(t, fetch(t, s.Client(), s.URL))
			failed := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			go func() {
				req, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/slow", nil)
				res, err := s.Client().Do(req)
				if err == nil {
					_ = res.Body.Close()
				}
				failed <- err
			}()
			<-entered
			s.CloseClientConnections()
			require.Error(t, <-failed)
			require.NoError(t, ctx.Err())
			require.Empty(t, fetch(t, s.Client(), s.URL), "the server goes on")
		})
	}
}

func TestAHijackedConnectionIsNotWaitedFor(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	s := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			hijacked <- nc
		}
	}))
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	far := <-hijacked
	s.CloseClientConnections()
	s.Close()
	fmt.Fprint(far, "still here\n")
	line, err := bufio.NewReader(nc).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "still here\n", line)
	require.NoError(t, far.Close())
	require.Equal(t, h1.CloseHijacked, s.Ended()[0].Reason)
}

// What httptest's Server has, ours has, but for HTTP/2.
func TestItHasAllThatHttptestHas(t *testing.T) {
	theirs, ours := reflect.TypeFor[httptest.Server](), reflect.TypeFor[h1test.Server]()
	var missing []string
	for _, f := range reflect.VisibleFields(theirs) {
		if _, ok := ours.FieldByName(f.Name); f.IsExported() && !ok {
			missing = append(missing, f.Name)
		}
	}
	require.Equal(t, []string{"EnableHTTP2"}, missing)
	for m := range reflect.TypeFor[*httptest.Server]().Methods() {
		own, ok := reflect.TypeFor[*h1test.Server]().MethodByName(m.Name)
		require.True(t, ok, m.Name)
		require.Equal(t, m.Type.NumOut(), own.Type.NumOut(), m.Name)
	}
}
