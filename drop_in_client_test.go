package h1_test

// What a program that used net/http's Transport finds in ours: the same fields
// and methods, with the same meaning.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/h1go/h1"
	"github.com/h1go/h1/internal/wiretest"
)

// notInTransport are the exported fields and methods of net/http's Transport that h1's
// does not have, each with its reason.
var notInTransport = map[string]string{
	"ForceAttemptHTTP2": "switches HTTP/2 on, which is not here",
	"HTTP2":             "configures HTTP/2",
	"Protocols":         "chooses between HTTP/1 and HTTP/2",
	"TLSNextProto":      "is for HTTP/2 or for switching it off, and only HTTP/1.1 is offered to servers here",
	"CancelRequest":     "has been deprecated since there are contexts; Request.Cancel and the request's context do the same",
}

func TestTransportHasAllThatNetHTTPsHas(t *testing.T) {
	asOurs := func(theirs reflect.Type) string {
		return strings.NewReplacer("*http.Transport", "*h1.Transport", "*http.ClientConn", "*h1.Conn").Replace(theirs.String())
	}
	missing := map[string]string{}
	theirs, own := reflect.TypeFor[http.Transport](), reflect.TypeFor[h1.Transport]()
	for _, f := range reflect.VisibleFields(theirs) {
		if !f.IsExported() {
			continue
		}
		if got, ok := own.FieldByName(f.Name); !ok {
			missing[f.Name] = notInTransport[f.Name]
		} else {
			require.Equal(t, asOurs(f.Type), got.Type.String(), f.Name)
		}
	}
	theirs, own = reflect.TypeFor[*http.Transport](), reflect.TypeFor[*h1.Transport]()
	for m := range theirs.Methods() {
		if got, ok := own.MethodByName(m.Name); !ok {
			missing[m.Name] = notInTransport[m.Name]
		} else {
			require.Equal(t, asOurs(m.Type), got.Type.String(), m.Name)
		}
	}
	require.Empty(t, cmp.Diff(notInTransport, missing), "- may be missing, + are missing")
}

// something is a value of the type that is not its zero.
func something(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.Append(v, something(t.Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(something(t.Key()), something(t.Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
	case reflect.Func:
		v.Set(reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { return nil }))
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Type.Kind() != reflect.Func { // functions cannot be compared
				v.Field(i).Set(something(t.Field(i).Type))
			}
		}
	default:
		panic("no value for " + t.String())
	}
	return v
}

func TestCloneHasEveryFieldAndSharesNothingThatChanges(t *testing.T) {
	tr := &h1.Transport{}
	v := reflect.ValueOf(tr).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			v.Field(i).Set(something(f.Type))
		}
	}
	clone := reflect.ValueOf(tr.Clone()).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		was, is := v.Field(i), clone.Field(i)
		switch f.Type.Kind() {
		case reflect.Func:
			require.Equal(t, was.Pointer(), is.Pointer(), f.Name)
		case reflect.Map, reflect.Slice:
			require.NotEqual(t, was.Pointer(), is.Pointer(), "%s is shared", f.Name)
			require.Equal(t, was.Interface(), is.Interface(), f.Name)
		case reflect.Pointer:
			require.False(t, is.IsNil(), f.Name)
			require.True(t, was.Pointer() != is.Pointer() || f.Name == "Logger", "%s is shared", f.Name)
		default:
			require.Equal(t, was.Interface(), is.Interface(), f.Name)
		}
	}
	require.Equal(t, &h1.Transport{}, new(h1.Transport).Clone())
}

func TestCloneStartsWithoutConnections(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		s.tr.RegisterProtocol("x", http.NewFileTransport(http.Dir(".")))
		s.exchange(nil)
		clone := s.tr.Clone()
		defer clone.CloseIdleConnections()
		for range clone.Conns() {
			t.Error("a connection is shared")
		}
		original := s.tr
		s.tr = clone
		s.exchange(nil)
		require.Equal(t, 2, s.count())
		clone.RegisterProtocol("x", nil) // it is not there yet
		original.CloseIdleConnections()
	})
}

