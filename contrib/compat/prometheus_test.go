package compat

import (
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
)

// promhttp picks its wrapper by which of http.Flusher, http.Hijacker,
// http.CloseNotifier and io.ReaderFrom a ResponseWriter has.
func TestPrometheus(t *testing.T) {
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"code", "method"})
	sizes := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "size", Buckets: []float64{1, 1 << 30}}, nil)
	registry.MustRegister(requests, sizes)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, needed := range []bool{is[http.Flusher](w), is[http.Hijacker](w), is[io.ReaderFrom](w)} {
			require.True(t, needed)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, large)
	})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/", promhttp.InstrumentHandlerCounter(requests, promhttp.InstrumentHandlerResponseSize(sizes, page)))
	s := serve(t, mux)
	for range 3 {
		_, body := exchange(t, s.Client(), "GET", s.URL, "")
		require.Equal(t, large, body)
	}
	_, metrics := exchange(t, s.Client(), "GET", s.URL+"/metrics", "")
	require.Contains(t, metrics, `requests_total{code="418",method="get"} 3`)
	require.Contains(t, metrics, "size_sum 786432")
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}
