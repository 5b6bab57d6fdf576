package compat

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// gorillaEcho sends every message back, by github.com/gorilla/websocket.
var gorillaEcho = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	up := gorilla.Upgrader{EnableCompression: true}
	c, err := up.Upgrade(w, r, http.Header{"X-From": {"gorilla"}})
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		if c.WriteMessage(kind, p) != nil {
			return
		}
	}
})

// coderEcho does the same by github.com/coder/websocket.
var coderEcho = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(-1)
	for {
		kind, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, p) != nil {
			return
		}
	}
})

// messages are what is sent there and back.
var messages = []string{"hello", "", strings.Repeat("large ", 50_000)}

// byGorilla talks as a client of github.com/gorilla/websocket.
func byGorilla(t *testing.T, s *h1test.Server) {
	d := gorilla.Dialer{TLSClientConfig: trusting(s), EnableCompression: true}
	c, res, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	for _, m := range messages {
		require.NoError(t, c.WriteMessage(gorilla.TextMessage, []byte(m)))
		_, got, err := c.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, m, string(got))
	}
	require.NoError(t, c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""), time.Now().Add(10*time.Second)))
	_, _, err = c.ReadMessage()
	require.True(t, gorilla.IsCloseError(err, gorilla.CloseNormalClosure), "%v", err)
	require.NoError(t, c.Close())
}

// byCoder talks as a client of github.com/coder/websocket, whose connection is
// made by an http.RoundTripper.
func byCoder(rt func(*h1test.Server) http.RoundTripper) func(*testing.T, *h1test.Server) {
	return func(t *testing.T, s *h1test.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, res, err := coder.Dial(ctx, s.URL, &coder.DialOptions{HTTPClient: &http.Client{Transport: rt(s)}, CompressionMode: coder.CompressionContextTakeover})
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		c.SetReadLimit(-1)
		for _, m := range messages {
			require.NoError(t, c.Write(ctx, coder.MessageText, []byte(m)))
			_, got, err := c.Read(ctx)
			require.NoError(t, err)
			require.Equal(t, m, string(got))
		}
		require.NoError(t, c.Close(coder.StatusNormalClosure, ""))
	}
}

func trusting(s *h1test.Server) *tls.Config {
	return s.Client().Transport.(*h1.Transport).TLSClientConfig
}

func TestWebSocket(t *testing.T) {
	servers := map[string]http.Handler{"gorilla's server": gorillaEcho, "coder's server": coderEcho}
	clients := map[string]func(*testing.T, *h1test.Server){
		"gorilla's client":               byGorilla,
		"coder's over h1's Transport":    byCoder(func(s *h1test.Server) http.RoundTripper { return s.Client().Transport }),
		"coder's over net/http's client": byCoder(func(s *h1test.Server) http.RoundTripper { return &http.Transport{TLSClientConfig: trusting(s)} }),
	}
	ways := map[string]func(http.Handler) *h1test.Server{"ws": h1test.NewServer, "wss": h1test.NewTLSServer}
	for server, handler := range servers {
		for client, talk := range clients {
			for way, start := range ways {
				t.Run(server+", "+client+", "+way, func(t *testing.T) {
					s := start(handler)
					defer s.Close()
					talk(t, s)
				})
			}
		}
	}
}

// A handler that refuses leaves the connection as it was, and plain requests
// to a WebSocket's path get their answer.
func TestWebSocketRefused(t *testing.T) {
	for name, handler := range map[string]http.Handler{"gorilla": gorillaEcho, "coder": coderEcho} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler)
			for range 2 {
				res, _ := exchange(t, s.Client(), "GET", s.URL, "")
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUpgradeRequired}, res.StatusCode)
			}
			s.Client().CloseIdleConnections()
			require.Equal(t, 1, connections(s))
		})
	}
}

// The client's idle connection is not lost to one that switched.
func TestWebSocketBesideRequests(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/ws", gorillaEcho)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "plain") })
	s := serve(t, mux)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, body := exchange(t, s.Client(), "GET", s.URL, "")
	require.Equal(t, "plain", body)
	c, _, err := coder.Dial(ctx, s.URL+"/ws", &coder.DialOptions{HTTPClient: s.Client()})
	require.NoError(t, err)
	for range 3 {
		_, body = exchange(t, s.Client(), "GET", s.URL, "")
		require.Equal(t, "plain", body)
		require.NoError(t, c.Write(ctx, coder.MessageBinary, []byte{1, 2}))
		_, got, err := c.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, []byte{1, 2}, got)
	}
	require.NoError(t, c.Close(coder.StatusNormalClosure, "bye"))
}
