package h1_test

// The same answers to both Transports: what comes of them, and whether the
// connection is used again. Where h1 does otherwise the reason stands beside it.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/h1go/h1"
)

const ok = "HTTP/1.1 200 OK\r\n"

// fails is the result of a request without answer.
func fails(class string) func(r *result) {
	return func(r *result) { *r = result{Err: class, Sent: r.Sent, Next: "a new connection"} }
}

// brokenBody is the result of an answer whose body is faulty.
func brokenBody(r *result) {
	r.Body, r.BodyErr, r.Trailer, r.Next = "", "error", nil, "a new connection"
}

func method(m string) func(r *http.Request) { return func(r *http.Request) { r.Method = m } }

var answers = []difference{
	{name: "of known length", answer: hello},
	{name: "of no length", answer: ok + "Content-Length: 0\r\n\r\n"},
	{name: "in chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"},
	{name: "in chunks with extensions", answer: ok + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2;c\r\nlo\r\n0;d\r\n\r\n"},
	{name: "in no chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "in chunks, sizes in capitals and with zeros", answer: ok + "Transfer-Encoding: Chunked\r\n\r\n000A\r\n0123456789\r\n00\r\n\r\n"},
	{name: "with an announced trailer", answer: ok + "Trailer: Sum, Not\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 6\r\n\r\n"},
	{name: "with a trailer nobody announced", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 6\r\n\r\n"},
	{name: "with a trailer announced beside a length", answer: ok + "Trailer: Sum\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with no trailer announced", answer: ok + "Trailer:\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{name: "with a trailer announced that may not be one", answer: ok + "Trailer: Content-Length, Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSum: 6\r\n\r\n",
		why: "an announcement alone changes no framing", ours: func(r *result) {
			*r = result{Status: "200 OK", Proto: "HTTP/1.1", Header: http.Header{}, Length: -1, Codings: []string{"chunked"}, Trailer: http.Header{"Sum": {"6"}}, Sent: r.Sent, Next: "the same connection"}
		}},
	{name: "with a trailer that would change the framing", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
		why: "a trailer field must not change the framing (RFC 9110 section 6.5.1)", ours: brokenBody},
	{name: "with a bad trailer line", answer: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nnonsense\r\n\r\n"},
	{name: "until close", answer: ok + "\r\nhello", closes: true},
	{name: "until close, and saying so", answer: ok + "Connection: close\r\n\r\nhello", closes: true},
	{name: "HTTP/1.0 until close", answer: "HTTP/1.0 200 OK\r\n\r\nhello", closes: true},
	{name: "HTTP/1.0 of known length", answer: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "HTTP/1.0 that persists", answer: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "the last of its connection", answer: ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "HTTP/1.0, saying that it is the last", answer: "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		why: "Response.Close says it, and not a field that programs copy", ours: func(r *result) { delete(r.Header, "Connection") }},
	{name: "the last, among other options", answer: ok + "Connection: x, CLOSE\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "that needs not say it persists", answer: ok + "Connection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "to HEAD, with a length", req: method("HEAD"), answer: ok + "Content-Length: 5\r\n\r\n"},
	{name: "to HEAD, without", req: method("HEAD"), answer: ok + "\r\n"},
	{name: "to HEAD, in chunks", req: method("HEAD"), answer: ok + "Transfer-Encoding: chunked\r\n\r\n"},
	{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n"},
	{name: "204 with a length of zero", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"},
	{name: "304 with the length of the thing", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
	{name: "205", answer: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"},
	{name: "204 with a body", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "204 in chunks", answer: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "304 with a body", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "304 in chunks, without any", answer: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{name: "205 with a body", answer: "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "to HEAD, with a body", req: method("HEAD"), answer: hello},
	{name: "404", answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "503 without a reason", answer: "HTTP/1.1 503 \r\nContent-Length: 5\r\n\r\nhello"},
	{name: "without even the space before a reason", answer: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "of an unknown status", answer: "HTTP/1.1 799 Whatever it is\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a length said twice", answer: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with two lengths", answer: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
	{name: "with a signed length", answer: ok + "Content-Length: +5\r\n\r\nhello"},
	{name: "with a length below zero", answer: ok + "Content-Length: -5\r\n\r\nhello"},
	{name: "with a length that is no number", answer: ok + "Content-Length: five\r\n\r\nhello"},
	{name: "with a length past all numbers", answer: ok + "Content-Length: 99999999999999999999\r\n\r\nhello"},
	{name: "with length and coding", answer: ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		why: "two parties could read two messages (RFC 9112 section 6.3)", ours: fails("error")},
	{name: "with an empty length", answer: ok + "Content-Length: \r\n\r\nhello", closes: true},
	{name: "with a length in a list", answer: ok + "Content-Length: 5, 5\r\n\r\nhello"},
	{name: "with zeros before its length", answer: ok + "Content-Length: 0005\r\n\r\nhello"},
	{name: "in chunks, said twice", answer: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "in chunks of chunks", answer: ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
	{name: "in chunks, with a parameter", answer: ok + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
	{name: "of an unknown coding", answer: ok + "Transfer-Encoding: br, chunked\r\n\r\n0\r\n\r\n"},
	{name: "of the coding identity", answer: ok + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "HTTP/1.0 in chunks", answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", closes: true,
		why: "net/http gives the chunks as the body; the framing is faulty (RFC 9112 section 6.1)", ours: fails("error")},
	{name: "cut off in the body", answer: ok + "Content-Length: 10\r\n\r\nhello", closes: true},
	{name: "cut off in a chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n8\r\nhello", closes: true},
	{name: "cut off between chunks", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", closes: true},
	{name: "cut off before the trailer's end", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", closes: true,
		why: "an early end is io.ErrUnexpectedEOF wherever it comes", ours: func(r *result) { r.BodyErr = "cut off" }},
	{name: "with a bad chunk size", answer: ok + "Transfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n"},
	{name: "with a chunk past all numbers", answer: ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nhello\r\n0\r\n\r\n"},
	{name: "with a chunk without end", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"},
	{name: "with a space behind a chunk size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
		why: "space stands before an extension only (RFC 9112 section 7.1.1)", ours: brokenBody},
	{name: "with a bare line feed behind a chunk size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"},
	{name: "with a bare line feed behind a chunk", answer: ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"},
	{name: "with an empty chunk size", answer: ok + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"},
	{name: "none"},
	{name: "cut off in the head", answer: "HTTP/1.1 200 OK\r\nContent-Le", closes: true,
		why: "an early end is io.ErrUnexpectedEOF wherever it comes", ours: fails("cut off")},
	{name: "that is no HTTP", answer: "SSH-2.0-OpenSSH\r\n", closes: true},
	{name: "of a later version", answer: "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		why: "it is not HTTP/1, whatever follows", ours: fails("error")},
	{name: "of HTTP/1.2", answer: "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		why: "it is read as the highest version known (RFC 9110 section 2.5), and called so", ours: func(r *result) { r.Proto = "HTTP/1.1" }},
	{name: "with a version in small letters", answer: "http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "of HTTP/0.9", answer: "HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		why: "HTTP/0.9 has no status line", ours: fails("error")},
	{name: "of a status below 100", answer: "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello",
		why: "there is no such class of status (RFC 9110 section 15)", ours: fails("error")},
	{name: "with NUL in the reason", answer: "HTTP/1.1 200 O\x00K\r\nContent-Length: 5\r\n\r\nhello",
		why: "a reason has no controls (RFC 9112 section 4)", ours: fails("error")},
	{name: "of two digits", answer: "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "of four digits", answer: "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with two spaces before the status", answer: "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
		why: "the grammar has one (RFC 9112 section 4)", ours: fails("error")},
	{name: "after an empty line", answer: "\r\n" + hello},
	{name: "with bare line feeds", answer: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
		why: "lines end in CRLF, so that no two parties see them end differently", ours: fails("error")},
	{name: "with a folded field", answer: ok + "Content-Length: 5\r\nX: a\r\n b\r\n\r\nhello",
		why: "folding is obsolete, and read in different ways (RFC 9112 section 5.2)", ours: fails("error")},
	{name: "with a line without colon", answer: ok + "Content-Length: 5\r\nnonsense\r\n\r\nhello"},
	{name: "with a space before a colon", answer: ok + "Content-Length : 5\r\n\r\nhello",
		why: "net/http takes it for another field, others for this one (RFC 9112 section 5.1)", ours: fails("error")},
	{name: "with a space in a name", answer: ok + "X Y: z\r\nContent-Length: 5\r\n\r\nhello",
		why: "it is no token (RFC 9110 section 5.1)", ours: fails("error")},
	{name: "with an empty name", answer: ok + ": z\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with NUL in a value", answer: ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a carriage return in a value", answer: ok + "X: a\rb\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with octets past ASCII in a value", answer: ok + "X: \xe9\xff\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with an empty value", answer: ok + "X:\r\nY: \t \r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with space around values", answer: ok + "X: \t a b \t\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a field twice", answer: ok + "x-a: 1\r\nX-B: 2\r\nX-A: 3\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with odd letters in names", answer: ok + "x-lOWER: 1\r\nX!#$: 2\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a large head", answer: ok + "X: " + strings.Repeat("x", 200<<10) + "\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a head over the limit", answer: ok + "X: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 5\r\n\r\nhello",
		set: func(theirs *http.Transport, ours *h1.Transport) {
			theirs.MaxResponseHeaderBytes, ours.MaxResponseHeaderBytes = 1000, 1000
		}},
	{name: "with a head past Chrome's limit", answer: ok + "X: " + strings.Repeat("x", 300<<10) + "\r\nContent-Length: 5\r\n\r\nhello",
		why: "a head is at most 256 KiB and 1000 fields by default; net/http takes 10 MiB", ours: fails("error")},
	{name: "of very many fields", answer: ok + strings.Repeat("X: y\r\n", 1001) + "Content-Length: 5\r\n\r\nhello",
		why: "a head is at most 256 KiB and 1000 fields by default; net/http takes 10 MiB", ours: fails("error")},
	{name: "that old caches should not keep", answer: ok + "Pragma: no-cache\r\nContent-Length: 5\r\n\r\nhello",
		why: "net/http makes a Cache-Control of it that the server has not sent; Pragma is deprecated (RFC 9111 section 5.4)", ours: func(r *result) { delete(r.Header, "Cache-Control") }},
	{name: "after early hints", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + hello},
	{name: "after an uninvited 100", answer: "HTTP/1.1 100 Continue\r\n\r\n" + hello},
	{name: "after many that only inform", answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10) + hello},
	{name: "after more than anybody has reason to send", answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 11) + hello,
		why: "net/http counts the octets of the heads only; Limits.Informational is 10 unless said otherwise", ours: fails("error")},
	{name: "that switches protocols, asked for", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", closes: true,
		req: func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}} }},
	{name: "that switches protocols, unasked", answer: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", closes: true,
		why: "a server must not (RFC 9110 section 7.8)", ours: fails("error")},
	{name: "coded", answer: coded("gzip", gzipped("hello"))},
	{name: "coded, in capitals", answer: coded("GZIP", gzipped("hello"))},
	{name: "coded, by another coding", answer: coded("br", "hello")},
	{name: "coded, by two codings", answer: coded("gzip, gzip", gzipped(gzipped("hello")))},
	{name: "coded, by two codings in two fields", answer: ok + "Content-Encoding: gzip\r\nContent-Encoding: x\r\nContent-Length: 29\r\n\r\n" + gzipped("hello"),
		why: "net/http takes one off and both fields; the other coding is then not told of", ours: func(r *result) {
			r.Header, r.Length, r.Unzipped, r.Body = http.Header{"Content-Encoding": {"gzip", "x"}, "Content-Length": {"29"}}, 29, false, gzipped("hello")
		}},
	{name: "coded, in chunks with a trailer", answer: ok + "Content-Encoding: gzip\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\nSum: 6\r\n\r\n", len(gzipped("hello")), gzipped("hello"))},
	{name: "coded, in no chunk", answer: ok + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "coded, until close", answer: ok + "Content-Encoding: gzip\r\n\r\n" + gzipped("hello"), closes: true},
	{name: "coded, in two members", answer: coded("gzip", gzipped("hel")+gzipped("lo"))},
	{name: "coded, and rubbish after it", answer: coded("gzip", gzipped("hello")+"rubbish")},
	{name: "coded, of a range", req: field("Range", "bytes=0-9"), answer: coded("gzip", gzipped("hello"))},
	{name: "coded, and nothing in it", answer: coded("gzip", "")},
	{name: "coded, and cut off", answer: coded("gzip", gzipped("hello")[:20])},
	{name: "coded, and it is not", answer: coded("gzip", "hello")},
	{name: "coded, to HEAD", req: method("HEAD"), answer: ok + "Content-Encoding: gzip\r\nContent-Length: 29\r\n\r\n"},
	{name: "coded, as the caller asked", answer: coded("gzip", gzipped("hello")),
		req: func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }},
	{name: "coded, although it was not asked for", answer: coded("gzip", gzipped("hello")),
		set: func(theirs *http.Transport, ours *h1.Transport) {
			theirs.DisableCompression, ours.DisableCompression = true, true
		}},
	{name: "and octets after it", answer: hello + "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"},
	{name: "with a hint", answer: ok + "Keep-Alive: timeout=30\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "with a hint that time is short", answer: ok + "Keep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello",
		why: "the server would close at any moment", ours: func(r *result) { r.Next = "a new connection" }},
	{name: "too late", play: func(s *scene) { s.whole(); time.Sleep(time.Minute) },
		set: func(theirs *http.Transport, ours *h1.Transport) {
			theirs.ResponseHeaderTimeout, ours.ResponseHeaderTimeout = time.Second, time.Second
		}},
}

// coded is an answer of a content coding.
func coded(coding, body string) string {
	return fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", ok, coding, len(body), body)
}

func TestAnswersComeAsFromNetHTTP(t *testing.T) {
	for _, d := range answers {
		t.Run(d.name, d.requireSame)
	}
}