func TestDialFunctionsInTheOrderOfNetHTTP(t *testing.T) {
	tests := map[string]struct {
		has    string // which fields are set
		scheme string
		want   string
	}{
		"a context first":                {"DialContext Dial", "http", "DialContext"},
		"without a context":              {"Dial", "http", "Dial"},
		"TLS, a context first":           {"DialTLSContext DialTLS DialContext Dial", "https", "DialTLSContext"},
		"TLS without a context":          {"DialTLS DialContext Dial", "https", "DialTLS"},
		"TLS over a plain one":           {"DialContext Dial", "https", "DialContext"},
		"TLS over one without a context": {"Dial", "https", "Dial"},
		"plain with functions for TLS":   {"DialTLSContext DialTLS Dial", "http", "Dial"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var dialed []string
			with := func(name string) func(context.Context, string, string) (net.Conn, error) {
				return func(_ context.Context, network, addr string) (net.Conn, error) {
					dialed = append(dialed, name)
					return nil, fmt.Errorf("%s %s", network, addr)
				}
			}
			without := func(name string) func(string, string) (net.Conn, error) {
				return func(network, addr string) (net.Conn, error) { return with(name)(nil, network, addr) }
			}
			tr := &h1.Transport{}
			for _, field := range strings.Fields(tt.has) {
				f := reflect.ValueOf(tr).Elem().FieldByName(field)
				if strings.HasSuffix(field, "Context") {
					f.Set(reflect.ValueOf(with(field)))
				} else {
					f.Set(reflect.ValueOf(without(field)))
				}
			}
			_, err := tr.RoundTrip(httptest.NewRequest("GET", tt.scheme+"://example.com:1/", nil))
			require.ErrorContains(t, err, "tcp example.com:1")
			require.Equal(t, []string{tt.want}, dialed)
		})
	}
}

// DialTLS may give a connection whose handshake was not done, one whose was, or
// one that knows nothing of crypto/tls.
func TestConnectionsOfDialTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(mirror))
	defer s.Close()
	cfg := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName = "example.com"
	kinds := map[string]func(string, string) (net.Conn, error){
		"handshake to be done": func(network, addr string) (net.Conn, error) {
			nc, err := net.Dial(network, addr)
			return tls.Client(nc, cfg), err
		},
		"handshake done": func(network, addr string) (net.Conn, error) { return tls.Dial(network, addr, cfg) },
		"another's of TLS": func(network, addr string) (net.Conn, error) {
			nc, err := tls.Dial(network, addr, cfg)
			return struct{ net.Conn }{nc}, err
		},
	}
	for name, dial := range kinds {
		t.Run(name, func(t *testing.T) {
			tr := &h1.Transport{DialTLS: dial}
			defer tr.CloseIdleConnections()
			for range 2 {
				res, err := (&http.Client{Transport: tr}).Post(s.URL, "", strings.NewReader("hello"))
				require.NoError(t, err)
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Equal(t, "hello", string(text))
				require.Equal(t, name != "another's of TLS", res.TLS != nil)
			}
		})
	}
}

func TestOtherSchemesGoToWhoKnowsThem(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.txt"), []byte("from a file"), 0o600))
	tr := &h1.Transport{}
	tr.RegisterProtocol("file", http.NewFileTransport(http.Dir(dir)))
	res, err := (&http.Client{Transport: tr}).Get("file:///x.txt")
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "from a file", string(text))

	require.Panics(t, func() { tr.RegisterProtocol("file", http.NewFileTransport(http.Dir(dir))) })
	_, err = tr.RoundTrip(httptest.NewRequest("GET", "ftp://example.com/", nil))
	require.ErrorIs(t, err, h1.CodeBadRequest)
}

// roundTripFunc is a RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestProtocolMaySkipARequest(t *testing.T) {
	tests := map[string]struct {
		other roundTripFunc
		again bool // the body can be had anew
		fails bool
	}{
		"untouched": {other: func(*http.Request) (*http.Response, error) { return nil, http.ErrSkipAltProtocol }},
		"its body was read, and can be had anew": {again: true, other: func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadAll(r.Body)
			return nil, http.ErrSkipAltProtocol
		}},
		"its body was closed": {fails: true, other: func(r *http.Request) (*http.Response, error) {
			_ = r.Body.Close()
			return nil, http.ErrSkipAltProtocol
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				s.tr.RegisterProtocol("http", tt.other)
				body := &watched{Reader: strings.NewReader("abc")}
				req := request("POST", "abc")
				req.Body = body
				if !tt.again {
					req.GetBody = nil
				}
				got := s.send(req)
				if tt.fails {
					require.ErrorIs(t, (<-got).err, h1.CodeBadRequest)
					require.True(t, body.closed.Load())
					return
				}
				k := s.accept()
				k.ExpectHead("POST / HTTP/1.1")
				k.Expect("abc")
				k.Send(hello)
				s.requireHello(got)
				require.True(t, body.closed.Load())
			})
		})
	}
}

