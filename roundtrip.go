package h1

// This file takes one request through a Transport: the caller's goroutine finds
// a connection, sends the head and reads the answer; a body that may take time
// is sent by a goroutine of its own (upload). Whether a lost request is sent
// again is decided in retry.go.

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/h1go/h1/internal/clock"
	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/field"
	"github.com/h1go/h1/internal/octet"

	"golang.org/x/net/http/httpguts"
)

// trip is one request on its way. On each connection that it takes it lives
// until the exchange is over: when the response's body was read or closed.
type trip struct {
	t      *Transport
	req    *http.Request
	origin *originKey // where its connection leads; it may be shared
	ask    *ask       // nil before it is made, and once RoundTrip has returned
	body   *askBody
	trace  tracer

	pc      *pooled     // nil: none so far
	stop    func() bool // ends the watch of the context; nil: there is none
	heeded  func()      // ends the watch of Request.Cancel; nil: there is none
	up      *upload     // sends the body; nil: the caller's goroutine does
	hole    *holeWatch  // looks whether the connection leads anywhere; nil: nobody does
	answer  atomic.Pointer[responseBody]
	rider   *rider        // its place on a shared connection; nil: it has one of its own
	first   rider         // the first such place
	before  int64         // requests that the connection had carried by then
	idle    time.Duration // how long it had been idle by then
	in      int64         // what it had read by then
	out     atomic.Int64  // and written; once it is another's, of which this one is the complement of what it wrote
	wireOut int64         // and what the TCP connection under it had been given to send

	gzip     bool // the Transport asked for gzip, not the caller
	expect   bool // the body waits for 100 (Continue)
	resent   bool // the request is on its way for the second time
	doubtful bool // the server may have acted on the first
}

// RoundTrip sends a request and gives its response, as http.RoundTripper says.
// The request's context is heeded until the response's Body was read to its end
// or closed, which gives the connection back. The request's Body is always
// closed, if need be after RoundTrip has returned: an answer that comes before
// the body was sent is returned at once, and the rest of the body goes on being
// sent until the response ends.
//
// The Body of a 101 response, and of a 2xx to CONNECT, is the connection: an
// io.ReadWriteCloser that also has CloseWrite. What a CONNECT request has for a
// body goes into the tunnel as soon as that is open.
//
// Errors, those of the Body too, are a *RequestError, which says what became of
// the request, and hold an *Error; those of an ended context also hold its error
// and cause.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if other := t.otherProtocol(req.URL); other != nil {
		res, again, err := passOn(other, req)
		if err != http.ErrSkipAltProtocol {
			return res, err
		}
		req = again
	}
	r := &trip{t: t, req: req, body: bodyOf(req.Body), trace: tracerOf(req.Context())}
	err := r.prepare()
	var res *http.Response
	if err == nil {
		if res, err = r.attempt(); err != nil && r.again(err) {
			res, err = r.attempt()
		}
	}
	r.ask.sent()
	r.ask = nil
	if err != nil {
		r.body.close()
		return nil, r.explain(err)
	}
	if r.gzip {
		gunzip(res)
	}
	return res, nil
}

// prepare finds out whether the request can be sent, before anything is done.
func (r *trip) prepare() error {
	err := r.t.settle()
	var host *knownHost
	if err == nil {
		host, err = r.t.hosts.of(r.req.URL)
	}
	var via *url.URL
	if err == nil {
		r.origin, via, err = r.t.route(r.req, &host.key)
	}
	if err != nil {
		return badAsk(err)
	}
	// A range of a coded body is of no use to who did not ask for the coding
	// (RFC 9110 section 14).
	if h := r.req.Header; !r.t.DisableCompression && r.req.Method != "HEAD" && len(h["Accept-Encoding"])+len(h["Range"]) == 0 {
		r.gzip = true
	}
	if err := r.write(host.fieldFor(r.req), via); err != nil {
		return err
	}
	r.expect = r.ask.body != nil && r.t.ExpectContinueTimeout >= 0 &&
		httpguts.HeaderValuesContainsToken(r.req.Header["Expect"], "100-continue")
	return r.gone("preparing a request")
}

