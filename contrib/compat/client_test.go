package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/h1test"

	"github.com/stretchr/testify/require"
)

// clientOf is an http.Client over h1's Transport alone: a redirect to another
// host needs no server for example.com.
func clientOf(t *testing.T) *http.Client {
	tr := &h1.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestHTTPClientKeepsCookies(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 0
		if c, err := r.Cookie("n"); err == nil {
			_, _ = fmt.Sscan(c.Value, &n)
		}
		http.SetCookie(w, &http.Cookie{Name: "n", Value: fmt.Sprint(n + 1), Path: "/"})
		fmt.Fprint(w, n)
	}))
	c := clientOf(t)
	var err error
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	for n := range 3 {
		_, body := exchange(t, c, "GET", s.URL, "")
		require.Equal(t, fmt.Sprint(n), body)
	}
}

func TestHTTPClientFollowsRedirects(t *testing.T) {
	mux := http.NewServeMux()
	for _, code := range []int{301, 302, 303, 307, 308} {
		mux.HandleFunc(fmt.Sprintf("/%d", code), func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end?a=b", code) })
	}
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, body, r.Header.Get("Referer"))
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	s := serve(t, mux)
	c := clientOf(t)
	for _, code := range []int{301, 302, 303} {
		_, body := exchange(t, c, "POST", fmt.Sprintf("%s/%d", s.URL, code), "body")
		require.Equal(t, fmt.Sprintf("GET  %s/%d", s.URL, code), body, "%d", code)
	}
	for _, code := range []int{307, 308} { // the body is had anew from GetBody
		_, body := exchange(t, c, "POST", fmt.Sprintf("%s/%d", s.URL, code), "body")
		require.Equal(t, fmt.Sprintf("POST body %s/%d", s.URL, code), body)
	}
	_, err := c.Get(s.URL + "/loop")
	require.ErrorContains(t, err, "10 redirects")
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, _ := exchange(t, c, "GET", s.URL+"/302", "")
	require.Equal(t, http.StatusFound, res.StatusCode)
	c.CloseIdleConnections()
	require.Equal(t, 1, connections(s), "also those that are passed over are drained")
}

// Credentials do not follow to another host.
func TestHTTPClientDropsCredentials(t *testing.T) {
	other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.Header["Authorization"])) }))
	s := h1test.NewServer(http.RedirectHandler(strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusFound))
	defer s.Close()
	_, body := exchange(t, clientOf(t), "GET", s.URL, "", "Authorization: Basic abc")
	require.Equal(t, "0", body)
}

func TestHTTPClientTimesOut(t *testing.T) {
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/head", func(w http.ResponseWriter, r *http.Request) { <-release })
	mux.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	s := serve(t, mux)
	defer close(release)
	for _, path := range []string{"/head", "/body"} {
		c := clientOf(t)
		c.Timeout = 50 * time.Millisecond
		res, err := c.Get(s.URL + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		} else {
			_, ok := errors.AsType[*url.Error](err)
			require.True(t, ok, "%v", err)
		}
		require.Error(t, err, path)
		require.True(t, os.IsTimeout(err), "%v", err)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout(), "%v", err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/head", nil)
	require.NoError(t, err)
	_, err = clientOf(t).Do(req)
	require.ErrorIs(t, err, context.Canceled)
}