// counting counts the calls of Read and Write.
type counting struct {
	net.Conn
	reads, writes *atomic.Int64
}

func (c counting) Read(p []byte) (int, error)  { c.reads.Add(1); return c.Conn.Read(p) }
func (c counting) Write(p []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(p) }

func TestBufferSizes(t *testing.T) {
	written := make(chan bool, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		defer func() { written <- true }()
		for range 1000 { // chunks too small to be read straight to where they go
			_, _ = w.Write(make([]byte, 40))
			w.(http.Flusher).Flush()
		}
	}))
	defer s.Close()
	calls := func(size int) (reads, writes int64) {
		var r, w atomic.Int64
		tr := &h1.Transport{ReadBufferSize: size, WriteBufferSize: size}
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			return counting{nc, &r, &w}, err
		}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequest("POST", s.URL, io.LimitReader(pieces{}, 40_000))
		require.NoError(t, err)
		req.ContentLength = 40_000
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		<-written // so that the answer lies there
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Len(t, text, 40_000)
		return r.Load(), w.Load()
	}
	reads, writes := calls(0)
	require.GreaterOrEqual(t, writes, int64(10), "40 kB through 4 KiB")
	fewerReads, fewerWrites := calls(64 << 10)
	require.Less(t, fewerReads, reads)
	require.LessOrEqual(t, fewerWrites, int64(4), "who reads sends before it waits, which may be in the middle")
}

// pieces is a body that comes 100 octets at a time.
type pieces struct{}

func (pieces) Read(p []byte) (int, error) { return min(len(p), 100), nil }

// Request.Cancel is deprecated, and still what http.Client sets for its Timeout
// on a Transport that it does not know.
func TestChannelOfTheRequestCancelsIt(t *testing.T) {
	steps := map[string]func(s *stage, got <-chan reply, cancel func()) error{
		"before it began": nil,
		"while dialling": func(s *stage, got <-chan reply, cancel func()) error {
			synctest.Wait()
			cancel()
			return (<-got).err
		},
		"while waiting for the answer": func(s *stage, got <-chan reply, cancel func()) error {
			s.accept().ExpectHead("GET / HTTP/1.1")
			cancel()
			return (<-got).err
		},
		"while the body comes": func(s *stage, got <-chan reply, cancel func()) error {
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			synctest.Wait()
			cancel()
			return (<-got).read
		},
		"after it": func(s *stage, got <-chan reply, cancel func()) error {
			k := s.accept()
			k.ExpectHead("GET / HTTP/1.1")
			k.Send(hello)
			s.requireHello(got)
			cancel()
			synctest.Wait()
			s.exchange(k)
			return nil
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
				if name == "while dialling" {
					s.tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
				}
				closed := make(chan struct{})
				req := request("GET", "")
				//lint:ignore SA1019 it is what is tested
				req.Cancel = closed
				var err error
				if step == nil {
					close(closed)
					err = (<-s.send(req)).err
				} else {
					err = step(s, s.send(req), func() { close(closed) })
				}
				if name == "after it" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, "cancelled", code(err))
				time.Sleep(time.Minute) // a dial that nobody waits for ends
			})
		})
	}
}

// Servers refuse to switch protocols on a connection that is to close
// (go.dev/issue/36381).
func TestUpgradeIsNotAskedToClose(t *testing.T) {
	inBubble(t, &h1.Transport{DisableKeepAlives: true}, func(t *testing.T, s *stage) {
		for _, answer := range []string{hello, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"} {
			req := request("GET", "")
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
			got := s.open(req)
			k := s.accept()
			k.Expect("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-h1-client/1.1\r\nConnection: Upgrade\r\n" +
				"Upgrade: echo\r\nAccept-Encoding: gzip\r\n\r\n")
			k.Send(answer)
			r := <-got
			require.NoError(t, r.err)
			if rw, ok := r.res.Body.(io.ReadWriteCloser); ok {
				_, err := io.WriteString(rw, "hi")
				require.NoError(t, err)
				k.Expect("hi")
			} else {
				_, err := io.ReadAll(r.res.Body)
				require.NoError(t, err)
			}
			require.NoError(t, r.res.Body.Close())
			k.ExpectEOF() // and it is the last all the same
		}
	})
}

