package main

import "bytes"

// What every server answers. The canned head has the size of a usual one, so that the floor moves as many bytes.
const (
	contentType = "text/plain; charset=utf-8"
	smallBody   = "Hello, World!"
	cannedDate  = "Sun, 22 Nov 2026 12:00:00 GMT"
)

var largeBody = bytes.Repeat([]byte("0123456789abcdef"), 4096)

// body is the body of the answer to a task that is not an echo.
func (w work) answerBody() []byte {
	if w.task == taskLarge {
		return largeBody
	}
	return []byte(smallBody)
}