func (r *trip) write(host string, via *url.URL) (err error) {
	opt := askOptions{host: host, last: r.t.DisableKeepAlives, gzip: r.gzip, tunnels: true}
	if r.origin.addr == "" {
		opt.toProxy(via)
	}
	if r.ask, err = r.t.set.ask(r.req, &opt); err == nil && r.ask.body != nil {
		r.ask.body = r.body
	}
	return err
}

// attempt sends the request on one connection and waits for the answer's head.
func (r *trip) attempt() (*http.Response, error) {
	if r.shares() {
		if res, err, shared := r.share(); shared {
			return res, err
		}
	}
	if err := r.board(); err != nil {
		return nil, err
	}
	c := r.pc.c
	// A server that refuses a request may close before it has read it. Its answer
	// is worth more than the news that the rest could not be sent.
	if err := r.send(); err != nil && (r.ask.body == nil || !errors.Is(err, fault.WriteFailed)) {
		return nil, c.lose(err)
	}
	var watch answerWatch
	if r.expect || r.trace.on() {
		watch = r
	}
	r.hole = r.watchHole()
	res, err := c.receive(r.req, watch, r)
	if err != nil {
		return nil, err
	}
	if b, ok := res.Body.(*responseBody); ok {
		r.answer.CompareAndSwap(nil, b)
	}
	// If the response has no body, the connection is another request's by now.
	if r.up != nil {
		r.up.answered()
	}
	through, ok := res.Body.(*switched)
	if ok && r.over() {
		r.t.pool.learnAnswered(r.pc)
		r.t.pool.drop(r.pc, CloseHijacked)
	}
	// What a server says on learning that the request was cancelled is no answer.
	if err := r.gone(""); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	if r.ask.method == field.CONNECT {
		through.send(r.body)
	}
	return res, nil
}

// board takes a connection for the request: one from the pool, or a new one.
// After a loss it is a new one.
func (r *trip) board() error {
	ctx := r.heed()
	r.pc, r.rider = nil, nil
	r.trace.getConn(r.origin)
	pc, err := r.t.pool.take(ctx, *r.origin, r.resent, r.ask.replayable)
	if err != nil {
		r.unheed()
		return err
	}
	r.trace.gotConn(pc)
	c := pc.c
	r.pc, pc.trip = pc, r
	r.before, r.idle = c.m.requests.Load(), 0
	if pc.again {
		r.idle = pc.age
	}
	r.in, r.wireOut = c.bytesIn.Load(), c.wireOut()
	r.out.Store(c.bytesOut.Load())
	r.stop, r.up, r.hole = nil, nil, nil
	if ctx.Done() != nil {
		r.stop = context.AfterFunc(ctx, func() { r.cancel(pc) })
	}
	return nil
}

// cancel ends the exchange as the request's context has ended. An answer that
// has begun is worth reading to its end for the connection's sake; without one
// the server may still be at work, so that the connection ends.
func (r *trip) cancel(pc *pooled) {
	err := r.gone("")
	if r.answer.CompareAndSwap(nil, &noAnswer) {
		pc.c.fail(CloseCancelled, err)
	} else if r.answer.Load().forsake(err) {
		return
	}
	r.t.pool.drop(pc, CloseCancelled)
}

// noAnswer is in the place of an answer that comes after the request was
// cancelled.
var noAnswer responseBody

// inlineBody is how large a body may be that the caller's goroutine sends
// before it reads. It fits in the buffers of any peer's system, so that writing
// it does not wait for a peer that is busy writing to us.
const inlineBody = 32 << 10

