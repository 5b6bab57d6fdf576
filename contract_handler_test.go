package h1

// The contract as net/http's own handlers use it.

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing/fstest"
	"testing/iotest"
	"time"
)

// site is a small file system.
var site = fstest.MapFS{
	"index.html":   {Data: []byte("<h1>hello</h1>"), ModTime: time.Unix(1e9, 0)},
	"large.txt":    {Data: []byte(large), ModTime: time.Unix(1e9, 0)},
	"dir/a.css":    {Data: []byte("a{}"), ModTime: time.Unix(1e9, 0)},
	"dir/no type ": {Data: []byte("\x00\x01"), ModTime: time.Unix(1e9, 0)},
}

// routes are patterns of each kind.
func routes() http.Handler {
	mux := http.NewServeMux()
	tell := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q %q", r.Method, r.Pattern, r.PathValue("name"), r.URL.Path)
	}
	for _, pattern := range []string{"GET /hello/{name}", "POST /hello/{name}", "/tree/", "other/", "GET /{$}", "/rest/{name...}", "CONNECT h:443/"} {
		mux.HandleFunc(pattern, tell)
	}
	return mux
}

func files() http.HandlerFunc { return http.FileServerFS(site).ServeHTTP }

// tooLarge is an upload of which more is left than h1 drains.
var tooLarge = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + large

// limited reads at most n octets of the request's body, and says 413 past them.
func limited(n int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, n)
		_, err := io.Copy(io.Discard, r.Body)
		if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
			http.Error(w, fmt.Sprint("too much: ", e.Limit), http.StatusRequestEntityTooLarge)
		}
	}
}

