package h1

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkHeader is what a net/http Header costs to make of a parsed head.
func BenchmarkHeader(b *testing.B) {
	for _, bb := range []struct{ name, wire string }{
		{"3 fields", "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 13\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"},
		{"8 fields", "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 13\r\nContent-Type: text/plain; charset=utf-8\r\n" +
			"Server: x\r\nETag: \"x\"\r\nVary: Accept\r\nX-Trace: 1\r\nX-Trace: 2\r\n\r\n"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var h head
			done, code := h.parseResponse([]byte(bb.wire), &ample)
			require.True(b, done, code)
			b.ReportAllocs()
			for b.Loop() {
				_ = h.responseHeader(bb.wire)
			}
		})
	}
}
