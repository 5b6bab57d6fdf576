package h1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// exchanged serves wire by one native handler and returns what it was answered.
func exchanged(t *testing.T, wire string, handler NativeHandlerFunc) string {
	t.Helper()
	near, far := wiretest.Pair()
	_, err := io.WriteString(near, wire)
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	require.NoError(t, (&Server{Native: handler}).ServeConn(far))
	answers, err := io.ReadAll(near)
	require.NoError(t, err)
	return maskDates(string(answers))
}

func TestAnExchangeShowsTheRequest(t *testing.T) {
	tests := []struct {
		name, wire, want string
	}{
		{"origin-form", get("/a%20b?c=d?e", "X-A: 1", "x-a:  2 "),
			`GET "/a%20b?c=d?e" "/a%20b" "c=d?e" "h" 1.1 length 0 "1" Host:h X-A:1 x-a:2 `},
		{"no query", get("/a"), `GET "/a" "/a" "" "h" 1.1 length 0 "" Host:h `},
		{"absolute-form", "GET http://other:1?q HTTP/1.1\r\nHost: h\r\n\r\n",
			`GET "http://other:1?q" "" "q" "other:1" 1.1 length 0 "" Host:h `},
		{"authority-form", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", `CONNECT "h:1" "" "" "h:1" 1.1 length 0 "" Host:h:1 `},
		{"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", `OPTIONS "*" "*" "" "" 1.1 length 0 "" Host: `},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", `GET "/" "/" "" "" 1.0 length 0 "" `},
		{"a length", post("/", "abc"), `POST "/" "/" "" "h" 1.1 length 3 "" Host:h Content-Length:3 `},
		{"chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			`POST "/" "/" "" "h" 1.1 length -1 "" Host:h Transfer-Encoding:chunked `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			exchanged(t, tt.wire, func(x *Exchange) {
				major, minor := x.Proto()
				got = fmt.Sprintf("%s %q %q %q %q %d.%d length %d %q ", x.Method(), x.Target(), x.Path(), x.Query(), x.Host(),
					major, minor, x.ContentLength(), x.Field("X-a"))
				for name, value := range x.Fields() {
					got += string(name) + ":" + string(value) + " "
				}
				for range x.Fields() {
					break
				}
				if x.Field("X-None") != nil || x.Field("Cookie") != nil || x.Trailer("T") != nil {
					got += "a field that is not there"
				}
			})
			require.Empty(t, cmp.Diff(tt.want, got))
		})
	}
}

func TestANativeAnswer(t *testing.T) {
	tests := []struct {
		name, wire string
		handler    NativeHandlerFunc
		want       string
	}{
		{"nothing", get("/"), func(x *Exchange) {}, "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 0\r\n\r\n"},
		{"a status", get("/"), func(x *Exchange) { x.SetStatus(404) }, "HTTP/1.1 404 Not Found\r\nDate: *\r\nContent-Length: 0\r\n\r\n"},
		{"a status of no name", get("/"), func(x *Exchange) { x.SetStatus(299) }, "HTTP/1.1 299 \r\nDate: *\r\nContent-Length: 0\r\n\r\n"},
		{"204 has no length", get("/"), func(x *Exchange) { x.SetStatus(204) }, "HTTP/1.1 204 No Content\r\nDate: *\r\n\r\n"},
		{"304 has none that is not told", get("/"), func(x *Exchange) { x.SetStatus(304) }, "HTTP/1.1 304 Not Modified\r\nDate: *\r\n\r\n"},
		{"fields in their order", get("/"), func(x *Exchange) {
			_ = x.SetField("X-B", "1")
			_ = x.SetField("x-a", "2")
			_ = x.SetField("Connection", "x, keep-alive")
			_ = x.SetField("Date", "today")
			_, _ = x.WriteString("ab")
			_, _ = x.Write([]byte("c"))
		}, "HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a: 2\r\nDate: today\r\nContent-Length: 3\r\nConnection: x\r\n\r\nabc"},
		{"a declared length", get("/"), func(x *Exchange) {
			_ = x.SetField("content-length", "3")
			_, _ = x.WriteString("abc")
		}, "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 3\r\n\r\nabc"},
		{"chunks and trailers", get("/"), func(x *Exchange) {
			_, _ = x.WriteString("abc")
			_ = x.Flush()
			_, _ = x.Write(nil)
			_, _ = x.WriteString(strings.Repeat("x", 16))
			_ = x.SetTrailer("X-T", "t")
		}, "HTTP/1.1 200 OK\r\nDate: *\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\nX-T: t\r\n\r\n"},
		{"trailers make chunks of a small body", get("/"), func(x *Exchange) {
			_, _ = x.WriteString("abc")
			_ = x.SetTrailer("X-T", "t")
		}, "HTTP/1.1 200 OK\r\nDate: *\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n"},
		{"HTTP/1.0 has no trailers", "GET / HTTP/1.0\r\n\r\n", func(x *Exchange) {
			_, _ = x.WriteString("abc")
			_ = x.SetTrailer("X-T", "t")
		}, "HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", func(x *Exchange) {
			_, _ = x.WriteString("abc")
			_ = x.SetTrailer("X-T", "t")
		}, "HTTP/1.1 200 OK\r\nDate: *\r\n\r\n"},
		{"a 2xx to CONNECT ends HTTP", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n" + get("/"), func(x *Exchange) {},
			"HTTP/1.1 200 OK\r\nDate: *\r\n\r\n"},
		{"another answer to CONNECT does not", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n" + get("/"), func(x *Exchange) { x.SetStatus(405) },
			strings.Repeat("HTTP/1.1 405 Method Not Allowed\r\nDate: *\r\nContent-Length: 0\r\n\r\n", 2)},
		{"an offer that is not taken", get("/", "Connection: upgrade", "Upgrade: x") + get("/"), func(x *Exchange) {},
			strings.Repeat("HTTP/1.1 200 OK\r\nDate: *\r\nContent-Length: 0\r\n\r\n", 2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tt.want, exchanged(t, tt.wire, tt.handler)))
		})
	}
}