// send sends the request, or begins to.
func (r *trip) send() error {
	c, a := r.pc.c, r.ask
	if a.body == nil && !r.trace.on() {
		return c.sendHead(a, r.pc.taken, true)
	}
	if err := c.sendHead(a, clock.Now(), false); err != nil {
		r.trace.wroteRequest(err)
		return err
	}
	r.trace.wroteHead(a.head)
	if a.body == nil || !r.expect && r.req.GetBody != nil && a.framing.kind == bodyLength && a.framing.length <= inlineBody {
		err := c.sendBody(a)
		if err == nil {
			err = r.trace.flush(c)
		}
		r.trace.wroteRequest(err)
		if a.method != field.CONNECT { // whose body is the tunnel's
			r.body.close()
		}
		return err
	}
	r.up = &upload{c: c, ask: a.forUpload(), body: r.body, trace: r.trace, limit: r.t.set.headTime, refused: make(chan struct{}), sent: make(chan struct{})}
	c.client.up = r.up.sent
	if r.expect {
		r.up.invited = make(chan struct{}, 1)
		r.trace.wait100Continue()
	}
	go r.up.run(pick(r.t.ExpectContinueTimeout, defaultContinueTimeout, 0))
	return nil
}

// firstOctet implements answerWatch.
func (r *trip) firstOctet() { r.trace.gotFirstOctet() }

// informed implements answerWatch. The body goes when all hooks were called; there
// is none to send where not even the head could be.
func (r *trip) informed(status int, header http.Header) (theirs bool, err error) {
	wanted := status == http.StatusContinue && r.expect && r.up != nil && !r.up.wanted
	if wanted {
		r.up.wanted = true
		r.trace.got100Continue()
	}
	theirs, err = r.trace.got1xx(status, header)
	if wanted && err == nil {
		r.up.invited <- struct{}{}
	}
	return theirs, err
}

// over ends the exchange's use of its connection. False means that the request
// was cancelled in the meantime: the connection is being closed, and leaves the
// pool after that.
func (r *trip) over() bool {
	if r.up != nil {
		r.up.halt()
	}
	r.hole.stop()
	mine := r.stop == nil || r.stop()
	r.unheed()
	return mine
}

// release takes a connection back when its exchange is over, or several are, if
// requests share it. It tells whether others are next on it.
func (t *Transport) release(pc *pooled, v verdict, exchanges int) (passOn bool) {
	if pc.pipe != nil {
		return pc.pipe.release(v, exchanges)
	}
	r := pc.trip
	pc.trip = nil
	over := r.over()
	if b := r.answer.Load(); b != nil && b != &noAnswer {
		over = true // its lock is held: what cancels the request comes too late, or was heeded
	}
	switch {
	case !over:
	case v == verdictReuse:
		r.out.Store(^(pc.c.bytesOut.Load() - r.out.Load())) // before it is another's
		t.pool.learnAnswered(pc)
		r.trace.putIdleConn(t.pool.put(pc))
	default:
		if pc.c.bytesIn.Load() != r.in {
			t.pool.learnAnswered(pc)
		}
		t.pool.drop(pc, CloseLocalAsked)
	}
	return false
}

// written is how many octets of the request its connection was given to send.
func (r *trip) written() int64 {
	total := r.pc.c.bytesOut.Load()
	from := r.out.Load() // asked second: it changes before another writes
	if from < 0 {
		return ^from
	}
	return total - from
}

// again makes a lost request ready to be sent a second time, where it may be.
func (r *trip) again(err error) bool {
	f := r.failure(err)
	if f.idleClose() && r.idle >= leastLimit {
		r.t.pool.learnClosed(r.pc, r.idle)
	}
	if r.pc != nil {
		r.t.pool.explored(r.pc)
	}
	f.idempotent, f.bodyAgain = r.ask.idempotent, r.ask.body == nil || r.req.GetBody != nil
	// What ends the exchange of a cancelled request may still be at work.
	if !f.retryable() || r.gone("") != nil || !r.rewind() {
		return false
	}
	r.t.logResent(r, err)
	r.t.pool.sentAgain(r.pc)
	r.resent, r.doubtful = true, f.outcome() == OutcomeMaybeProcessed
	return true
}

// rewind makes the request ready to be sent again.
func (r *trip) rewind() bool {
	if r.ask.body == nil {
		return true
	}
	r.body.close()
	body, err := r.req.GetBody()
	if err != nil {
		return false
	}
	r.body = bodyOf(body)
	r.ask.body = r.body
	return true
}

