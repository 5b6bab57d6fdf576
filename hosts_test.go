package h1

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAHostIsWhatItIsHoweverOftenItWasAskedFor(t *testing.T) {
	tests := []struct {
		url, addr, field, err string
	}{
		{url: "http://h.example", addr: "h.example:80", field: "h.example"},
		{url: "https://h.example", addr: "h.example:443", field: "h.example"},
		{url: "http://h.example:443", addr: "h.example:443", field: "h.example:443"},
		{url: "http://H.Example", addr: "h.example:80", field: "H.Example"},
		{url: "http://b\u00fccher.example", addr: "xn--bcher-kva.example:80", field: "xn--bcher-kva.example"},
		{url: "http://[fe80::1%25eth0]:8080", addr: "[fe80::1%eth0]:8080", field: "[fe80::1]:8080"},
		{url: "ftp://h.example", err: `unsupported scheme "ftp"`},
		{url: "http://", err: "request URL has no host"},
		{url: "http://" + strings.Repeat("a.", 200) + "example", addr: strings.Repeat("a.", 200) + "example:80", field: strings.Repeat("a.", 200) + "example"},
	}
	var hc hostCache
	for range 3 {
		for _, tt := range tests {
			u, err := url.Parse(tt.url)
			require.NoError(t, err)
			h, err := hc.of(u)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, originKey{scheme: u.Scheme, addr: tt.addr}, h.key)
			require.Equal(t, tt.field, h.fieldFor(&http.Request{URL: u}))
		}
	}
	_, err := hc.of(nil)
	require.EqualError(t, err, "request has no URL")
}

func TestARequestSaysItsOwnHost(t *testing.T) {
	var hc hostCache
	h, err := hc.of(&url.URL{Scheme: "http", Host: "a.example"})
	require.NoError(t, err)
	require.Equal(t, "a.example", h.fieldFor(&http.Request{Host: "a.example"}))
	require.Empty(t, h.fieldFor(&http.Request{Host: "b.example"}), "another one is for the head to judge")
}

// Hosts past the cache's room take each other's places, and long ones none.
func TestTheHostCacheKeepsItsSize(t *testing.T) {
	var hc hostCache
	for i := range 10 * len(hc) {
		u := &url.URL{Scheme: "http", Host: fmt.Sprintf("h%d.example", i)}
		h, err := hc.of(u)
		require.NoError(t, err)
		require.Equal(t, u.Host+":80", h.key.addr)
		again, err := hc.of(u)
		require.NoError(t, err)
		require.Same(t, h, again)
	}
	long := &url.URL{Scheme: "http", Host: strings.Repeat("a", longHost+1)}
	h, err := hc.of(long)
	require.NoError(t, err)
	again, err := hc.of(long)
	require.NoError(t, err)
	require.NotSame(t, h, again)
}
