package compat

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1/h1test"

	"github.com/stretchr/testify/require"
)

// Files from a disk, whole and in ranges, over plain TCP, where the kernel
// moves them, and over TLS.
func TestFileServer(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large.txt"), []byte(large), 0o600))
	for way, start := range map[string]func(http.Handler) *h1test.Server{"plain": h1test.NewServer, "TLS": h1test.NewTLSServer} {
		t.Run(way, func(t *testing.T) {
			s := start(http.FileServer(http.Dir(dir)))
			defer s.Close()
			url := s.URL + "/large.txt"
			res, body := exchange(t, s.Client(), "GET", url, "")
			require.Equal(t, sha256.Sum256([]byte(large)), sha256.Sum256([]byte(body)))
			require.EqualValues(t, len(large), res.ContentLength)
			modified := res.Header.Get("Last-Modified")

			res, body = exchange(t, s.Client(), "GET", url, "", "Range: bytes=100-199")
			require.Equal(t, http.StatusPartialContent, res.StatusCode)
			require.Equal(t, fmt.Sprintf("bytes 100-199/%d", len(large)), res.Header.Get("Content-Range"))
			require.Equal(t, large[100:200], body)

			res, body = exchange(t, s.Client(), "GET", url, "", "Range: bytes=0-9,1000-1009")
			require.Equal(t, http.StatusPartialContent, res.StatusCode)
			_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
			require.NoError(t, err)
			parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
			for _, from := range []int{0, 1000} {
				p, err := parts.NextPart()
				require.NoError(t, err)
				text, err := io.ReadAll(p)
				require.NoError(t, err)
				require.Equal(t, large[from:from+10], string(text))
			}

			res, _ = exchange(t, s.Client(), "GET", url, "", "Range: bytes=99999999-")
			require.Equal(t, http.StatusRequestedRangeNotSatisfiable, res.StatusCode)
			res, _ = exchange(t, s.Client(), "GET", url, "", "If-Modified-Since: "+modified)
			require.Equal(t, http.StatusNotModified, res.StatusCode)
			res, body = exchange(t, s.Client(), "HEAD", url, "")
			require.EqualValues(t, len(large), res.ContentLength)
			require.Empty(t, body)
			s.Client().CloseIdleConnections()
			require.Equal(t, 1, connections(s))
		})
	}
}

func TestPprof(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s := serve(t, mux)
	for _, path := range []string{"", "cmdline", "symbol", "goroutine?debug=1", "heap", "profile?seconds=1", "trace?seconds=0.1"} {
		res, body := exchange(t, s.Client(), "GET", s.URL+"/debug/pprof/"+path, "")
		require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", path, body)
		require.NotEmpty(t, body, path)
	}
}

// pprof moves the write deadline for a profile that takes longer than the
// server's WriteTimeout, which it learns from the context's *http.Server.
func TestPprofOutlastsTheWriteTimeout(t *testing.T) {
	s := h1test.NewUnstartedServer(http.HandlerFunc(pprof.Profile))
	s.Config.WriteTimeout = 500 * time.Millisecond
	s.Start()
	defer s.Close()
	res, body := exchange(t, s.Client(), "GET", s.URL+"?seconds=1", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NotEmpty(t, body)
}

func TestCrossOriginProtection(t *testing.T) {
	p := http.NewCrossOriginProtection()
	require.NoError(t, p.AddTrustedOrigin("https://friend.example"))
	s := serve(t, p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "let in") })))
	for origin, status := range map[string]int{
		"https://evil.example": http.StatusForbidden, "https://friend.example": http.StatusOK, s.URL: http.StatusOK,
	} {
		res, _ := exchange(t, s.Client(), "POST", s.URL, large, "Origin: "+origin)
		require.Equal(t, status, res.StatusCode, origin)
	}
	res, _ := exchange(t, s.Client(), "POST", s.URL, "", "Sec-Fetch-Site: cross-site")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
}

// The context of a request in which nothing is asked of the connection ends
// with the client all the same.
func TestContextEndsWithTheClient(t *testing.T) {
	for way, start := range map[string]func(http.Handler) *h1test.Server{"plain": h1test.NewServer, "TLS": h1test.NewTLSServer} {
		t.Run(way, func(t *testing.T) {
			entered, told := make(chan struct{}), make(chan error, 1)
			s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(entered)
				<-r.Context().Done()
				told <- r.Context().Err()
			}))
			defer s.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-entered
				cancel()
			}()
			req, err := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("body"))
			require.NoError(t, err)
			_, err = s.Client().Do(req)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, <-told, context.Canceled)
		})
	}
}
