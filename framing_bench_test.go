package h1

import (
	"bytes"
	"io"
	"net/http/httputil"
	"testing"

	"github.com/h1go/h1/internal/fault"
)

// benchBody is 64 KiB of body in chunks of the given size, as it is on the wire.
func benchBody(chunk int) []byte {
	data := bytes.Repeat([]byte{'x'}, chunk)
	var e encoder
	var wire []byte
	e.start(framing{kind: bodyChunked})
	for range (64 << 10) / chunk {
		wire, _ = e.before(wire, chunk)
		wire = e.after(append(wire, data...))
	}
	wire, _ = e.end(wire, nil)
	return wire
}

func benchDecode(b *testing.B, f framing, wire []byte) {
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		var d decoder
		d.start(f)
		got := 0
		for in := wire; !d.ended() && !d.trailing(); {
			data, used, _, code := step(&d, in)
			if code != fault.None {
				b.Fatal(code)
			}
			got += len(data)
			in = in[used:]
		}
		if got != 64<<10 {
			b.Fatal(got)
		}
	}
}

func BenchmarkDecodeLength64K(b *testing.B) {
	benchDecode(b, framing{kind: bodyLength, length: 64 << 10}, make([]byte, 64<<10))
}

func BenchmarkDecodeChunked64KBy4K(b *testing.B) {
	benchDecode(b, framing{kind: bodyChunked}, benchBody(4<<10))
}

func BenchmarkDecodeChunked64KBy16(b *testing.B) {
	benchDecode(b, framing{kind: bodyChunked}, benchBody(16))
}

// The reader of net/http on the same bodies, to compare with.
func benchNetHTTP(b *testing.B, wire []byte) {
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := io.Copy(io.Discard, httputil.NewChunkedReader(bytes.NewReader(wire))); err != nil || n != 64<<10 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkNetHTTPDecodeChunked64KBy4K(b *testing.B) { benchNetHTTP(b, benchBody(4<<10)) }

func BenchmarkNetHTTPDecodeChunked64KBy16(b *testing.B) { benchNetHTTP(b, benchBody(16)) }

func BenchmarkEncodeChunked64KBy4K(b *testing.B) {
	data := bytes.Repeat([]byte{'x'}, 4<<10)
	out := make([]byte, 0, 128<<10)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		var e encoder
		e.start(framing{kind: bodyChunked})
		out = out[:0]
		for range 16 {
			out, _ = e.before(out, len(data))
			out = e.after(append(out, data...))
		}
		out, _ = e.end(out, nil)
	}
}

func BenchmarkFrameRequest(b *testing.B) {
	for _, bb := range []struct{ name, fields string }{
		{"none", ""},
		{"length", "Content-Length: 5\r\n"},
		{"chunked", "Transfer-Encoding: chunked\r\n"},
	} {
		win := []byte("POST / HTTP/1.1\r\nHost: a\r\n" + bb.fields + "\r\n")
		var h head
		h.reset()
		if done, code := h.parseRequest(win, &ample); !done || code != fault.None {
			b.Fatal(code)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, code := frameRequest(&h, win, knowsGzip); code != fault.None {
					b.Fatal(code)
				}
			}
		})
	}
}