func TestConnectionOfOnesOwn(t *testing.T) {
	eachServer(t, mirror, nil, func(t *testing.T, w *world) {
		u, err := url.Parse(w.url)
		require.NoError(t, err)
		c, err := w.tr.NewClientConn(t.Context(), u.Scheme, u.Host)
		require.NoError(t, err)
		for range 2 {
			req, err := http.NewRequest("POST", w.url, strings.NewReader("hello"))
			require.NoError(t, err)
			res, err := c.RoundTrip(req)
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(text))
		}
		require.Equal(t, 1, w.count())
		require.NoError(t, c.Close())
		_, err = w.tr.NewClientConn(t.Context(), "ftp", u.Host)
		require.ErrorIs(t, err, h1.CodeBadRequest)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.tr.NewClientConn(ctx, u.Scheme, u.Host)
		require.True(t, errors.Is(err, context.Canceled))
	})
}

func TestConnectionOfOnesOwnThroughAProxy(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(mirror))
	defer s.Close()
	g := &gateway{t: t}
	proxy := httptest.NewServer(g)
	defer proxy.Close()
	tr := &h1.Transport{Proxy: by(proxy.URL)}
	c, err := tr.NewClientConn(t.Context(), "http", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	res, err := c.RoundTrip(httptest.NewRequest("POST", s.URL, strings.NewReader("hello")))
	require.NoError(t, err)
	require.EqualValues(t, 5, res.ContentLength)
	require.Equal(t, []string{"CONNECT " + s.Listener.Addr().String() + ` ""`}, g.all())
}

// CONNECT is for whoever asks a proxy himself: the Body is the tunnel, both ways.
func TestConnectGivesTheTunnel(t *testing.T) {
	inBubble(t, &h1.Transport{}, func(t *testing.T, s *stage) {
		req := request("CONNECT", "")
		req.URL = &url.URL{Scheme: "http", Host: "proxy.test:3128"}
		req.Host = "example.com:443"
		dialed := s.addresses()
		got := s.open(req)
		k := s.accept()
		k.ExpectHead("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443")
		k.Send("HTTP/1.1 200 OK\r\n\r\nfirst")
		r := <-got
		require.NoError(t, r.err)
		require.Equal(t, []string{"proxy.test:3128"}, *dialed)
		tunnel := r.res.Body.(io.ReadWriteCloser)
		_, err := io.WriteString(tunnel, "second")
		require.NoError(t, err)
		k.Expect("second")
		text := make([]byte, 5)
		_, err = io.ReadFull(tunnel, text)
		require.NoError(t, err)
		require.Equal(t, "first", string(text))
		require.NoError(t, tunnel.Close())
		k.ExpectEOF()
		require.Equal(t, []string{"hijacked"}, s.ends())
	})
}

// The name that TLS checks is the one that is dialled, as A-labels and without a
// zone; Host and SNI of a request may differ.
func TestNamesInTLS(t *testing.T) {
	tests := map[string]struct{ url, host, dial, sni, field string }{
		"a name":                  {"https://example.com/", "", "example.com:443", "example.com", "example.com"},
		"a name in other letters": {"https://bücher.example/", "", "xn--bcher-kva.example:443", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		"a name in capitals":      {"https://EXAMPLE.com:444/", "", "example.com:444", "example.com", "EXAMPLE.com:444"},
		"an address with a zone":  {"https://[fe80::1%25eth0]/", "", "[fe80::1%eth0]:443", "", "[fe80::1]"},
		"another Host":            {"https://example.com/", "other.test", "example.com:443", "example.com", "other.test"},
	}
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &h1.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, func(t *testing.T, s *stage) {
				dialed := s.addresses()
				req, err := http.NewRequest("GET", tt.url, nil)
				require.NoError(t, err)
				if tt.host != "" {
					req.Host = tt.host
				}
				got := s.send(req)
				nc, err := s.l.Accept()
				require.NoError(t, err)
				over := tls.Server(nc, &tls.Config{Certificates: certificate.TLS.Certificates})
				k := wiretest.NewTalk(t, over)
				k.ExpectHead("GET / HTTP/1.1", "Host: "+tt.field)
				k.Send(hello)
				s.requireHello(got)
				require.Equal(t, []string{tt.dial}, *dialed)
				require.Equal(t, tt.sni, over.ConnectionState().ServerName)
				s.tr.CloseIdleConnections()
				k.ExpectEOF()
			})
		})
	}
}
