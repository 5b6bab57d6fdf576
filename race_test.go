package h1_test

// The idle-close race on real sockets, scaled down. bench/cmd/race measures it.

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
)

// Thirty clients ask at the very age at which the server closes. Some requests
// may be lost while the limit is not known yet, and a busy machine may lose one
// later; none is done twice, and by far the most succeed, where net/http's
// Transport loses a third of the POSTs.
func TestPOSTsSurviveTheIdleCloseRace(t *testing.T) {
	const clients, turns, limit = 30, 12, 100 * time.Millisecond
	var times [clients * turns]atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n, _ := strconv.Atoi(string(body))
		times[n].Add(1)
	}))
	s.Config.IdleTimeout = limit
	s.Start()
	defer s.Close()
	tr := &h1.Transport{}
	defer tr.CloseIdleConnections()

	var failed atomic.Int64
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for turn := range turns {
				n := client*turns + turn
				req, _ := http.NewRequest("POST", s.URL, strings.NewReader(strconv.Itoa(n)))
				res, err := tr.RoundTrip(req)
				if err != nil {
					failed.Add(1)
				} else if _ = res.Body.Close(); times[n].Load() != 1 {
					t.Errorf("request %d was answered and not done", n)
				}
				time.Sleep(limit - limit/200)
			}
		})
	}
	all.Wait()
	for n := range times {
		require.LessOrEqual(t, times[n].Load(), int64(1), "request %d was done twice", n)
	}
	t.Logf("%d of %d failed", failed.Load(), clients*turns)
	require.Less(t, failed.Load(), int64(clients*turns/10))
}
