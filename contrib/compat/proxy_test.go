package compat

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"

	coder "github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// node is a server of either kind.
type node struct {
	url   string
	close func()
}

// kinds are h1's Server and net/http's.
var kinds = map[string]func(http.Handler) node{
	"h1": func(h http.Handler) node {
		s := h1test.NewServer(h)
		return node{s.URL, s.Close}
	},
	"net/http": func(h http.Handler) node {
		s := httptest.NewServer(h)
		return node{s.URL, s.Close}
	},
}

// backend is what is behind the proxy.
func backend() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ws", coderEcho)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Forwarded", r.Header.Get("X-Forwarded-For"))
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", fmt.Sprint(len(body)))
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; r.Context().Err() == nil; i++ { // until the client goes
			fmt.Fprintf(w, "data: %d\n\n", i)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, large)
		panic(http.ErrAbortHandler)
	})
	return mux
}

// Every pair of servers, with either Transport between them.
func TestReverseProxy(t *testing.T) {
	for front, startFront := range kinds {
		for back, startBack := range kinds {
			for client, rt := range transports(t) {
				if front == "net/http" && client != "h1's Transport" && back == "net/http" {
					continue // nothing of h1's
				}
				t.Run(front+" before "+back+" by "+client, func(t *testing.T) {
					b := startBack(backend())
					defer b.close()
					target, err := url.Parse(b.url)
					require.NoError(t, err)
					p := httputil.NewSingleHostReverseProxy(target)
					p.Transport = rt
					p.ErrorLog = log.New(io.Discard, "", 0)
					f := startFront(p)
					defer f.close()
					defer rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
					through(t, f.url)
				})
			}
		}
	}
}

// through asks for everything that goes through a proxy.
func through(t *testing.T, url string) {
	tr := &h1.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}

	res, body := exchange(t, c, "POST", url+"/echo", large)
	require.Equal(t, large, body)
	require.Equal(t, fmt.Sprint(len(large)), res.Trailer.Get("X-Sum"))
	require.Equal(t, "127.0.0.1", res.Header.Get("X-Forwarded"))

	// A body of unknown length. (ReverseProxy forwards no trailers of requests.)
	req, err := http.NewRequest("POST", url+"/echo", io.MultiReader(strings.NewReader("chunk"), strings.NewReader("ed")))
	require.NoError(t, err)
	res, err = c.Do(req)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "chunked", string(got))
	require.NoError(t, res.Body.Close())
	require.Equal(t, "7", res.Trailer.Get("X-Sum"))

	res, _ = exchange(t, c, "HEAD", url+"/echo", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	res, _ = exchange(t, c, "GET", url+"/hints", "")
	require.Equal(t, http.StatusTeapot, res.StatusCode)

	streamed(t, c, url)
	half(t, c, url)

	// Another protocol.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, _, err := coder.Dial(ctx, url+"/ws", &coder.DialOptions{HTTPClient: c})
	require.NoError(t, err)
	ws.SetReadLimit(-1)
	for _, m := range messages {
		require.NoError(t, ws.Write(ctx, coder.MessageText, []byte(m)))
		_, p, err := ws.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, m, string(p))
	}
	require.NoError(t, ws.Close(coder.StatusNormalClosure, ""))
}

// streamed reads a few events as they come and goes away.
func streamed(t *testing.T, c *http.Client, url string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/events", nil)
	require.NoError(t, err)
	res, err := c.Do(req)
	require.NoError(t, err)
	r := bufio.NewReader(res.Body)
	for i := range 3 {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("data: %d\n", i), line)
		_, _ = r.ReadString('\n')
	}
	require.NoError(t, res.Body.Close()) // the servers' Close, which waits for the handlers, shows that they learn of it
}

// half asks for an answer that breaks off, which must not pass for a whole one.
func half(t *testing.T, c *http.Client, url string) {
	res, err := c.Get(url + "/half")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	require.Error(t, err)
	require.False(t, errors.Is(err, context.Canceled))
}