// upload sends a request's body while the caller's goroutine waits for the
// answer.
type upload struct {
	c     *Conn
	ask   ask // its own: it may go on for a moment after the request was rewound
	body  *askBody
	trace tracer
	limit time.Duration // for the answer's head, from the body's end; 0: none

	invited chan struct{} // 100 (Continue) came; nil when it is not waited for
	wanted  bool          // the same, for the goroutine that reads
	refused chan struct{} // closed when the body is not wanted any more
	sent    chan struct{} // closed when nothing more of it is being sent

	mu    sync.Mutex
	begun bool        // the body is being sent
	final bool        // the final answer's head came, or the exchange is over
	late  *time.Timer // ends the wait for the answer
}

// run sends the body, once it is wanted or patience ends.
func (u *upload) run(patience time.Duration) {
	defer u.body.close()
	defer close(u.sent)
	if !u.begin(patience) {
		u.trace.wroteRequest(nil) // all of it that was wanted
		return
	}
	err := u.c.sendBody(&u.ask)
	if err == nil {
		err = u.c.flush()
	}
	u.trace.wroteRequest(err)
	f, ok := errors.AsType[*fault.Error](err)
	switch {
	case err == nil:
		u.await()
	case ok && f.By == fault.Local:
		// The body itself failed. The server waits for the rest of it, and the
		// caller for an answer that will not come.
		_ = u.c.abort(CloseIncomplete, nil)
	}
}

// begin waits until the body may be sent; false when it may not.
func (u *upload) begin(patience time.Duration) bool {
	if u.invited != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-u.invited:
		case <-timer.C:
		case <-u.refused:
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = !u.final
	return u.begun
}

// await limits the wait for the answer, now that the request is whole.
func (u *upload) await() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limit > 0 && !u.final {
		u.late = time.AfterFunc(u.limit, u.tooLate)
	}
}

// tooLate ends the connection as the answer did not come in time. The lock keeps
// it this request's own for so long.
func (u *upload) tooLate() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.final {
		u.c.fail(CloseHeadTimeout, u.c.faultOf(fault.ResponseTimeout, waitAnswer, nil))
	}
}

// answered is told that the final answer's head came. A body that still waits
// for its invitation is not sent, and as the server cannot know that, the
// connection ends (RFC 9110 section 10.1.1).
func (u *upload) answered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.final {
		return
	}
	u.final = true
	if u.late != nil {
		u.late.Stop()
	}
	if !u.begun && u.invited != nil {
		close(u.refused)
		u.c.m.raise(levelLast, CloseIncomplete)
	}
}

// halt ends the upload: the exchange is over. A Read of the body that waits is
// woken by closing it.
func (u *upload) halt() {
	u.answered()
	u.body.close()
}

// gunzip takes off the coding that the Transport asked for without the caller's
// knowledge, together with the fields that tell of it.
func gunzip(res *http.Response) {
	if b, ok := res.Body.(*responseBody); !ok || !b.coded {
		return
	}
	coding := res.Header[field.ContentEncoding.String()]
	if len(coding) != 1 || !octet.EqualFold([]byte(coding[0]), "gzip") {
		return
	}
	res.Body = &gunzipped{body: res.Body}
	delete(res.Header, field.ContentEncoding.String())
	delete(res.Header, field.ContentLength.String())
	res.ContentLength = -1
	res.Uncompressed = true
}

// gunzipped is the Body of a response whose coding is taken off.
type gunzipped struct {
	body io.ReadCloser

	mu  sync.Mutex
	z   *gzip.Reader // nil before the first Read and after the last
	err error        // what every further Read gives
}

// gunzippers are expensive to make and cheap to use again.
var gunzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// Read implements io.Reader.
func (g *gunzipped) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && g.z == nil {
		g.z = gunzippers.Get().(*gzip.Reader)
		g.err = g.z.Reset(g.body)
	}
	n := 0
	if g.err == nil {
		n, g.err = g.z.Read(p)
	}
	if g.err != nil {
		g.release()
	}
	return n, g.err
}

// Close implements io.Closer. The body comes first: that wakes a Read that
// waits.
func (g *gunzipped) Close() error {
	err := g.body.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = http.ErrBodyReadAfterClose
	g.release()
	return err
}

func (g *gunzipped) release() {
	if g.z != nil {
		gunzippers.Put(g.z)
		g.z = nil
	}
}
