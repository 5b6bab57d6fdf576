package h1

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// An answer that repeats the head of the one before it has the octets that it
// would have had without: each stands behind each other.
func TestARepeatedHeadIsTheSameOctets(t *testing.T) {
	reply := func(status int, typ, body string) NativeHandlerFunc {
		return func(x *Exchange) { _ = x.Reply(status, typ, []byte(body)) }
	}
	with := func(name, value string) NativeHandlerFunc {
		return func(x *Exchange) { _ = x.SetField(name, value); _ = x.Reply(200, "text/plain", []byte("hello")) }
	}
	sniffed := func(body string) NativeHandlerFunc {
		return func(x *Exchange) { x.answer.sniff = true; _, _ = x.WriteString(body) }
	}
	answers := []struct {
		name, wire string
		handler    NativeHandlerFunc
	}{
		{"plain", get("/"), reply(200, "text/plain", "hello")},
		{"another length", get("/"), reply(200, "text/plain", "hello!")},
		{"another status", get("/"), reply(404, "text/plain", "hello")},
		{"a status without a name", get("/"), reply(299, "text/plain", "hello")},
		{"another type", get("/"), reply(200, "text/other", "hello")},
		{"no type", get("/"), reply(200, "", "hello")},
		{"a bad type", get("/"), reply(200, "text\n", "hello")},
		{"another field", get("/"), with("X-A", "1")},
		{"another value", get("/"), with("X-A", "2")},
		{"a large field", get("/"), with("X-A", strings.Repeat("1", keptHead))},
		{"a date of its own", get("/"), with("Date", "then")},
		{"an option", get("/"), with("Connection", "x")},
		{"a trailer", get("/"), func(x *Exchange) { _ = x.SetTrailer("T", "t"); _, _ = x.WriteString("hello") }},
		{"no content", get("/"), reply(204, "", "")},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", reply(200, "text/plain", "hello")},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", reply(200, "text/plain", "hello")},
		{"a learned type", get("/"), sniffed("hello")},
		{"another learned type", get("/"), sniffed("<html")},
		{"the last one", get("/"), func(x *Exchange) { x.CloseAfter(); _ = x.Reply(200, "text/plain", []byte("hello")) }},
	}
	forget := func(x *Exchange) { x.made, x.lastType = madeHead{}, "" }
	for _, first := range answers[:len(answers)-1] {
		for _, then := range answers {
			answered := func(remember bool) string {
				turn := 0
				return exchanged(t, first.wire+then.wire, func(x *Exchange) {
					if turn++; turn == 1 {
						forget(x)
						first.handler(x)
						return
					}
					if !remember {
						forget(x)
					}
					then.handler(x)
				})
			}
			require.Empty(t, cmp.Diff(answered(false), answered(true)), "%s, then %s", first.name, then.name)
		}
	}
}

func TestARepeatedHeadHasItsOwnDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := wiretest.Pair()
		_, err := io.WriteString(near, strings.Repeat(get("/"), 3))
		require.NoError(t, err)
		require.NoError(t, near.CloseWrite())
		turn := 0
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			if turn++; turn == 3 {
				time.Sleep(time.Second)
			}
			_ = x.Reply(200, "text/plain", []byte("hello"))
		})}
		require.NoError(t, s.ServeConn(far))
		answers, err := io.ReadAll(near)
		require.NoError(t, err)
		dates := fixedDate.FindAllString(string(answers), -1)
		require.Len(t, dates, 3)
		require.Equal(t, dates[0], dates[1])
		require.NotEqual(t, dates[1], dates[2])
	})
}
