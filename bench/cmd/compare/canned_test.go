package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCannedAnswersOncePerHeadHoweverCut(t *testing.T) {
	stream := []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3) + "GET /\r\r\n HTTP")
	answer := newCanned(work{task: taskSmall}).answer
	for size := 1; size <= len(stream); size++ {
		c, out := newCanned(work{task: taskSmall}), []byte(nil)
		for part := stream; len(part) > 0; {
			n := min(size, len(part))
			out = append(out, c.reply(part[:n])...)
			part = part[n:]
		}
		require.Equal(t, 3, bytes.Count(out, answer), "cut every %d octets", size)
		require.Len(t, out, 3*len(answer), "cut every %d octets", size)
	}
}

func TestCannedEchoesEachBodyBehindAHeadHoweverCut(t *testing.T) {
	w := work{task: taskEcho, body: 5}
	stream := []byte("POST / HTTP/1.1\r\n\r\nhelloPOST / HTTP/1.1\r\n\r\n\r\n\r\nx")
	head := string(newCanned(w).answer)
	for size := 1; size <= len(stream); size++ {
		c, out := newCanned(w), []byte(nil)
		for part := stream; len(part) > 0; {
			n := min(size, len(part))
			out = append(out, c.reply(part[:n])...)
			part = part[n:]
		}
		require.Equal(t, head+"hello"+head+"\r\n\r\nx", string(out), "cut every %d octets", size)
	}
}

func TestCannedHeadHasTheSizeOfItsBody(t *testing.T) {
	require.Contains(t, string(newCanned(work{task: taskSmall}).answer), "Content-Length: 13\r\n")
	require.Contains(t, string(newCanned(work{task: taskLarge}).answer), "Content-Length: 65536\r\n")
	require.Contains(t, string(newCanned(work{task: taskEcho, body: 1024}).answer), "Content-Length: 1024\r\n")
}
