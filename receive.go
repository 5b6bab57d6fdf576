package h1

// This file receives the answers on a client's connection, in the order of the
// requests: informational ones are passed over, the final one is framed and
// becomes a Response.

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
)

// Receive waits for the answer to the oldest request that has none. Answers
// come in the order of the requests, whatever time each takes. The Body has to
// be read to its end, or closed, before the next call; what is left of it then
// is dropped.
//
// Informational (1xx) responses are passed over, except 101, whose Body is an
// io.ReadWriteCloser for the protocol switched to, as that of a 2xx to CONNECT is
// the tunnel; both also have CloseWrite. The error is an *Error; the connection is
// over with it, and no request still waiting is answered.
func (c *Conn) Receive() (*http.Response, error) { return c.receive(nil, nil, nil) }

// explainer puts on an error what is known of the request that it ended.
type explainer interface{ explain(err error) error }

// answerWatch is told of an answer as it comes, in the goroutine that reads it.
type answerWatch interface {
	// firstOctet is called once, when something of an answer came.
	firstOctet()
	// informed is called for each informational response. With theirs the
	// watcher answers for their number; an error ends the exchange.
	informed(status int, header http.Header) (theirs bool, err error)
}

// receive is Receive for a request that is known; watch may be nil, and so may
// of, which explains the errors of the Body.
func (c *Conn) receive(req *http.Request, watch answerWatch, of explainer) (*http.Response, error) {
	if c.role != ClientRole {
		return nil, fault.New(fault.WrongState, fault.Local, "receiving a response")
	}
	k := c.client
	if k.body != nil {
		_ = k.body.Close()
	}
	k.mu.Lock()
	t, ok := k.queue.next()
	k.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.WrongState, fault.Local, "receiving a response")
	}
	res, err := c.answerTo(t.method, req, watch)
	switch {
	case err == nil:
	case c.calledOff(err):
		return nil, errCalledOff
	default:
		return nil, c.lose(err)
	}
	if b, ok := res.Body.(*responseBody); ok {
		b.of = of
	}
	return res, nil
}

// lose ends the connection over an exchange that failed. What went wrong first
// is the error: a closed connection, say, may be no more than the consequence
// of a cancelled request.
func (c *Conn) lose(err error) error {
	err = c.firstError(err)
	c.m.raise(levelNow, CloseReadFailed)
	if k := c.client; k.body == nil { // not even a head came that could be told of
		k.mu.Lock()
		k.queue.lost(k.heard || c.win.Len() > 0, k.leftOver)
		k.mu.Unlock()
	}
	c.endExchange(verdictClose)
	return err
}

// firstError notes err, and gives the error that was noted first.
func (c *Conn) firstError(err error) error {
	c.note(err)
	if first := c.err.Load(); first != nil {
		return *first
	}
	return err
}

// answerTo reads heads until the final one, and makes the response of it.
func (c *Conn) answerTo(method field.Method, req *http.Request, watch answerWatch) (*http.Response, error) {
	c.in = &c.client.in
	c.client.heard = false
	for left := c.set.limits.informational; left >= 0; left-- {
		if err := c.answerHead(watch); err != nil {
			return nil, err
		}
		status := c.in.head.status
		e := responseEvent(method, status)
		if !c.m.on(serverHalf, e) {
			return nil, c.condemn(c.faultOf(fault.UnexpectedMessage, waitHead, nil))
		}
		if e != eventInfo {
			res, whole, err := c.finalAnswer(method, req)
			if whole {
				c.endExchange(c.m.verdict())
			}
			return res, err
		}
		if watch != nil {
			theirs, err := watch.informed(status, c.in.head.header(string(c.headText())))
			if err != nil {
				return nil, err
			}
			if theirs {
				left++
			}
		}
	}
	return nil, c.condemn(c.faultOf(fault.TooManyInformational, waitHead, nil))
}

// answerHead reads one head.
func (c *Conn) answerHead(watch answerWatch) error {
	c.win.Unpin()
	c.in.reset()
	c.began = c.askedAt()
	err := c.firstOctet(waitAnswer)
	switch {
	case err != nil:
		c.streamEnd(err)
	case watch != nil && !c.client.heard:
		watch.firstOctet()
	}
	if err == nil {
		err = c.readHead(waitAnswer)
	}
	if err == io.EOF {
		var cause error
		if !c.client.heard && c.win.Len() == 0 {
			cause = silence{}
		}
		c.m.raise(levelNow, ClosePeerEOF)
		err = c.faultOf(fault.UnexpectedEOF, waitAnswer, cause)
	}
	if err != nil {
		return err
	}
	c.client.heard = true
	return nil
}

// silence is the end of a connection before an octet of an answer. Programs that
// were written for net/http look for io.EOF, others for an end that came early.
type silence struct{}

func (silence) Error() string        { return io.ErrUnexpectedEOF.Error() }
func (silence) Is(target error) bool { return target == io.EOF || target == io.ErrUnexpectedEOF }

// askedAt is when the wait for the answer began: when the request was whole.
// While one is still being sent its answer cannot be late, so that is as far off
// as can be.
func (c *Conn) askedAt() time.Time {
	if at := c.client.sentAt.Load(); at != 0 {
		return clock.At(at)
	}
	return c.now.Add(never / 2)
}

// responseEvent says what a response's status is to the machine.
func responseEvent(method field.Method, status int) event {
	switch {
	case status == http.StatusSwitchingProtocols, method == field.CONNECT && status/100 == 2:
		return eventSwitch
	case status < 200:
		return eventInfo
	}
	return eventHead
}

