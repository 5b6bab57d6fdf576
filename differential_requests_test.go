package h1_test

// The same requests by both Transports: what goes on the wire, and what is
// refused. Where h1 does otherwise the reason stands beside it.

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/h1go/h1"
)

// refused is the result of a request that is not sent.
func refused(r *result) { *r = result{Err: "error", Next: "a new connection"} }

// post gives the request a body of a length that is known, or of one that is
// not (-1).
func post(body string, length int64) func(r *http.Request) {
	return func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader(body)), length
	}
}

func field(name string, values ...string) func(r *http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

func target(raw string) func(r *http.Request) {
	return func(r *http.Request) {
		u, err := url.Parse(raw)
		if err != nil {
			panic(err)
		}
		r.URL, r.Host = u, ""
	}
}

// place asks for whatever the URL's host says.
func place(host string) func(r *http.Request) {
	return func(r *http.Request) { r.URL, r.Host = &url.URL{Scheme: "http", Host: host, Path: "/"}, "" }
}

// Reasons of several cases.
const (
	canonical = "what h1 writes itself it takes from a Header's canonical name, and sends once: net/http sends it beside its own, for others to choose"
	noHost    = "net/http dials it, with an empty Host"
)

// all makes several changes.
func all(changes ...func(r *http.Request)) func(r *http.Request) {
	return func(r *http.Request) {
		for _, change := range changes {
			change(r)
		}
	}
}

var requests = []difference{
	{name: "GET"},
	{name: "no method", req: method("")},
	{name: "method in small letters", req: method("get")},
	{name: "method of one's own", req: method("M-SEARCH")},
	{name: "method with a space", req: method("GE T")},
	{name: "method with a line end", req: method("GET\r\nX: y")},
	{name: "DELETE", req: method("DELETE")},
	{name: "POST without body", req: method("POST")},
	{name: "PATCH without body", req: method("PATCH")},
	{name: "PUT without body", req: func(r *http.Request) { r.Method, r.Body = "PUT", http.NoBody }},
	{name: "GET with an empty body", req: func(r *http.Request) { r.Body = http.NoBody }},
	{name: "POST of known length", req: post("hello", 5)},
	{name: "POST of unknown length", req: post("hello", -1)},
	{name: "POST with a body and a length of zero", req: post("hello", 0)},
	{name: "POST of unknown length, and empty", req: post("", -1)},
	{name: "GET with a body", req: all(post("hello", 5), method("GET"))},
	{name: "GET with a body of unknown length", req: all(post("hello", -1), method("GET"))},
	{name: "GET with a body of unknown length, and empty", req: all(post("", -1), method("GET")),
		why: "net/http waits for the body's first octet before it writes; h1 does not, and nil or http.NoBody say that there is none",
		ours: func(r *result) {
			r.Sent = []string{"GET / HTTP/1.1", "Accept-Encoding: gzip", "Host: example.com", "Transfer-Encoding: chunked", "User-Agent: Go-http-client/1.1", "", "map[]", ""}
		}},
	{name: "DELETE with a body of unknown length, and empty", req: all(post("", -1), method("DELETE")),
		why: "net/http waits for the body's first octet before it writes; h1 does not, and nil or http.NoBody say that there is none", ours: func(r *result) {
			r.Sent = slices.Insert(r.Sent, 3, "Transfer-Encoding: chunked")
		}},
	{name: "length without a body", req: func(r *http.Request) { r.Method, r.ContentLength = "POST", 5 }},
	{name: "length with an empty body", req: func(r *http.Request) { r.Method, r.Body, r.ContentLength = "POST", http.NoBody, 5 }},
	{name: "chunks of an empty body", req: func(r *http.Request) { r.Method, r.Body, r.TransferEncoding = "POST", http.NoBody, []string{"chunked"} },
		why: "there is nothing to put into chunks", ours: func(r *result) {
			r.Sent = slices.Replace(r.Sent, 2, 4, "Content-Length: 0", "Host: example.com")
		}},
	{name: "body shorter than said", req: post("hello", 6), now: true,
		why: "net/http finds out before it writes when all is in one buffer; the head may always be ahead of the body", ours: func(r *result) {
			r.Sent = []string{"POST / HTTP/1.1", "Accept-Encoding: gzip", "Content-Length: 6", "Host: example.com", "User-Agent: Go-http-client/1.1", "", "map[]", "cut off"}
		}},
	{name: "body longer than said", req: post("hello", 4), now: true,
		why: "net/http finds out before it writes when all is in one buffer; here the octet that makes it too long is looked for before the last one is sent", ours: func(r *result) {
			r.Sent = []string{"POST / HTTP/1.1", "Accept-Encoding: gzip", "Content-Length: 4", "Host: example.com", "User-Agent: Go-http-client/1.1", "", "map[]", "cut off"}
		}},
	{name: "trailer fields", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"Sum": {"6"}, "A": {"b", "c"}} }},
	{name: "trailer fields beside a length", req: func(r *http.Request) { post("hello", 5)(r); r.Trailer = http.Header{"Sum": {"6"}} },
		why: "they have no place there, and net/http drops them; Request.Trailer says that the length must be -1 or 0", ours: refused},
	{name: "trailer fields without a body", req: func(r *http.Request) { r.Trailer = http.Header{"Sum": {"6"}} },
		why: "they have no place there, and net/http drops them; Request.Trailer says that the length must be -1 or 0", ours: refused},
	{name: "trailer field in small letters", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"sum": {"6"}} },
		why: "it is announced in the letters in which it comes", ours: func(r *result) { r.Sent[3] = "Trailer: sum" }},
	{name: "trailer field that says whom it is for", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"Host": {"x"}} },
		why: "a trailer field must not change whom the message is for (RFC 9110 section 6.5.1)", ours: refused},
	{name: "trailer field with a line end", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"Sum": {"6\r\nX: y"}} }},
	{name: "trailer field with a bad name", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"Su m": {"6"}} }},
	{name: "trailer field that may not be one", req: func(r *http.Request) { post("hello", -1)(r); r.Trailer = http.Header{"Content-Length": {"6"}} }},
	{name: "the last of its connection", req: func(r *http.Request) { r.Close = true }},
	{name: "the last, by a field", req: field("Connection", "close"),
		why: "who asks for the close does not use the connection again", ours: func(r *result) { r.Next = "a new connection" }},
	{name: "the last, among other options", req: field("Connection", "keep-alive, close"),
		why: "who asks for the close does not use the connection again", ours: func(r *result) { r.Sent[2], r.Next = "Connection: close", "a new connection" }},
	{name: "Connection in small letters", req: field("connection", "close"),
		why: canonical, ours: func(r *result) {
			r.Sent = slices.DeleteFunc(r.Sent, func(line string) bool { return line == "connection: close" })
		}},
	{name: "User-Agent in small letters", req: field("user-agent", "me"),
		why: canonical, ours: func(r *result) {
			r.Sent = slices.DeleteFunc(r.Sent, func(line string) bool { return line == "user-agent: me" })
		}},
	{name: "Content-Length in small letters", req: all(post("hello", 5), field("content-length", "99")),
		why: canonical, ours: func(r *result) {
			r.Sent = []string{"POST / HTTP/1.1", "Accept-Encoding: gzip", "Content-Length: 5", "Host: example.com", "User-Agent: Go-http-client/1.1", "hello", "map[]", ""}
			r.Next = "the same connection"
		}},
	{name: "Host in small letters", req: field("host", "other.test"),
		why: canonical, ours: func(r *result) {
			r.Sent = []string{"GET / HTTP/1.1", "Accept-Encoding: gzip", "Host: example.com", "User-Agent: Go-http-client/1.1", "", "map[]", ""}
			r.Next = "the same connection"
		}},
	{name: "that says it persists", req: field("Connection", "keep-alive")},
	{name: "with options of the connection", req: all(field("Connection", "X-Hop"), field("X-Hop", "1"))},
	{name: "keep-alive switched off", set: func(theirs *http.Transport, ours *h1.Transport) {
		theirs.DisableKeepAlives, ours.DisableKeepAlives = true, true
	}},
	{name: "keep-alive switched off, and an upgrade", req: all(field("Connection", "Upgrade"), field("Upgrade", "x")),
		set: func(theirs *http.Transport, ours *h1.Transport) {
			theirs.DisableKeepAlives, ours.DisableKeepAlives = true, true
		}},
	{name: "compression switched off", set: func(theirs *http.Transport, ours *h1.Transport) {
		theirs.DisableCompression, ours.DisableCompression = true, true
	}},
	{name: "codings of one's own", req: field("Accept-Encoding", "br, gzip;q=0.5")},
	{name: "codings of one's own, and none", req: field("Accept-Encoding", ""),
		why: "who says that no coding is wanted is not contradicted", ours: func(r *result) {
			r.Sent = slices.DeleteFunc(r.Sent, func(line string) bool { return line == "Accept-Encoding: gzip" })
		}},
	{name: "no list of codings", req: field("Accept-Encoding")},
	{name: "a range", req: field("Range", "bytes=0-9")},
	{name: "HEAD", req: method("HEAD"), answer: ok + "Content-Length: 5\r\n\r\n"},
	{name: "another Host", req: func(r *http.Request) { r.Host = "other.test:81" }},
	{name: "Host in the Header", req: field("Host", "other.test")},
	{name: "Host with a line end", req: func(r *http.Request) { r.Host = "a\r\nX: y" },
		why: "net/http sends an empty Host, and whoever serves that answers for another name", ours: refused},
	{name: "Host with NUL", req: func(r *http.Request) { r.Host = "a\x00b" },
		why: "net/http sends an empty Host, and whoever serves that answers for another name", ours: refused},
	{name: "Host with a slash", req: func(r *http.Request) { r.Host = "a/b" },
		why: "net/http sends an empty Host, and whoever serves that answers for another name", ours: refused},
	{name: "Host with a space", req: func(r *http.Request) { r.Host = "a b" },
		why: "net/http sends an empty Host, and whoever serves that answers for another name", ours: refused},
	{name: "host in other letters", req: target("http://bücher.example/")},
	{name: "host in capitals", req: target("http://EXAMPLE.com/"),
		why: "a name is the same in any letters (RFC 9110 section 4.2.3)", ours: func(r *result) { r.Next = "the same connection" }},
	{name: "host with a port", req: target("http://example.com:8080/")},
	{name: "host with its default port", req: target("http://example.com:80/")},
	{name: "host with an empty port", req: target("http://example.com:/")},
	{name: "address of version 4", req: target("http://127.0.0.1:81/")},
	{name: "address of version 6", req: target("http://[::1]:81/")},
	{name: "address with a zone", req: target("http://[fe80::1%25eth0]:81/")},
	{name: "URL with a space in its host", req: place("a b"), why: noHost, ours: refused},
	{name: "URL with a line end in its host", req: place("a\r\nX: y"), why: noHost, ours: refused},
	{name: "URL with user and host in one", req: place("a@b"), why: noHost, ours: refused},
	{name: "URL with a question mark in its host", req: place("a?b"), why: noHost, ours: refused},
	{name: "URL with a hash in its host", req: place("a#b"), why: noHost, ours: refused},
	{name: "URL with only a port", req: place(":80"), why: "a URL without a host is to be rejected (RFC 9110 section 4.2.1); net/http asks this machine", ours: refused},
	{name: "URL with a port of letters", req: place("example.com:12x")},
	{name: "user and password", req: target("http://ann:pw@example.com/")},
	{name: "no path", req: target("http://example.com")},
	{name: "path and query", req: target("http://example.com/a/b?c=d&e")},
	{name: "query without path", req: target("http://example.com?c=d")},
	{name: "empty query", req: target("http://example.com/a?")},
	{name: "fragment", req: target("http://example.com/a#b")},
	{name: "path with what has to be escaped", req: target("http://example.com/a b/ü\"%41")},
	{name: "path with an escaped slash", req: target("http://example.com/a%2Fb")},
	{name: "path of two slashes", req: target("http://example.com//a")},
	{name: "opaque target", req: func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: "example.com", Opaque: "/a%zz"} }},
	{name: "opaque target of another host", req: func(r *http.Request) {
		r.URL = &url.URL{Scheme: "http", Host: "example.com", Opaque: "//other.test/a"}
	}},
	{name: "opaque target with a line end", req: func(r *http.Request) {
		r.URL = &url.URL{Scheme: "http", Host: "example.com", Opaque: "/ HTTP/1.1\r\nX: y"}
	}},
	{name: "opaque target with a space", req: func(r *http.Request) {
		r.URL = &url.URL{Scheme: "http", Host: "example.com", Opaque: "/a b"}
	},
		why: "it would end the target (RFC 9112 section 3.2)", ours: refused},
	{name: "query with a space", req: func(r *http.Request) { r.URL.RawQuery = "a b" },
		why: "it would end the target (RFC 9112 section 3.2)", ours: refused},
	{name: "query with letters outside ASCII", req: target("http://example.com/?q=ü"),
		why: "no target has such octets (RFC 3986 section 2.1), and escaped they are the same to a server", ours: func(r *result) { r.Sent[0] = "GET /?q=%C3%BC HTTP/1.1" }},
	{name: "query with a line end", req: func(r *http.Request) { r.URL.RawQuery = "a\r\nX: y" }},
	{name: "OPTIONS of the server", req: func(r *http.Request) { r.Method, r.URL.Opaque = "OPTIONS", "*" }},
	{name: "a field", req: field("X", "y")},
	{name: "fields in an order", req: all(field("B", "1", "2"), field("A", "3"), field("c", "4"))},
	{name: "field with space around its value", req: field("X", "  y\t")},
	{name: "field without value", req: field("X", "")},
	{name: "field with no values", req: field("X")},
	{name: "field with octets past ASCII", req: field("X", "é\xff")},
	{name: "field with a tab", req: field("X", "a\tb")},
	{name: "value with a line end", req: field("X", "a\r\nY: z")},
	{name: "value with a line feed", req: field("X", "a\nY: z")},
	{name: "value with NUL", req: field("X", "a\x00b")},
	{name: "name with a line end", req: field("X\r\nY", "z")},
	{name: "name with a colon", req: field("X:", "z")},
	{name: "name with a space", req: field("X ", "z")},
	{name: "empty name", req: field("", "z")},
	{name: "name in odd letters", req: field("x-lOWER", "1")},
	{name: "User-Agent of one's own", req: field("User-Agent", "me")},
	{name: "no User-Agent", req: field("User-Agent", "")},
	{name: "User-Agent that is no list", req: field("User-Agent")},
	{name: "two User-Agents", req: field("User-Agent", "me", "you")},
	{name: "Content-Length in the Header", req: all(post("hello", 5), field("Content-Length", "99"))},
	{name: "Transfer-Encoding in the Header", req: all(post("hello", 5), field("Transfer-Encoding", "chunked"))},
	{name: "Trailer in the Header", req: all(post("hello", 5), field("Trailer", "X"))},
	{name: "TransferEncoding of the request", req: func(r *http.Request) { post("hello", 5)(r); r.TransferEncoding = []string{"chunked"} }},
	{name: "TransferEncoding identity", req: func(r *http.Request) { post("hello", -1)(r); r.TransferEncoding = []string{"identity"} },
		why: "net/http sends the body without framing, so that it is lost (RFC 9112 section 6.3)", ours: func(r *result) {
			r.Sent = []string{"POST / HTTP/1.1", "Accept-Encoding: gzip", "Host: example.com", "Transfer-Encoding: chunked", "User-Agent: Go-http-client/1.1", "hello", "map[]", ""}
		}},
	{name: "other version", req: func(r *http.Request) { r.Proto, r.ProtoMinor = "HTTP/1.0", 0 }},
	{name: "no Header", req: func(r *http.Request) { r.Header = nil },
		why: "it is as good as an empty one", ours: func(r *result) {
			*r = result{Status: "200 OK", Proto: "HTTP/1.1", Header: http.Header{"Content-Length": {"5"}}, Length: 5, Body: "hello", Next: "the same connection",
				Sent: []string{"GET / HTTP/1.1", "Accept-Encoding: gzip", "Host: example.com", "User-Agent: Go-http-client/1.1", "", "map[]", ""}}
		}},
	{name: "no URL", req: func(r *http.Request) { r.URL = nil }},
	{name: "no host", req: func(r *http.Request) { r.URL.Host = "" }},
	{name: "another scheme", req: func(r *http.Request) { r.URL.Scheme = "gopher" }},
	{name: "scheme in capitals", req: func(r *http.Request) { r.URL.Scheme = "HTTP" }},
	{name: "no scheme", req: func(r *http.Request) { r.URL.Scheme = "" }},
	{name: "RequestURI", req: func(r *http.Request) { r.RequestURI = "/other" }},
	{name: "invited body", req: all(post("hello", 5), field("Expect", "100-continue")), play: func(s *scene) {
		s.head()
		s.send("HTTP/1.1 100 Continue\r\n\r\n")
		s.body()
		s.send(hello)
		s.answerAll(hello)
	}},
	{name: "body that nobody invites", req: all(post("hello", 5), field("Expect", "100-continue"))},
	{name: "body that is not wanted", req: all(post("hello", 5), field("Expect", "100-continue")), play: func(s *scene) {
		s.head()
		s.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	}},
	{name: "body that is not wanted, on a connection that persists", req: all(post("hello", 5), field("Expect", "100-continue")), play: func(s *scene) {
		s.head()
		s.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		s.body()
		s.answerAll(hello)
	},
		why: "a body that was refused is not sent, so that the connection ends (RFC 9110 section 10.1.1)", ours: func(r *result) {
			r.Sent[len(r.Sent)-3], r.Sent[len(r.Sent)-1], r.Next = "", "cut off", "a new connection"
		}},
	{name: "expectation without a body", req: field("Expect", "100-continue")},
	{name: "answered before its body was read", req: post(strings.Repeat("x", 100_000), 100_000), play: func(s *scene) {
		s.head()
		s.send(hello)
		s.in.Reset() // how much came by then says nothing
	}},
	{name: "CONNECT", req: func(r *http.Request) { r.Method, r.URL.Path = "CONNECT", "" }, answer: ok + "\r\n", closes: true,
		why: "the tunnel is an io.ReadWriteCloser, as after a 101; net/http has only the way from the server", ours: func(r *result) { r.Length, r.Close, r.Switched = 0, false, true }},
	{name: "CONNECT that is refused", req: func(r *http.Request) { r.Method, r.URL.Path = "CONNECT", "" },
		answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"},
	{name: "CONNECT to a path", req: func(r *http.Request) { r.Method, r.URL.Path = "CONNECT", "/_goRPC_" }, answer: ok + "\r\n", closes: true,
		why: "the tunnel is an io.ReadWriteCloser, as after a 101; net/http has only the way from the server", ours: func(r *result) { r.Length, r.Close, r.Switched = 0, false, true }},
}

func TestRequestsGoOutAsFromNetHTTP(t *testing.T) {
	for _, d := range requests {
		t.Run(d.name, func(t *testing.T) {
			if d.answer == "" {
				d.answer = hello
			}
			d.requireSame(t)
		})
	}
}
