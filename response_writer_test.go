package h1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/wiretest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
)

func TestMistakesOfHandlersAreLogged(t *testing.T) {
	tests := []struct {
		name, log string
		handler   http.HandlerFunc
	}{
		{"a superfluous WriteHeader", "superfluous", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.WriteHeader(500)
		}},
		{"WriteHeader after Write", "superfluous", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.WriteHeader(500)
		}},
		{"an invalid length", "Content-Length", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "x") }},
		// It used to go unnoticed that the client gets content which it cannot read.
		{"a transfer coding of its own", "Transfer-Encoding", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Transfer-Encoding", "gzip") }},
		{"an invalid name", "field name", func(w http.ResponseWriter, r *http.Request) { w.Header()["a b"] = []string{"x"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged syncBuffer
			v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Handler: tt.handler})
			v.Send(get("/"))
			v.ExpectHead("HTTP/1.1 200 OK")
			v.over()
			require.Contains(t, logged.String(), tt.log)
			if tt.log == "superfluous" {
				require.Contains(t, logged.String(), "response_writer_test.go", "who called")
			}
		})
	}
}

// Handlers that name the framing they would get anyway make no mistake, nor do
// those that have the final answer's fields set when they inform.
func TestFramingThatIsThereAnywayIsNoMistake(t *testing.T) {
	var logged syncBuffer
	v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "gzip")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header()["Transfer-Encoding"] = []string{"Chunked", "identity"}
	})})
	v.Send(get("/"))
	v.ExpectHead("HTTP/1.1 103 Early Hints")
	v.ExpectHead("HTTP/1.1 200 OK")
	v.over()
	require.Empty(t, logged.String())
}

// Headers of usual fields only are not gone through as a map; the answer is the
// same as with any other.
func TestTheFieldsOfAnAnswerAreInTheOrderOfTheirNames(t *testing.T) {
	values := map[string]string{"A-First": "a", "Cache-Control": "no-store", "Content-Length": "2", "Content-Type": "text/plain",
		"Set-Cookie": "c=d", "X-Content-Type-Options": "nosniff", "Z-Last": "z"}
	names := slices.Sorted(maps.Keys(values))
	for set := range 1 << len(names) {
		for _, trailer := range []bool{false, true} {
			header, head := http.Header{}, ""
			for i, name := range names {
				if set>>i&1 == 0 {
					continue
				}
				header.Set(name, values[name])
				if name != "Content-Length" {
					head += name + ": " + values[name] + "\r\n"
				}
			}
			framing, body := "Content-Length: 2\r\n", "ok"
			if trailer && header.Get("Content-Length") == "" {
				framing, body = "Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\nT: t\r\n\r\n"
			}
			if header.Get("Content-Type") == "" {
				framing = "Content-Type: text/plain; charset=utf-8\r\nDate: *\r\n" + framing
			} else {
				framing = "Date: *\r\n" + framing
			}
			got := handled(t, get("/"), func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), header)
				_, _ = io.WriteString(w, "ok")
				if trailer {
					w.Header().Set(http.TrailerPrefix+"T", "t")
				}
			})
			require.Empty(t, cmp.Diff("HTTP/1.1 200 OK\r\n"+head+framing+"\r\n"+body, got), "%v, trailer: %v", header, trailer)
		}
	}
}

// What may go on the wire is what net/http lets through.
func TestNamesAndValuesAreJudgedAsNetHTTPDoes(t *testing.T) {
	for i := range 256 {
		for _, s := range []string{"", "a", " a", "a\t", "a long one that takes several words"} {
			for _, s := range []string{s + string([]byte{byte(i)}), string([]byte{byte(i)}) + s, s} {
				require.Equal(t, httpguts.ValidHeaderFieldName(s), validField(s, ""), "%q", s)
				require.Equal(t, httpguts.ValidHeaderFieldValue(s), validField("a", s), "%q", s)
				if trimmed := strings.Trim(s, " \t\r\n"); httpguts.ValidHeaderFieldValue(trimmed) {
					require.Equal(t, trimmed, cleanValue(s))
				}
			}
		}
	}
}

// handled is what a handler answers to wire, the dates masked.
func handled(t *testing.T, wire string, handler http.HandlerFunc) string {
	t.Helper()
	near, far := wiretest.Pair()
	_, err := io.WriteString(near, wire)
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	require.NoError(t, (&Server{Handler: handler}).ServeConn(far))
	answers, err := io.ReadAll(near)
	require.NoError(t, err)
	return maskDates(string(answers))
}

func TestAnInvalidStatusPanics(t *testing.T) {
	for _, code := range []int{0, 99, 1000, -1} {
		var logged syncBuffer
		v := serveOne(t, &Server{ErrorLog: log.New(&logged, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
		})})
		v.Send(get("/"))
		v.ExpectEOF()
		require.Equal(t, CloseHandlerPanic, v.over().Reason)
		require.Contains(t, logged.String(), "invalid WriteHeader code "+strconv.Itoa(code))
	}
}

