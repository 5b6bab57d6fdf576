package compat

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/require"
)

// events is how many a stream sends.
const events = 3

// Each framework answers the same small interface: a name in the path, JSON in
// and out, a stream of events, an uploaded file, a panic, compression.
func frameworks() map[string]http.Handler {
	return map[string]http.Handler{"chi": onChi(), "gin": onGin(), "echo": onEcho()}
}

type message struct {
	Text string `json:"text"`
}

func onChi() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.RealIP, middleware.Recoverer, middleware.Timeout(time.Minute))
	r.Get("/hello/{name}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", chi.URLParam(r, "name")) })
	r.Post("/json", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	r.Get("/events", func(w http.ResponseWriter, r *http.Request) {
		// As logging middleware does: the wrapper has to find Flusher, ReaderFrom and
		// Hijacker in what it wraps.
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		for i := range events {
			fmt.Fprintf(ww, "data: %d\n\n", i)
			ww.(http.Flusher).Flush()
		}
	})
	r.Post("/upload", func(w http.ResponseWriter, r *http.Request) {
		f, header, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n, _ := io.Copy(io.Discard, f)
		fmt.Fprintf(w, "%s %d", header.Filename, n)
	})
	r.Get("/panic", func(w http.ResponseWriter, r *http.Request) { panic("oops") })
	r.With(middleware.Compress(5)).Get("/large", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, large)
	})
	return r
}

func onGin() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) }))
	e.GET("/hello/:name", func(c *gin.Context) { c.String(http.StatusOK, "hello %s", c.Param("name")) })
	e.POST("/json", func(c *gin.Context) {
		var m message
		if c.ShouldBindJSON(&m) == nil {
			c.JSON(http.StatusOK, m)
		}
	})
	e.GET("/events", func(c *gin.Context) {
		i := 0
		c.Stream(func(w io.Writer) bool { // asks for http.CloseNotifier
			fmt.Fprintf(w, "data: %d\n\n", i)
			i++
			return i < events
		})
	})
	e.POST("/upload", func(c *gin.Context) {
		header, err := c.FormFile("file")
		if err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		c.String(http.StatusOK, "%s %d", header.Filename, header.Size)
	})
	e.GET("/panic", func(c *gin.Context) { panic("oops") })
	e.GET("/large", func(c *gin.Context) {
		c.Header("Content-Encoding", "gzip")
		z := gzip.NewWriter(c.Writer)
		_, _ = io.WriteString(z, large)
		_ = z.Close()
	})
	return e
}

func onEcho() http.Handler {
	e := echo.New()
	e.Use(echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, _ []byte) error { return err }}))
	e.GET("/hello/:name", func(c echo.Context) error { return c.String(http.StatusOK, "hello "+c.Param("name")) })
	e.POST("/json", func(c echo.Context) error {
		var m message
		if err := c.Bind(&m); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, m)
	})
	e.GET("/events", func(c echo.Context) error {
		for i := range events {
			fmt.Fprintf(c.Response(), "data: %d\n\n", i)
			c.Response().Flush()
		}
		return nil
	})
	e.POST("/upload", func(c echo.Context) error {
		header, err := c.FormFile("file")
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, fmt.Sprint(header.Filename, " ", header.Size))
	})
	e.GET("/panic", func(c echo.Context) error { panic("oops") })
	e.GET("/large", func(c echo.Context) error { return c.String(http.StatusOK, large) }, echomiddleware.Gzip())
	return e
}

var large = strings.Repeat("0123456789abcdef", 16<<10)

func TestFrameworks(t *testing.T) {
	for name, handler := range frameworks() {
		for client, rt := range transports(t) {
			t.Run(name+" asked by "+client, func(t *testing.T) {
				s := serve(t, handler)
				c := &http.Client{Transport: rt}
				_, body := exchange(t, c, "GET", s.URL+"/hello/you", "")
				require.Equal(t, "hello you", body)
				_, body = exchange(t, c, "POST", s.URL+"/json", `{"text":"hi"}`, "Content-Type: application/json")
				require.JSONEq(t, `{"text":"hi"}`, body)
				res, body := exchange(t, c, "GET", s.URL+"/events", "")
				require.Equal(t, "data: 0\n\ndata: 1\n\ndata: 2\n\n", body)
				require.Equal(t, []string{"chunked"}, res.TransferEncoding)
				_, body = exchange(t, c, "POST", s.URL+"/upload", form(large), "Content-Type: multipart/form-data; boundary=b")
				require.Equal(t, fmt.Sprint("a.txt ", len(large)), body)
				res, _ = exchange(t, c, "GET", s.URL+"/panic", "")
				require.Equal(t, http.StatusInternalServerError, res.StatusCode)
				res, body = exchange(t, c, "GET", s.URL+"/large", "")
				require.True(t, res.Uncompressed, "it was sent compressed")
				require.Equal(t, large, body)
				res, _ = exchange(t, c, "GET", s.URL+"/nothing", "")
				require.Equal(t, http.StatusNotFound, res.StatusCode)
				c.CloseIdleConnections()
				require.Equal(t, 1, connections(s), "all over one connection")
			})
		}
	}
}

// form is a form with one file.
func form(text string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n" + text + "\r\n--b--\r\n"
}
