package h1debug_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1debug"
	"github.com/h1go/h1/h1test"

	"github.com/stretchr/testify/require"
)

// crowd is a server with one connection at work, one idle and one silent, and
// their addresses.
func crowd(t *testing.T) (s *h1.Server, active, idle, silent string) {
	over, begun := make(chan struct{}), make(chan struct{})
	srv := h1test.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-over
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(func() { close(over); srv.Close() })
	connect := func(path string) net.Conn {
		nc, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = nc.Close() })
		if path != "" {
			_, err = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			require.NoError(t, err)
		}
		return nc
	}
	busy := connect("/slow")
	<-begun
	rests := connect("/")
	_, err := http.ReadResponse(bufio.NewReader(rests), nil)
	require.NoError(t, err)
	quiet := connect("")
	require.Eventually(t, func() bool {
		st := srv.Config.Stats()
		return st.Active == 1 && st.Idle == 1 && st.New == 1
	}, 10*time.Second, time.Millisecond)
	return srv.Config, busy.LocalAddr().String(), rests.LocalAddr().String(), quiet.LocalAddr().String()
}

func ask(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w
}

type shown struct {
	Name  string
	Stats struct {
		Open, Active int
	}
	Open        int
	Connections []struct{ Remote, State string }
}

func TestConnectionsAsJSON(t *testing.T) {
	s, active, idle, silent := crowd(t)
	h := h1debug.Handler(h1debug.Server("public", s), h1debug.Transport("none", &h1.Transport{}))
	w := ask(t, h, "/?format=json")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var got []shown
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got, 2)
	public := got[0]
	require.Equal(t, "public", public.Name)
	require.Equal(t, []int{3, 3, 1}, []int{public.Open, public.Stats.Open, public.Stats.Active})
	require.Len(t, public.Connections, 3)
	require.Equal(t, active, public.Connections[0].Remote, "the busy one comes first")
	require.Equal(t, "active", public.Connections[0].State)
	require.ElementsMatch(t, []string{idle, silent}, []string{public.Connections[1].Remote, public.Connections[2].Remote})
	require.Equal(t, "none", got[1].Name)
	require.Empty(t, got[1].Connections)

	require.NoError(t, json.Unmarshal(ask(t, h, "/?format=json&n=1").Body.Bytes(), &got))
	require.Equal(t, 3, got[0].Open)
	require.Len(t, got[0].Connections, 1)
	require.Equal(t, http.StatusBadRequest, ask(t, h, "/?n=-1").Code)
}

func TestConnectionsAsAPage(t *testing.T) {
	s, active, idle, silent := crowd(t)
	w := ask(t, h1debug.Handler(h1debug.Server("<public>", s)), "/")
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	body := w.Body.String()
	require.Contains(t, body, "<h1>&lt;public&gt;</h1>")
	require.Contains(t, body, "3 open")
	for _, addr := range []string{active, idle, silent} {
		require.Contains(t, body, "<td>"+addr+"<td>")
	}
	require.Contains(t, body, `<tr class="active">`)
	require.Contains(t, body, "</table>", "the template was carried out to its end")
}