func TestHijackHandsOverWhatWasRead(t *testing.T) {
	for _, before := range []string{"", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"} {
		bubble(t, func(t *testing.T) {
			done := make(chan struct{})
			v := serveOne(t, &Server{IdleTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, rw, err := http.NewResponseController(w).Hijack()
				requireIs(err, nil)
				_, err = w.Write([]byte("x"))
				requireIs(err, http.ErrHijacked)
				_, _, err = w.(http.Hijacker).Hijack()
				requireIs(err, http.ErrHijacked)
				go func() {
					defer close(done)
					time.Sleep(time.Hour) // no deadline of h1 is left
					line, err := rw.ReadString('\n')
					requireIs(err, nil)
					_, _ = rw.WriteString(before + line)
					_ = rw.Flush()
					rest, err := io.ReadAll(rw)
					requireIs(err, nil)
					_, _ = nc.Write(rest)
					_ = nc.Close()
				}()
			})})
			v.Send(get("/", "Connection: upgrade", "Upgrade: x") + "early ")
			synctest.Wait()
			v.Send("line\nthe rest")
			v.SendFIN()
			v.Expect(before + "early line\nthe rest")
			v.ExpectEOF()
			<-done
			info := v.over()
			require.Equal(t, CloseHijacked, info.Reason)
		})
	}
}

func TestHijackAfterAnswering(t *testing.T) {
	v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		nc, _, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_, _ = io.WriteString(nc, "tunnel")
		_ = nc.Close()
	})})
	v.Send("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
	head := v.ExpectHead("HTTP/1.1 200 OK")
	require.NotContains(t, head, "Transfer-Encoding", "RFC 9110 section 9.3.6")
	require.NotContains(t, head, "Content-Length")
	v.Expect("tunnel")
	v.ExpectEOF()
}

func TestHijackIsNotConfusedByAnEarlierReason(t *testing.T) {
	var states states
	v := serveOne(t, &Server{ConnState: states.note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := w.(http.Hijacker).Hijack()
		requireIs(err, nil)
		_ = nc.Close()
	})})
	v.Send("GET / HTTP/1.0\r\n\r\n")
	v.ExpectEOF()
	v.over()
	require.Equal(t, "new active hijacked", states.String())
}

// What outlives its handler gets errors, and touches nothing of the next
// exchange. Run it with -race.
func TestUseAfterTheHandlerReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type held struct {
			w http.ResponseWriter
			r *http.Request
		}
		var first held
		var during sync.WaitGroup
		v := serveOne(t, &Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if first.w == nil {
				first = held{w, r}
				during.Go(func() {
					<-r.Context().Done()
					require.Equal(t, context.Canceled, r.Context().Err())
					_, err := w.Write([]byte("late"))
					require.ErrorIs(t, err, fault.WrongState)
				})
				return
			}
			during.Wait()
			_, err := first.w.Write([]byte("late"))
			require.ErrorIs(t, err, fault.WrongState)
			_, err = first.w.(io.StringWriter).WriteString("late")
			require.ErrorIs(t, err, fault.WrongState)
			first.w.WriteHeader(500)
			first.w.(http.Flusher).Flush()
			rc := http.NewResponseController(first.w)
			require.ErrorIs(t, rc.Flush(), fault.WrongState)
			require.ErrorIs(t, rc.SetReadDeadline(time.Now()), fault.WrongState)
			require.ErrorIs(t, rc.SetWriteDeadline(time.Now()), fault.WrongState)
			require.ErrorIs(t, rc.EnableFullDuplex(), fault.WrongState)
			_, _, err = rc.Hijack()
			require.ErrorIs(t, err, fault.WrongState)
			_, err = first.r.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
			require.NoError(t, first.r.Body.Close())
			require.Equal(t, "1", first.r.Header.Get("X-N"), "what a handler was given stays")
			require.Equal(t, "2", r.Header.Get("X-N"))
			_, _ = io.WriteString(w, "second")
		})})
		v.Send(post("/", "hello", "X-N: 1") + post("/", "hello", "X-N: 2"))
		v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 0")
		v.ExpectHead("HTTP/1.1 200 OK", "Content-Length: 6")
		v.Expect("second")
	})
}

// A goroutine that still reads the body when the handler returns is woken, and
// the connection is not used again: what it took cannot be known.
func TestAReadThatOutlivesTheHandlerIsWoken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		failed := make(chan error, 1)
		v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reading := make(chan struct{})
			go func() {
				close(reading)
				_, err := io.ReadAll(r.Body)
				failed <- err
			}()
			<-reading
			synctest.Wait()
			w.WriteHeader(202)
		})})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
		v.ExpectHead("HTTP/1.1 202 Accepted", "Connection: close")
		require.Error(t, <-failed)
		v.ExpectEOF()
		require.Equal(t, CloseUndrained, v.over().Reason)
	})
}

// net/http's server waits here for the read to end.
func TestATimeoutHandlerAnswersThoughItsHandlerReadsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan struct{})
		v := serveOne(t, &Server{Handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			_, err := io.ReadAll(r.Body)
			if err == nil {
				panic("a short body without an error")
			}
			<-r.Context().Done()
		}), time.Second, "late")})
		v.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
		v.ExpectHead("HTTP/1.1 503 Service Unavailable", "Connection: close")
		v.Expect("late")
		v.ExpectEOF()
		<-ended
	})
}

