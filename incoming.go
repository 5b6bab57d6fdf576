package h1

// This file reads the message that comes in: its head, its body, its trailer
// section. It joins the parser and the framing, which know no connection,
// with the connection's window, and it knows no more grammar than they tell.

import (
	"bytes"
	"io"

	"github.com/h1go/h1/internal/fault"
)

// incoming is one message being read. Its head's offsets are into the octets
// that the window keeps pinned until the message is over.
type incoming struct {
	head  head
	dec   decoder
	coded io.ReadCloser // decodes further transfer codings; nil almost always

	deflated, inflated int64 // octets before and after those are taken off

	trailer     head   // the trailer section's fields, offsets into trailerText
	trailerText []byte // the section's octets; kept apart as the window moves on

	whole bool  // the body has ended as its framing says
	err   error // what reading the body failed with, for good
}

func (in *incoming) reset() {
	in.head.reset()
	if in.trailer.stage != stageStart {
		in.trailer.reset()
		in.trailerText = in.trailerText[:0]
	}
	in.dec, in.coded, in.whole, in.err = decoder{}, nil, false, nil
	in.deflated, in.inflated = 0, 0
}

// readHead reads on until the window holds a whole head, and pins it. first
// is what the wait is for while not one octet of it has come. The error is
// io.EOF only when the peer closed before the first octet.
func (c *Conn) readHead(first wait) error {
	in := c.in
	w := waitHead
	if err := c.firstOctet(first); err != nil {
		return err
	}
	for {
		done, code := c.parseHead()
		switch {
		case code != fault.None:
			return c.badHead(code)
		case done:
			c.win.Pin(int(in.head.pos))
			return nil
		case c.onlyLineEnds():
			return errNoRequest
		}
		if err := c.more(w); err == io.EOF {
			c.m.raise(levelNow, ClosePeerEOF)
			cut := c.faultOf(fault.UnexpectedEOF, w, nil)
			c.note(cut)
			return cut
		} else if err != nil {
			return err
		}
	}
}

// firstOctet waits until the window holds something.
func (c *Conn) firstOctet(w wait) error {
	if c.win.Len() > 0 {
		return nil
	}
	return c.fill(w)
}

func (c *Conn) parseHead() (bool, fault.Code) {
	if c.role == ServerRole {
		return c.in.head.parseRequest(c.win.Bytes(), &c.set.limits.head)
	}
	return c.in.head.parseResponse(c.win.Bytes(), &c.set.limits.head)
}

var lineFeed = []byte{'\n'}

// shownOctets is how much of an offending line an error shows.
const shownOctets = 40

// badHead makes the error of a head that the parser refused; the line it
// stopped at is shown, escaped.
func (c *Conn) badHead(code fault.Code) error {
	err := c.faultOf(code, waitHead, nil)
	if c.in.head.stage != stageDone { // what is wrong is a line, not the head as a whole
		line, _, _ := bytes.Cut(c.win.Bytes()[c.in.head.pos:], lineFeed)
		err.Detail = fault.Quote(line, shownOctets)
	}
	return c.condemn(err)
}

// condemn ends the connection after the exchange under way: the peer has sent
// what cannot be read, so what follows cannot be told from it.
func (c *Conn) condemn(err *fault.Error) error {
	c.m.raise(levelLast, CloseBadPeer)
	c.note(err)
	return err
}

// startBody makes the body of the message whose head was read ready to be
// read. A message without body is whole at once.
func (c *Conn) startBody(f framing) error {
	in := c.in
	c.reads = pace{}
	in.dec.start(f)
	if f.kind == bodyNone || f.kind == bodyLength && f.length == 0 {
		c.endBody()
		return nil
	}
	put(&c.behind, false)
	if f.stack == nil {
		return nil
	}
	coded, err := decodeStack(*f.stack, (*framedBody)(c))
	if err != nil {
		return c.condemn(c.faultOf(fault.BadCoding, waitBody, err))
	}
	in.coded = coded
	return nil
}

// endBody notes that the body has ended as its framing says.
func (c *Conn) endBody() {
	if c.in.whole {
		return
	}
	c.in.whole = true
	put(&c.behind, c.win.Len() > 0)
	if c.x != nil {
		put(&c.x.expect, false) // it came without waiting
	}
	c.m.on(c.theirs(), eventEnd)
	if c.watcher.Load() != nil {
		c.bodyIsOver()
	}
}

// readBody reads decoded body octets. The error is io.EOF when the body ended
// as its framing says, and an *Error otherwise; it stays.
func (c *Conn) readBody(p []byte) (int, error) {
	if c.in.coded == nil {
		return c.readFramed(p)
	}
	n, err := c.in.coded.Read(p)
	c.in.inflated += int64(n)
	switch {
	case err == io.EOF || err == nil && !c.overInflated():
		return n, err
	case c.in.err != nil:
	case err == nil:
		c.in.err = c.condemn(c.faultOf(fault.BodyTooLarge, waitBody, nil))
	default:
		c.in.err = c.condemn(c.faultOf(fault.BadCoding, waitBody, err))
	}
	return n, c.in.err
}

