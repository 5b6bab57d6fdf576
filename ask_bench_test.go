package h1

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What it costs to find out whether a request can be sent, and to write its head.
func BenchmarkPrepare(b *testing.B) {
	browser := http.Header{"Accept": {"text/html"}, "Accept-Language": {"en-GB,en;q=0.7"}, "Cookie": {"a=b; c=d"}, "User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"},
		"Referer": {"http://www.example.com/"}, "Authorization": {"Bearer abcdefghijklmnop"}}
	cases := []struct {
		name, url string
		header    http.Header
	}{
		{"plain", "http://127.0.0.1:39471/", http.Header{}},
		{"one-field", "http://127.0.0.1:39471/", http.Header{"Accept": {"*/*"}}},
		{"browser", "https://www.example.com/index.html?x=y", browser},
	}
	for _, bb := range cases {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			tr := &Transport{}
			req, err := http.NewRequest("GET", bb.url, nil)
			require.NoError(b, err)
			req.Header = bb.header
			for b.Loop() {
				r := &trip{t: tr, req: req, body: bodyOf(req.Body), trace: tracerOf(req.Context())}
				if err := r.prepare(); err != nil {
					b.Fatal(err)
				}
				r.ask.sent()
			}
		})
	}
}
