package h1

// This file deals answers: on a shared connection one read brings many, and who
// read them takes apart, after its own, those that are whole and gives them to
// their riders. To let each of these read for itself would wake one goroutine
// after the other, each with the work of a hand-over.
//
// An answer that is not whole, or with which something is wrong, is left for its
// rider to read.

import (
	"net/http"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// dealt are riders whose answers are there and who are not told so yet, in their
// order.
type dealt struct {
	first, last *rider
	n           int // how many were dealt an answer
}

func (d *dealt) add(w *rider) {
	if d.n++; d.first == nil {
		d.first = w
	} else {
		d.last.next = w
	}
	d.last = w
}

// tellOthers tells all but the last.
func (d *dealt) tellOthers() {
	for d.first != d.last {
		w := d.first
		d.first = w.next // before it is told, and is its own goroutine's
		w.turn <- answered
	}
}

// tell tells those that are left.
func (d *dealt) tell() {
	d.tellOthers()
	if d.last != nil {
		d.last.turn <- answered
	}
}

// deal deals the answers that are here, from the one to next, after an exchange
// that ended with v and left so many in line. It gives the same of the last one
// dealt.
//
// The last in line reads its own answer: by then those that were dealt theirs may
// have queued their next requests, so that the line does not end, and what they
// ask leaves together.
func (c *Conn) deal(d *dealt, v verdict, next turn, left int) (verdict, int) {
	for v == verdictReuse && left > 1 {
		w := next.of.(*rider)
		if w.res = c.answerHere(next.method); w.res == nil {
			break
		}
		d.add(w)
		v, next, left = c.leaveLine(c.m.verdict())
	}
	return v, left
}

// answerHere takes an answer out of the window, which does not know its request
// yet; nil when it is not whole there.
func (c *Conn) answerHere(method field.Method) *http.Response {
	if c.win.Len() == 0 {
		return nil
	}
	c.in = &c.client.in
	c.in.reset()
	f, ok := c.wholeAnswer(method)
	if !ok || !c.m.on(serverHalf, eventHead) {
		c.in = nil
		return nil
	}
	c.win.Pin(int(c.in.head.pos))
	res, body := c.beginAnswer(f, method, nil)
	_ = c.startBody(f) // a body without transfer codings does not fail
	c.bodyHere(res, body)
	return res
}

// wholeAnswer is the framing of the answer in the window; false when it is not
// whole, or no final answer.
func (c *Conn) wholeAnswer(method field.Method) (framing, bool) {
	h := &c.in.head
	done, code := c.parseHead()
	if !done || code != fault.None || responseEvent(method, h.status) != eventHead {
		return framing{}, false
	}
	f, code := frameResponse(h, c.win.Bytes()[:h.pos], method, c.set.coding.has)
	switch {
	case code != fault.None:
	case f.kind == bodyNone:
		return f, true
	case f.kind == bodyLength:
		return f, f.length <= int64(c.win.Len())-int64(h.pos)
	}
	return framing{}, false
}
