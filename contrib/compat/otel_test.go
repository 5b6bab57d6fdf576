package compat

import (
	"io"
	"net/http"
	"testing"

	"github.com/h1go/h1"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// otelhttp wraps the ResponseWriter and the RoundTripper, reads what they tell
// of sizes and status, and carries the trace from one to the other.
func TestOpenTelemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(propagation.TraceContext{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo/{name}", func(w http.ResponseWriter, r *http.Request) {
		require.True(t, trace.SpanContextFromContext(r.Context()).IsValid())
		require.NoError(t, http.NewResponseController(w).EnableFullDuplex()) // the wrapper has what it wraps
		w.(http.Flusher).Flush()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		_, _ = w.Write(body)
	})
	s := serve(t, otelhttp.NewHandler(mux, "server", options...))
	tr := &h1.Transport{}
	c := &http.Client{Transport: otelhttp.NewTransport(tr, options...)}
	_, body := exchange(t, c, "POST", s.URL+"/echo/x", large)
	require.Equal(t, large, body)
	res, _ := exchange(t, c, "GET", s.URL+"/nothing", "")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	tr.CloseIdleConnections()
	require.Equal(t, 1, connections(s))

	ended := spans.Ended()
	require.Len(t, ended, 4)
	byKind := map[trace.SpanKind][]sdktrace.ReadOnlySpan{}
	for _, span := range ended {
		byKind[span.SpanKind()] = append(byKind[span.SpanKind()], span)
	}
	for i, want := range []struct{ status, size int64 }{{200, int64(len(large))}, {404, 19}} {
		server, client := byKind[trace.SpanKindServer][i], byKind[trace.SpanKindClient][i]
		require.Equal(t, client.SpanContext().TraceID(), server.SpanContext().TraceID())
		require.Equal(t, client.SpanContext().SpanID(), server.Parent().SpanID())
		for _, span := range []sdktrace.ReadOnlySpan{server, client} {
			require.Contains(t, span.Attributes(), attribute.Int64("http.response.status_code", want.status))
			require.Contains(t, span.Attributes(), attribute.String("network.protocol.version", "1.1"))
		}
		require.Contains(t, server.Attributes(), attribute.Int64("http.response.body.size", want.size))
	}
}
