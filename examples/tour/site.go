package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"regexp"
	"strconv"
)

// site is a page and its images, by path. It is made the same each time.
type site map[string]file

type file struct {
	body    []byte
	chunked bool // sent without saying how long it is
}

// newSite makes a page with n images of different sizes, every second one
// chunked.
func newSite(n int) site {
	s, page := site{}, "<!doctype html>\n<title>h1 tour</title>\n"
	for i := range n {
		path := fmt.Sprintf("/image/%d.png", i+1)
		page += fmt.Sprintf("<img src=%q alt=\"\">\n", path)
		s[path] = file{body: picture(i + 1), chunked: i%2 == 1}
	}
	s["/"] = file{body: []byte(page)}
	return s
}

// picture paints something that does not compress to nothing.
func picture(n int) []byte {
	edge := 24 * n
	img := image.NewRGBA(image.Rect(0, 0, edge, edge))
	for y := range edge {
		for x := range edge {
			img.Set(x, y, color.RGBA{uint8(x * y / n), uint8(x*x + y*y), uint8(n * (x ^ y)), 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // a buffer takes everything
	return b.Bytes()
}

// ServeHTTP implements http.Handler.
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s[r.URL.Path]
	if f.chunked {
		w.(http.Flusher).Flush() // the head leaves before the length can be known
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(f.body)))
	}
	w.Write(f.body)
}

var source = regexp.MustCompile(`src="(.*?)"`)

// images are the paths of a page's images, in the order of the page.
func images(page []byte) (paths []string) {
	for _, m := range source.FindAllSubmatch(page, -1) {
		paths = append(paths, string(m[1]))
	}
	return paths
}