// CVE-2020-15586: net/http raced when a handler read a body with Expect in one
// goroutine and wrote in another. Run it with -race.
func TestReadingBesideWriting(t *testing.T) {
	for name, duplex := range map[string]bool{"half duplex": false, "full duplex": true} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			inBubble(t, name+" "+strings.TrimSpace(expect), func(t *testing.T) {
				v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if duplex {
						requireIs(http.NewResponseController(w).EnableFullDuplex(), nil)
					}
					var reading sync.WaitGroup
					reading.Go(func() {
						n, err := io.Copy(io.Discard, r.Body)
						if err == nil && n != int64(len(large)) {
							panic("a short body without an error")
						}
					})
					for range 10 {
						_, _ = io.WriteString(w, large)
						_ = http.NewResponseController(w).Flush()
					}
					reading.Wait()
				})})
				v.Send("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + expect + "Content-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n")
				for i := 0; i < len(large); i += 512 {
					v.Send(large[i : i+512])
				}
				r := bufio.NewReader(v)
				res, err := http.ReadResponse(r, nil)
				require.NoError(t, err)
				if res.StatusCode == 100 {
					res, err = http.ReadResponse(r, nil)
					require.NoError(t, err)
				}
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, strings.Repeat(large, 10), string(body))
			})
		}
	}
}

func TestTheContextEndsWithTheExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ctxs []context.Context
		stopped := make(chan struct{})
		v := serveOne(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
			defer cancel()
			child := context.WithoutCancel(ctx)
			stop := context.AfterFunc(r.Context(), func() { close(stopped) })
			unwanted := context.AfterFunc(r.Context(), func() { panic("it was stopped") })
			if !unwanted() || unwanted() {
				panic("stop")
			}
			_ = stop
			ctxs = append(ctxs, r.Context(), ctx, child)
			for _, ctx := range ctxs {
				requireIs(ctx.Err(), nil)
			}
			if _, ok := r.Context().Deadline(); ok {
				panic("deadline")
			}
		})})
		v.Send(get("/"))
		v.ExpectHead("HTTP/1.1 200 OK")
		<-stopped
		synctest.Wait()
		require.Equal(t, context.Canceled, ctxs[0].Err())
		require.Error(t, ctxs[1].Err())
		require.NoError(t, ctxs[2].Err())
		<-ctxs[0].Done()
		late := make(chan struct{})
		context.AfterFunc(ctxs[0], func() { close(late) })
		<-late
	})
}

func TestTheContextFollowsTheConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(context.Background())
		v := serveOne(t, &Server{
			ConnContext: func(ctx context.Context, nc net.Conn) context.Context { return parent },
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requireIs(r.Context().Err(), nil)
				<-r.Context().Done()
				_, _ = io.WriteString(w, r.Context().Err().Error())
			}),
		})
		v.Send(get("/"))
		synctest.Wait()
		cancel()
		v.ExpectHead("HTTP/1.1 200 OK")
		v.Expect("context canceled")
	})
}

func TestTheServersTransferCodings(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, large)
			w.(http.Flusher).Flush()
		}
	})
	tests := []struct {
		name     string
		enabled  []string
		fields   []string
		encoding string
	}{
		{"gzip where TE lists it", []string{"gzip"}, []string{"TE: gzip", "Connection: TE"}, "gzip, chunked"},
		{"what is liked best", []string{"gzip", "deflate"}, []string{"TE: gzip;q=0.5, deflate", "Connection: TE"}, "deflate, chunked"},
		{"none where it does not", []string{"gzip"}, []string{"TE: trailers", "Connection: TE"}, "chunked"},
		{"none where it is refused", []string{"gzip"}, []string{"TE: gzip;q=0", "Connection: TE"}, "chunked"},
		{"none where none is enabled", nil, []string{"TE: gzip", "Connection: TE"}, "chunked"},
		// A TE that Connection does not list came from further away than the peer
		// (RFC 9110 section 10.1.4).
		{"none where TE is not for this connection", []string{"gzip"}, []string{"TE: gzip"}, "chunked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := serveOne(t, &Server{TransferCodings: tt.enabled, Handler: answer})
			v.Send(get("/", append(tt.fields, "Connection: close")...))
			v.ExpectHead("HTTP/1.1 200 OK", "Transfer-Encoding: "+tt.encoding)
			coded, err := io.ReadAll(newChunkedReader(v))
			require.NoError(t, err)
			if coding, _, ok := strings.Cut(tt.encoding, ","); ok {
				require.Less(t, len(coded), len(large))
				d, err := decodeStack([]string{coding}, bytes.NewReader(coded))
				require.NoError(t, err)
				coded, err = io.ReadAll(d)
				require.NoError(t, err)
			}
			require.Equal(t, strings.Repeat(large, 3), string(coded))
		})
	}
}

// newChunkedReader takes chunks off by net/http's reader.
func newChunkedReader(r io.Reader) io.Reader {
	head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head), r)), nil)
	if err != nil {
		panic(err)
	}
	return res.Body
}