// brokenBehindProxy passes on an answer whose body breaks off.
func brokenBehindProxy(w http.ResponseWriter, r *http.Request) {
	p := &httputil.ReverseProxy{
		Rewrite:  func(*httputil.ProxyRequest) {},
		ErrorLog: log.New(io.Discard, "", 0),
		Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
			body := io.MultiReader(strings.NewReader(large), iotest.ErrReader(io.ErrUnexpectedEOF))
			// With a type of its own: the proxy flushes the head in a goroutine, before or
			// after the first octets from which a type could be learned.
			header := http.Header{"Content-Type": {"text/plain"}}
			return &http.Response{StatusCode: 200, Header: header, ContentLength: -1, Body: io.NopCloser(body)}, nil
		}),
	}
	p.ServeHTTP(w, r)
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var handlerContracts = []contract{
	{name: "ServeMux: a pattern with a method and a name", request: get("/hello/you"), handler: routes().ServeHTTP},
	{name: "ServeMux: another method", request: post("/hello/you", ""), handler: routes().ServeHTTP},
	{name: "ServeMux: no such method", request: "PUT /hello/you HTTP/1.1\r\nHost: h\r\n\r\n", handler: routes().ServeHTTP},
	{name: "ServeMux: HEAD is GET", request: "HEAD /hello/you HTTP/1.1\r\nHost: h\r\n\r\n", handler: routes().ServeHTTP},
	{name: "ServeMux: a tree and its redirect", request: get("/tree") + get("/tree/a%2Fb/c?d"), handler: routes().ServeHTTP},
	{name: "ServeMux: the path is cleaned", request: get("/tree/../hello//you"), handler: routes().ServeHTTP},
	{name: "ServeMux: the end of the path", request: get("/") + get("/nothing") + get("/rest/a/b"), handler: routes().ServeHTTP},
	{name: "ServeMux: a host", request: "GET /x HTTP/1.1\r\nHost: other\r\n\r\n", handler: routes().ServeHTTP},
	{name: "ServeMux: the host of an absolute-form", request: "GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n", handler: routes().ServeHTTP},
	{name: "ServeMux: CONNECT", request: "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", handler: routes().ServeHTTP},
	{name: "ServeMux: OPTIONS *", request: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", config: func(s *http.Server) { s.DisableGeneralOptionsHandler = true }, handler: routes().ServeHTTP},
	{name: "OPTIONS * for the handler", request: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", config: func(s *http.Server) { s.DisableGeneralOptionsHandler = true }, handler: describe},
	{name: "OPTIONS * with a body", request: "OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + get("/hello/next"), handler: routes().ServeHTTP},
	{name: "http.DefaultServeMux", request: get("/nothing"), config: func(s *http.Server) { s.Handler = nil }},

	{name: "a file", request: get("/large.txt"), handler: files()},
	{name: "HEAD of a file", request: "HEAD /large.txt HTTP/1.1\r\nHost: h\r\n\r\n", handler: files()},
	{name: "a directory's index and its redirect", request: get("/") + get("/index.html") + get("/dir"), handler: files()},
	{name: "a list of files", request: get("/dir/"), handler: files()},
	{name: "a file's range", request: get("/large.txt", "Range: bytes=10-19") + get("/large.txt", "Range: bytes=-5") + get("/large.txt", "Range: bytes=4090-"), handler: files()},
	{name: "a range past the end", request: get("/large.txt", "Range: bytes=9999-"), handler: files()},
	{name: "an unchanged file", request: get("/large.txt", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"), handler: files()},
	{name: "a range of a changed file", request: get("/large.txt", "Range: bytes=0-1", `If-Range: "old"`), handler: files()},
	{name: "no such file", request: get("/nothing"), handler: files()},
	{name: "StripPrefix", request: get("/static/dir/a.css"), handler: http.StripPrefix("/static/", http.FileServerFS(site)).ServeHTTP},

	{name: "Redirect of POST", request: post("/a/b?c", "x"), handler: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "../c", http.StatusSeeOther)
	}},
	{name: "http.Error clears fields", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Content-Encoding", "gzip")
		http.Error(w, "sorry", http.StatusInternalServerError)
	}},
	{name: "cookies", request: get("/", "Cookie: a=1; b=2", "Cookie: c=3"), handler: func(w http.ResponseWriter, r *http.Request) {
		for _, c := range r.Cookies() {
			http.SetCookie(w, &http.Cookie{Name: c.Name, Value: c.Value + "!", HttpOnly: true})
		}
	}},
	{name: "BasicAuth", request: get("/") + get("/", "Authorization: Basic dXNlcjpwYXNz"), handler: func(w http.ResponseWriter, r *http.Request) {
		user, pass, ok := r.BasicAuth()
		if !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, user, pass)
	}},
	{name: "a form", request: post("/?a=0&c=3", "a=1&b=%20", "Content-Type: application/x-www-form-urlencoded"), handler: func(w http.ResponseWriter, r *http.Request) {
		requireIs(r.ParseForm(), nil)
		fmt.Fprint(w, r.Form, r.PostForm, r.FormValue("a"))
	}},
	{name: "an upload by multipart", request: post("/", "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nthe file\r\n--b\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\nvalue\r\n--b--\r\n",
		"Content-Type: multipart/form-data; boundary=b"), handler: func(w http.ResponseWriter, r *http.Request) {
		f, header, err := r.FormFile("f")
		requireIs(err, nil)
		text, err := io.ReadAll(f)
		requireIs(err, nil)
		fmt.Fprintf(w, "%s %s %q", header.Filename, text, r.FormValue("v"))
	}},
	{name: "an upload by multipart, streamed in chunks", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n" +
		"5\r\n--b\r\n\r\n3f\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nt\r\n10\r\nhe file\r\n--b--\r\n\r\n0\r\n\r\n", handler: func(w http.ResponseWriter, r *http.Request) {
		parts, err := r.MultipartReader()
		requireIs(err, nil)
		part, err := parts.NextPart()
		requireIs(err, nil)
		text, err := io.ReadAll(part)
		requireIs(err, nil)
		fmt.Fprintf(w, "%s %s", part.FileName(), text)
	}},
	{name: "no body is http.NoBody", request: get("/") + post("/", ""), handler: func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Body == http.NoBody, r.ContentLength)
	}},
	{name: "a panic with a value", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) { panic("oops") }},
	{name: "ErrAbortHandler through middleware", request: get("/"), handler: func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).ServeHTTP(w, r)
	}},

	// A broken answer used to be passed on as a whole one: the proxy looks for
	// http.ServerContextKey before it panics.
	{name: "ReverseProxy of an answer that breaks off", request: get("/"), handler: brokenBehindProxy},

	{name: "TimeoutHandler too late", request: get("/", "Connection: close"), handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "never seen")
		<-r.Context().Done()
		_, err := io.WriteString(w, "too late")
		requireIs(err, http.ErrHandlerTimeout)
	}), time.Second, "too late").ServeHTTP},
	{name: "TimeoutHandler and a panic", request: get("/", "Connection: close"), handler: http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		panic(http.ErrAbortHandler)
	}), time.Second, "too late").ServeHTTP},
	{name: "MaxBytesReader: not reached", request: post("/", "hello"), handler: limited(5)},
	{name: "MaxBytesReader: far too much", request: tooLarge, handler: limited(100)},
	{name: "MaxBytesHandler: far too much", request: tooLarge, handler: http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			panic("no limit")
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}), 100).ServeHTTP},
	{name: "MaxBytesReader: far too much in chunks", request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("1000\r\n"+large+"\r\n", 100) + "0\r\n\r\n", handler: limited(100)},

	{name: "CrossOriginProtection", request: post("/", "x", "Sec-Fetch-Site: cross-site") + post("/", "x", "Sec-Fetch-Site: same-origin") + get("/", "Origin: https://evil"),
		handler: http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "let in") })).ServeHTTP},
	{name: "AllowQuerySemicolons", request: get("/?a=1;b=2"), handler: http.AllowQuerySemicolons(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.FormValue("b"))
	})).ServeHTTP},
}
