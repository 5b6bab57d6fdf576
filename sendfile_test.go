package h1

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// someFile is a file of n octets that differ.
func someFile(t *testing.T, n int) (name string, sum [32]byte) {
	t.Helper()
	content := make([]byte, n)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content)
	name = filepath.Join(t.TempDir(), "file.bin")
	require.NoError(t, os.WriteFile(name, content, 0o600))
	return name, sha256.Sum256(content)
}

func TestFilesAreSentWhole(t *testing.T) {
	const size = 3<<20 + 7
	name, sum := someFile(t, size)
	handlers := map[string]http.HandlerFunc{
		"http.ServeFile": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) },
		"io.Copy with a length": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.Copy(w, f)
		},
		"io.Copy without": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			_, _ = io.Copy(w, f)
		},
		"after some was written": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.CopyN(struct{ io.Writer }{w}, f, 1000)
			_, _ = io.Copy(w, f)
		},
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, listen func() net.Listener) {
				l := listen()
				start(t, &Server{Handler: handler}, l)
				nc := dial(t, l)
				r := bufio.NewReader(nc)
				for range 2 { // the connection is as good as before
					_, body := fetch(t, nc, r, "/")
					require.Equal(t, size, len(body))
					require.Equal(t, sum, sha256.Sum256([]byte(body)))
				}
			})
		})
	}
}

func TestRangesOfAFile(t *testing.T) {
	name, _ := someFile(t, 1<<20)
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, &Server{Handler: http.FileServer(http.Dir(filepath.Dir(name)))}, l)
	nc := dial(t, l)
	_, err = io.WriteString(nc, "GET /file.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1000-400999\r\n\r\n")
	require.NoError(t, err)
	res, body := answerOf(t, bufio.NewReader(nc))
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	require.True(t, bytes.Equal(content[1000:401000], []byte(body)))
}

// A file that is longer than declared is cut there, and one that is shorter ends
// the connection, so that the client does not take half of it for the whole.
func TestAFileOfAnotherLengthThanDeclared(t *testing.T) {
	name, _ := someFile(t, 100_000)
	failed := make(chan error, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", r.URL.Query().Get("n"))
		_, err = io.Copy(w, f)
		failed <- err
	})}, l)
	nc := dial(t, l)
	r := bufio.NewReader(nc)
	_, body := fetch(t, nc, r, "/?n=60000")
	require.Len(t, body, 60000)
	require.ErrorIs(t, <-failed, http.ErrContentLength)

	_, err = io.WriteString(nc, "GET /?n=200000 HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, <-failed)
}

func TestAnotherConnectionIsSpliced(t *testing.T) {
	source, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer source.Close()
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		nc, err := source.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = nc.Write(content)
		time.Sleep(time.Millisecond) // the end comes apart from the octets
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, &Server{Native: NativeHandlerFunc(func(x *Exchange) {
		nc, err := net.Dial("tcp", source.Addr().String())
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		x.SetContentLength(int64(len(content)))
		_, _ = x.ReadFrom(nc)
	})}, l)
	nc := dial(t, l)
	_, body := fetch(t, nc, bufio.NewReader(nc), "/")
	require.Equal(t, string(content), body)
}