func TestMisuseOfAnExchangeIsAnError(t *testing.T) {
	tests := []struct {
		name    string
		wire    string
		handler func(x *Exchange) error
		want    error
	}{
		{"a name that is none", get("/"), func(x *Exchange) error { return x.SetField("a b", "c") }, fault.BadResponse},
		{"a value with a line end", get("/"), func(x *Exchange) error { return x.SetField("a", "b\r\nc: d") }, fault.BadResponse},
		{"framing is not the handler's", get("/"), func(x *Exchange) error { return x.SetField("transfer-encoding", "chunked") }, fault.BadResponse},
		{"a length that is no number", get("/"), func(x *Exchange) error { return x.SetField("Content-Length", "+1") }, fault.BadResponse},
		{"a trailer that is none", get("/"), func(x *Exchange) error { return x.SetTrailer("a", "\n") }, fault.BadResponse},
		{"a field after the head", get("/"), func(x *Exchange) error { _ = x.Flush(); return x.SetField("a", "b") }, fault.WrongState},
		{"more than declared", get("/"), func(x *Exchange) error {
			x.SetContentLength(2)
			_, err := x.WriteString("abc")
			_, _ = x.WriteString("ab")
			return err
		}, http.ErrContentLength},
		{"a body to 204", get("/"), func(x *Exchange) error { x.SetStatus(204); _, err := x.WriteString("a"); return err }, http.ErrBodyNotAllowed},
		{"a body to 304", get("/"), func(x *Exchange) error { return x.Reply(304, "", []byte("a")) }, http.ErrBodyNotAllowed},
		{"a content type that is none", get("/"), func(x *Exchange) error { return x.Reply(200, "\r\n", nil) }, fault.BadResponse},
		{"reading what the answer drained", post("/", "abc"), func(x *Exchange) error {
			_ = x.Reply(200, "", nil)
			_, err := x.Read(make([]byte, 1))
			return err
		}, http.ErrBodyReadAfterClose},
		{"hijacking twice", get("/"), func(x *Exchange) error {
			nc, _, err := x.Hijack()
			if err != nil {
				return nil
			}
			defer func() { _ = nc.Close() }()
			_, _, err = x.Hijack()
			return err
		}, fault.WrongState},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			exchanged(t, tt.wire, func(x *Exchange) { err = tt.handler(x) })
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// A native handler may read on after its answer began.
func TestANativeHandlerIsFullDuplex(t *testing.T) {
	v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		p := make([]byte, 1)
		for {
			if _, err := x.Read(p); err != nil {
				return
			}
			_, _ = x.Write(p)
			_ = x.Flush()
		}
	})})
	v.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range 3 {
		v.Send("1\r\nx\r\n")
		if i == 0 {
			v.ExpectHead("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
		}
		v.Expect("1\r\nx\r\n")
	}
	v.Send("0\r\n\r\n" + get("/"))
	v.Expect("0\r\n\r\n")
	v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 0")
}

func TestExpectIsAnsweredWhenTheBodyIsRead(t *testing.T) {
	v := serveOne(t, &Server{Native: NativeHandlerFunc(readAll)})
	v.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
	v.Expect("HTTP/1.1 100 Continue\r\n\r\n")
	v.Send("ab")
	v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 1")
	v.Expect("2")
	// A client that does not wait is not told.
	v.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab")
	v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 1")
	v.Expect("2")
}

func TestALateExpectationCostsTheConnection(t *testing.T) {
	v := serveOne(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		_, _ = x.WriteString("no")
		_ = x.Flush()
	})})
	v.Send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	v.ExpectHead("HTTP/1.1 200 OK", "Connection: close")
	v.Expect("2\r\nno\r\n0\r\n\r\n")
	v.ExpectEOF()
	require.Equal(t, CloseUndrained, v.over().Reason)
}