// freelyInflated is what a body may become whatever it was.
const freelyInflated = 1 << 20

// overInflated tells of a few octets that become very many.
func (c *Conn) overInflated() bool {
	in := c.in
	return in.inflated > freelyInflated && in.inflated/c.set.limits.inflateRatio > in.deflated
}

// framedBody is a Conn seen as the reader of its message's body octets, before
// further transfer codings are taken off.
type framedBody Conn

// Read implements io.Reader.
func (b *framedBody) Read(p []byte) (int, error) {
	n, err := (*Conn)(b).readFramed(p)
	b.in.deflated += int64(n)
	return n, err
}

// readFramed reads body octets with the framing taken off: from the window,
// or, when that is empty and many are to come, straight into p.
func (c *Conn) readFramed(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.in.err
	}
	in := c.in
	if c.win.Len() == 0 && in.err == nil && !in.whole && len(p) >= minRoom && in.dec.direct() >= minRoom {
		return c.readStraight(p)
	}
	run, err := c.bodyRun(waitBody)
	if err != nil {
		return 0, err
	}
	n := copy(p, run)
	c.win.Advance(n)
	c.tookBody(n)
	return n, nil
}

// readStraight reads body octets from the connection into p.
func (c *Conn) readStraight(p []byte) (int, error) {
	if n := c.in.dec.direct(); int64(len(p)) > n {
		p = p[:n]
	}
	if err := c.invite(); err != nil {
		return 0, err
	}
	n, err := c.rawRead(p, waitBody)
	if err != nil {
		if err = c.bodyEnded(waitBody, err); err == nil {
			err = io.EOF
		}
		return 0, err
	}
	c.tookBody(n)
	return n, nil
}

// tookBody accounts n body octets.
func (c *Conn) tookBody(n int) {
	if c.in.dec.took(int64(n)) {
		c.endBody()
	}
}

// bodyRun gives the next body octets that lie together in the window, at
// least one, without using them up.
func (c *Conn) bodyRun(w wait) ([]byte, error) {
	in := c.in
	for {
		switch {
		case in.err != nil:
			return nil, in.err
		case in.whole:
			return nil, io.EOF
		case in.dec.trailing():
			if err := c.readTrailer(w); err != nil {
				return nil, err
			}
			continue
		}
		run := c.win.Bytes()
		if n := in.dec.direct(); n > 0 && len(run) > 0 {
			if int64(len(run)) > n {
				run = run[:n]
			}
			return run, nil
		} else if n == 0 {
			used, code := in.dec.advance(run)
			c.win.Advance(used)
			if code != fault.None {
				in.err = c.condemn(c.faultOf(code, w, nil))
				continue
			}
			if used > 0 {
				continue
			}
		}
		if err := c.fillBody(w); err != nil {
			return nil, err
		}
	}
}

// fillBody reads more of a body into the window.
func (c *Conn) fillBody(w wait) error {
	if w == waitHere {
		return errNotHere
	}
	if err := c.invite(); err != nil {
		return err
	}
	if err := c.fill(w); err != nil {
		return c.bodyEnded(w, err)
	}
	return nil
}

// invite sends the 100 (Continue) that a client waits for, once its body is
// wanted (RFC 9110 section 10.1.1). A body that is already arriving needs none.
func (c *Conn) invite() error {
	if c.x == nil || !c.x.expect.Swap(false) {
		return nil
	}
	return c.x.inform(100)
}

// bodyEnded judges what ended a read of the body: the end of stream is the
// body's end for one until close and an error for every other.
func (c *Conn) bodyEnded(w wait, err error) error {
	in := c.in
	if err != io.EOF {
		in.err = err
		return err
	}
	if code := in.dec.eof(); code != fault.None {
		c.m.raise(levelNow, ClosePeerEOF)
		in.err = c.faultOf(code, w, nil)
		c.note(in.err)
		return in.err
	}
	c.endBody()
	return nil
}

// readTrailer reads the trailer section of a chunked body (RFC 9112 section
// 7.1.2) and keeps its octets.
func (c *Conn) readTrailer(w wait) error {
	in := c.in
	for {
		done, code := in.trailer.parseTrailer(c.win.Bytes(), &c.set.limits.trailer)
		if code == fault.HeadTooLarge {
			code = fault.TrailerTooLarge
		}
		if code != fault.None {
			in.err = c.condemn(c.faultOf(code, w, nil))
			return in.err
		}
		if done {
			n := int(in.trailer.pos)
			in.trailerText = append(in.trailerText[:0], c.win.Bytes()[:n]...)
			c.win.Advance(n)
			in.dec.endTrailer()
			c.endBody()
			return nil
		}
		if err := c.fillBody(w); err != nil {
			return err
		}
	}
}

// headText is the message's head as it came, good until the message is over.
func (c *Conn) headText() []byte { return c.win.Pinned() }