// finalAnswer makes the answer of the final head. whole tells that all of it is
// here: the exchange is over.
func (c *Conn) finalAnswer(method field.Method, req *http.Request) (res *http.Response, whole bool, err error) {
	f, code := frameResponse(&c.in.head, c.headText(), method, c.set.coding.has)
	if code != fault.None {
		return nil, false, c.condemn(c.faultOf(code, waitHead, nil))
	}
	res, body := c.beginAnswer(f, method, req)
	if responseEvent(method, c.in.head.status) == eventSwitch {
		return res, false, c.switchOver(res)
	}
	if err := c.startBody(f); err != nil {
		return nil, false, err
	}
	if c.bodyHere(res, body) {
		return res, true, nil
	}
	body.c, body.res = c, res
	c.client.body, res.Body = body, body
	return res, false, nil
}

// beginAnswer makes the response of a final head, and decides what follows from
// it: whether the connection persists, what the server hints.
func (c *Conn) beginAnswer(f framing, method field.Method, req *http.Request) (*http.Response, *responseBody) {
	h := &c.in.head
	if reason := persists(h.minor, h.options); reason != CloseNone {
		c.m.raise(levelLast, reason)
	}
	if f.kind == bodyUntilClose {
		c.m.raise(levelLast, CloseUntilClose)
	}
	c.m.hint(h.hintTimeout, h.hintMax)
	res, body := c.makeResponse(req, c.littleBody(f))
	res.Close = res.Close || f.kind == bodyUntilClose
	res.ContentLength = f.knownLength(h, method)
	return res, body
}

// bodyHere gives the response its body, when nothing of it is still to be read
// from the connection; false when something is.
func (c *Conn) bodyHere(res *http.Response, body *responseBody) bool {
	switch {
	case c.in.whole:
		res.Body = http.NoBody
	case c.takeBody(body):
		res.Body = body
	default:
		return false
	}
	return true
}

// knownLength is Response.ContentLength: what the framing says, or for an
// answer to HEAD what it says of the answer to GET; -1 when not known.
func (f framing) knownLength(h *head, method field.Method) int64 {
	switch {
	case f.kind == bodyLength:
		return f.length
	case f.kind == bodyNone && method == field.HEAD && h.lengths > 0:
		return h.length
	case f.kind == bodyNone && method == field.HEAD:
		return -1
	case f.kind == bodyNone:
		return 0
	}
	return -1
}

// makeResponse makes a Response of the head, and the body that it may get, of
// which the first octets are held already; everything in it is new memory.
func (c *Conn) makeResponse(req *http.Request, held int) (*http.Response, *responseBody) {
	h := &c.in.head
	text := string(c.win.PinnedWith(held))
	proto := "HTTP/1.1"
	if h.minor == 0 {
		proto = "HTTP/1.0"
	}
	both := &struct {
		res  http.Response
		body responseBody
	}{}
	res := &both.res // filled in where it is, as a request is (request.go)
	res.Status, res.StatusCode = text[len("HTTP/1.1 "):h.reason.hi], h.status
	res.Proto, res.ProtoMajor, res.ProtoMinor = proto, int(h.major), int(h.minor)
	res.Header, res.Trailer = h.responseHeader(text), h.announced(text)
	res.TransferEncoding = h.transferCodings(c.headText())
	res.Close = persists(h.minor, h.options) != CloseNone
	res.Request, res.TLS = req, c.sharedTLS()
	both.body.held, both.body.coded = text[h.pos:], h.value(c.headText(), field.ContentEncoding) != nil
	return res, &both.body
}

// sharedTLS is the TLS state, which all of a connection's responses share.
func (c *Conn) sharedTLS() *tls.ConnectionState {
	if c.client.tls == nil {
		c.client.tls = c.tls()
	}
	return c.client.tls
}

// switchOver gives the connection to the response: what follows is no HTTP.
func (c *Conn) switchOver(res *http.Response) error {
	nc, rest, err := c.takeOver(CloseHijacked)
	if err != nil {
		if nc != nil {
			_ = nc.Close() // it is nobody's
		}
		return err
	}
	res.Body = &switched{Reader: &prefixed{rest: rest, Reader: nc}, Conn: nc}
	return nil
}

// switched is the Body of a 101 response, or of a 2xx to CONNECT: an
// io.ReadWriteCloser, with CloseWrite for who passes the end of one direction on.
type switched struct {
	io.Reader
	net.Conn
	sends *askBody // goes to the peer by itself, until Close; nil: nothing does
}

// Read implements io.Reader: the octets that came with the head come first.
func (s *switched) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// CloseWrite ends the direction to the peer, where the connection knows how.
func (s *switched) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("h1: CloseWrite on %T: %w", s.Conn, http.ErrNotSupported)
}

// Close implements io.Closer.
func (s *switched) Close() error {
	err := s.Conn.Close()
	s.sends.close()
	return err
}

// early tells whether octets came with the head.
func (s *switched) early() bool { return len(s.Reader.(*prefixed).rest) > 0 }

// send has the body of a CONNECT go into the tunnel; without a tunnel, s is nil,
// it goes nowhere.
func (s *switched) send(body *askBody) {
	switch {
	case s == nil:
		body.close()
	case body != nil:
		s.sends = body
		go s.copy(body)
	}
}

// copy sends the body. Its end is not the tunnel's, as with net/http; that it
// failed is, or the peer would take what came for all. After a failed write there
// may still be something to read.
func (s *switched) copy(body *askBody) {
	defer body.close()
	b := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(b)
	for {
		n, err := body.Read(b[:])
		if _, failed := s.Conn.Write(b[:n]); failed != nil || err == io.EOF {
			return
		}
		if err != nil {
			_ = s.Close()
			return
		}
	}
}
