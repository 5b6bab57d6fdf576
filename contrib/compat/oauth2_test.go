package compat

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/h1go/h1/h1test"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// golang.org/x/oauth2 asks for its token, and for all else, by the Transport of
// the client in its context.
func TestOAuth2(t *testing.T) {
	var tokens atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok || id != "id" || secret != "secret" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		tokens.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "secret token", "token_type": "Bearer", "expires_in": 3600})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("Authorization"))) })
	s := h1test.NewTLSServer(mux)
	defer s.Close()
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: s.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader}
	c := config.Client(context.WithValue(t.Context(), oauth2.HTTPClient, s.Client()))
	for range 3 {
		_, body := exchange(t, c, "POST", s.URL+"/", large)
		require.Equal(t, "Bearer secret token", body)
	}
	require.EqualValues(t, 1, tokens.Load())
	s.Client().CloseIdleConnections()
	require.Equal(t, 1, connections(s), "the token came over the same connection")
}
