package main

import (
	"bytes"
	"strconv"
)

var headEnd = []byte("\r\n\r\n")

// canned answers requests that it does not parse: it looks for the empty line that ends a head, skips (or echoes) a body
// whose size it was told, and answers with bytes made in advance. It is the floor: the least that a server can do and
// still answer once for each request, however the network cuts them.
type canned struct {
	work    work
	answer  []byte // the head, and the body unless it is an echo
	several []byte // answer repeated; grows to the most that one read has asked for
	matched int    // octets of headEnd that ended the previous read
	left    int    // octets of the current body still to come
	out     []byte // an echo in the making
}

func newCanned(w work) *canned {
	length, body := w.body, []byte(nil)
	if w.task != taskEcho {
		body = w.answerBody()
		length = len(body)
	}
	head := "HTTP/1.1 200 OK\r\nDate: " + cannedDate + "\r\nContent-Length: " + strconv.Itoa(length) +
		"\r\nContent-Type: " + contentType + "\r\n\r\n"
	answer := append([]byte(head), body...)
	return &canned{work: w, answer: answer, several: answer}
}

// fresh returns a counter for another connection, with the same answer in the same memory.
func (c *canned) fresh() *canned {
	other := *c
	return &other
}

// reply returns what to write after in was read. It is valid until the next call, and may be a part of in.
func (c *canned) reply(in []byte) []byte {
	if c.work.task == taskEcho {
		return c.echo(in)
	}
	n := 0
	for {
		end := c.endOfHead(in)
		if end < 0 {
			break
		}
		in = in[end:]
		n++
	}
	for len(c.several) < n*len(c.answer) {
		c.several = append(c.several[:len(c.several):len(c.several)], c.answer...)
	}
	return c.several[:n*len(c.answer)]
}

// echo gives back body octets as they come, each body behind a head.
func (c *canned) echo(in []byte) []byte {
	if c.left >= len(in) { // nothing but body: no need to copy it
		c.left -= len(in)
		return in
	}
	c.out = c.out[:0]
	for len(in) > 0 {
		if c.left == 0 {
			end := c.endOfHead(in)
			if end < 0 {
				break
			}
			in = in[end:]
			c.left = c.work.body
			c.out = append(c.out, c.answer...)
		}
		n := min(c.left, len(in))
		c.out = append(c.out, in[:n]...)
		c.left -= n
		in = in[n:]
	}
	return c.out
}

// endOfHead returns the offset behind the first head end in b, or -1 when b is spent without one.
func (c *canned) endOfHead(b []byte) int {
	for i := 0; c.matched > 0 && i < len(b); i++ {
		c.step(b[i])
		if c.matched == len(headEnd) {
			c.matched = 0
			return i + 1
		}
		if c.matched == 0 {
			b2 := b[i+1:]
			if end := c.endOfHead(b2); end >= 0 {
				return i + 1 + end
			}
			return -1
		}
	}
	if c.matched > 0 {
		return -1
	}
	if i := bytes.Index(b, headEnd); i >= 0 {
		return i + len(headEnd)
	}
	for _, x := range b[max(0, len(b)-len(headEnd)+1):] {
		c.step(x)
	}
	return -1
}

// step takes one octet of a possible head end.
func (c *canned) step(x byte) {
	switch {
	case x == headEnd[c.matched]:
		c.matched++
	case x == headEnd[0]:
		c.matched = 1
	default:
		c.matched = 0
	}
}
