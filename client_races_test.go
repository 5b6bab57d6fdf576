package h1

// Moments at which the client lost something: each test holds one open.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// A pipeline ends while requests wait for a place on it, and the one that is
// called to look again finds that a POST has the origin's only connection. It
// used to go to wait there itself, and nobody called the others ever again.
func TestThoseInLineForAPipelineFollowTheOneThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := make(chan struct{})
		o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
			if n > 0 {
				answerAll(n, nc)
				return
			}
			in := bufio.NewReader(nc)
			path, err := asked(in)
			require.NoError(t, err)
			_, err = asked(in)
			require.NoError(t, err)
			<-last
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
		}}
		tr := o.transport(Pipelining{Depth: 2})
		tr.MaxConnsPerHost = 1
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return o.dial(ctx, network, addr)
		}
		fates := inLine(t, t.Context(), tr, 1)
		time.Sleep(2 * time.Second) // it has its connection
		fates = append(fates, inLine(t, t.Context(), tr, 5)...)
		posted := make(chan error, 1)
		go func() {
			res, err := tr.RoundTrip(must(http.NewRequest("POST", "http://origin.test/post", nil)))
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
			}
			posted <- err
		}()
		synctest.Wait()
		close(last)
		for i, fate := range fates {
			select {
			case got := <-fate:
				require.NoError(t, got.err)
			case <-time.After(time.Minute):
				require.Fail(t, "a request was left behind", "%d", i)
			}
		}
		require.NoError(t, <-posted)
		o.close(tr)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The reader goes to wait for an answer to what is still queued, as another
// goroutine has the output locked for a moment, only to queue something itself or
// to be told that the connection takes no more. So it is that one who sends.
func TestWhatTheReaderCouldNotSendIsSentByWhoHadTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := wiretest.Pair()
		c := must(NewClientConn(near, nil))
		require.NoError(t, c.Send(must(http.NewRequest("GET", "http://origin.test/", nil))))
		got := make(chan error, 1)
		c.wmu.Lock()
		go func() {
			_, err := c.Receive()
			got <- err
		}()
		synctest.Wait() // it reads
		go answerAll(0, far)
		c.unlockOut()
		select {
		case err := <-got:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			require.Fail(t, "the request was not sent")
		}
		_ = c.Close()
		synctest.Wait()
	})
}

// piecemeal is a request body whose second Read takes as long as the test likes,
// even when it is closed.
type piecemeal struct {
	first, rest io.Reader
	begun, goOn chan struct{}
}

func (p *piecemeal) Read(b []byte) (int, error) {
	if n, err := p.first.Read(b); err == nil {
		return n, nil
	}
	select {
	case <-p.begun:
	default:
		close(p.begun)
	}
	<-p.goOn
	return p.rest.Read(b)
}

func (p *piecemeal) Close() error { return nil }

// The first upload of a request that is sent again reads on for a moment: of its
// own body, and not of the one that is sent by the second.
func TestAnUploadThatWasLostReadsNothingOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const begin, length = 32 << 10, 40 << 10
		first := &piecemeal{
			first: bytes.NewReader(make([]byte, begin)), rest: bytes.NewReader(make([]byte, length-begin)),
			begun: make(chan struct{}), goOn: make(chan struct{}),
		}
		second := bytes.Repeat([]byte("x"), length)
		got := make(chan []byte, 1)
		o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			if n == 0 {
				_, err := asked(in)
				require.NoError(t, err)
				_, _ = io.WriteString(nc, answerText("/first"))
				_, err = http.ReadRequest(in)
				require.NoError(t, err)
				<-first.begun
				return
			}
			req, err := http.ReadRequest(in)
			require.NoError(t, err)
			body, err := io.ReadAll(req.Body)
			require.NoError(t, err)
			got <- body
			_, _ = io.WriteString(nc, answerText("/done"))
			_, _ = in.ReadByte()
		}}
		tr := o.transport(Pipelining{})
		require.NoError(t, askPath(t, t.Context(), tr, "/first").err)
		req := must(http.NewRequest("PUT", "http://origin.test/put", first))
		req.ContentLength = int64(len(second))
		req.GetBody = func() (io.ReadCloser, error) {
			return &startled{of: bytes.NewReader(second), meanwhile: func() {
				close(first.goOn)
				synctest.Wait()
			}}, nil
		}
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		_ = must(io.ReadAll(res.Body))
		require.Len(t, <-got, len(second))
		o.close(tr)
	})
}

// startled is a body that lets something happen before its first octet.
type startled struct {
	of        io.Reader
	once      sync.Once
	meanwhile func()
}

func (s *startled) Read(p []byte) (int, error) {
	s.once.Do(s.meanwhile)
	return s.of.Read(p)
}

func (s *startled) Close() error { return nil }

// A request that was cancelled as its connection was lost is not sent again:
// nothing would cancel it a second time, nor take its connection back.
func TestACancelledRequestIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: func(n int, nc *wiretest.Conn) {
			in := bufio.NewReader(nc)
			if _, err := asked(in); err != nil {
				return
			}
			if n == 0 {
				_, _ = io.WriteString(nc, answerText("/"))
				_, _ = asked(in)
				return
			}
			_, _ = in.ReadByte() // it is never answered
		}}
		ctx, cancel := context.WithCancel(t.Context())
		tr := o.transport(Pipelining{})
		tr.OnConn = func(e ConnEvent, _ ConnInfo) {
			if e == EventClosed { // of the loss, before anything follows from it
				cancel()
				time.Sleep(time.Millisecond)
			}
		}
		require.NoError(t, askPath(t, t.Context(), tr, "/").err)
		fate := make(chan fetched, 1)
		go func() { fate <- askPath(t, ctx, tr, "/lost") }()
		select {
		case got := <-fate:
			require.Error(t, got.err)
		case <-time.After(time.Minute):
			require.Fail(t, "a cancelled request goes on")
		}
		require.EqualValues(t, 1, o.dialed.Load())
		require.Zero(t, tr.Stats().Total.Open)
		o.close(tr)
	})
}

// A server says 100 before it has been asked anything, and breaks off, so that not
// even the head of a request that waits for this word can be sent.
func TestAnInvitationWhereNothingCouldBeSent(t *testing.T) {
	tr := &Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := wiretest.Pair()
		_, err := io.WriteString(far, "HTTP/1.1 100 Continue\r\n\r\n")
		return &mute{near}, err
	}}
	req := must(http.NewRequest("PUT", "http://origin.test/", bytes.NewReader([]byte("body"))))
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Long", string(bytes.Repeat([]byte("x"), 8<<10)))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := tr.RoundTrip(req.WithContext(ctx))
	require.Error(t, err)
}

// mute is a connection on which nothing can be written.
type mute struct{ net.Conn }

func (*mute) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The timer of a late answer fires at the moment when the answer is here after
// all. By the time that it ends the connection that is another request's.
func TestAnAnswerThatWasNearlyTooLateHarmsNobody(t *testing.T) {
	near, _ := wiretest.Pair()
	c := must(NewClientConn(near, nil))
	u := &upload{c: c}
	u.answered()
	u.tooLate()
	require.Equal(t, CloseNone, c.Reason())
	require.NoError(t, c.Close())
}

// endsAtLook is a context that ends when it is looked at for the nth time.
type endsAtLook struct {
	context.Context
	end  func()
	left atomic.Int32
}

func (c *endsAtLook) Done() <-chan struct{} {
	if c.left.Add(-1) == 0 {
		c.end()
	}
	return c.Context.Done()
}

// The context ends at each moment at which somebody looks at it, up to the
// registration of what is to happen then: nothing is left.
func TestAContextEndsWhenItIsLookedAt(t *testing.T) {
	whole := inPieces("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	parts := inPieces("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "hello", "hello")
	for _, v := range []struct {
		depth int
		serve func(int, *wiretest.Conn)
	}{{0, whole}, {0, parts}, {4, whole}, {4, parts}} {
		for looks := int32(1); ; looks++ {
			left := int32(0)
			synctest.Test(t, func(t *testing.T) {
				o := &origins{t: t, serve: v.serve}
				tr := o.transport(Pipelining{Depth: v.depth})
				inner, end := context.WithCancel(t.Context())
				ctx := &endsAtLook{Context: inner, end: end}
				ctx.left.Store(looks)
				res, err := tr.RoundTrip(must(http.NewRequestWithContext(ctx, "GET", "http://origin.test/", nil)))
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				end()
				left = ctx.left.Load()
				time.Sleep(10 * time.Second) // less than a connection is kept idle
				st := tr.Stats().Total
				require.Zero(t, st.Busy+st.Dialing+st.Waiting, "depth %d, look %d", v.depth, looks)
				o.close(tr)
			})
			if left > 0 {
				require.Greater(t, looks, int32(3))
				break
			}
		}
	}
}

// cancelledLate is a context that is found to have ended when it is asked the nth
// time; meanwhile is what else happens just then.
type cancelledLate struct {
	context.Context
	left      atomic.Int32
	meanwhile func()
}

func (c *cancelledLate) Err() error {
	switch left := c.left.Add(-1); {
	case left > 0:
		return nil
	case left == 0:
		c.meanwhile()
	}
	return context.Canceled
}

// A request is cancelled just after its answer was received. Its connection was back
// in the pool by then, and the octets of the next request on it counted as its own.
func TestWhatTheNextRequestWritesIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: inPieces("HTTP/1.1 204 No Content\r\n\r\n")}
		tr := o.transport(Pipelining{})
		ctx := &cancelledLate{Context: t.Context(), meanwhile: func() {
			req := must(http.NewRequest("GET", "http://origin.test/"+strings.Repeat("x", 1000), nil))
			_, err := tr.RoundTrip(req)
			require.NoError(t, err)
		}}
		ctx.left.Store(2) // before it is sent, and when it was answered
		req := must(http.NewRequestWithContext(ctx, "GET", "http://origin.test/", nil))
		_, err := tr.RoundTrip(req)
		require.ErrorIs(t, err, context.Canceled)
		lost, ok := errors.AsType[*RequestError](err)
		require.True(t, ok)
		require.EqualValues(t, 2, tr.Stats().Total.Requests)
		require.EqualValues(t, 1, tr.Stats().Total.Dials)
		require.Equal(t, OutcomeAnswered, lost.Outcome)
		head, err := headOf(req, nil)
		require.NoError(t, err)
		require.EqualValues(t, len(head), lost.Written)
		o.close(tr)
	})
}

// inPieces answers each request in as many writes as there are pieces.
func inPieces(pieces ...string) func(int, *wiretest.Conn) {
	return func(_ int, nc *wiretest.Conn) {
		for in := bufio.NewReader(nc); ; {
			if _, err := asked(in); err != nil {
				return
			}
			for _, piece := range pieces {
				if _, err := io.WriteString(nc, piece); err != nil {
					return
				}
			}
		}
	}
}

// An upgrade is accepted on a connection to which nothing can be written any more:
// it is handed to nobody, and nobody else would close it.
func TestAConnectionThatCannotBeHandedOverIsClosed(t *testing.T) {
	near, far := wiretest.Pair()
	c := must(NewClientConn(near, nil))
	req := must(http.NewRequest("GET", "http://origin.test/", nil))
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}
	require.NoError(t, c.Send(req))
	require.NoError(t, c.flush())
	_, err := io.WriteString(far, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	require.NoError(t, err)
	c.wmu.Lock()
	c.werr = io.ErrClosedPipe
	c.wmu.Unlock()
	_, err = c.Receive()
	require.Error(t, err)
	_, err = near.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

// More connections are to be kept warm than there may be idle: each that is kept
// used to push out another that was then dialled anew, for as long as the origins
// were in use.
func TestIdleConnectionsThatThereIsNoRoomForAreNotDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: answerAll}
		tr := o.transport(Pipelining{})
		tr.MinIdleConnsPerHost, tr.MaxIdleConns = 3, 4
		for _, host := range []string{"a", "b", "a", "b"} {
			res, err := tr.RoundTrip(must(http.NewRequest("GET", "http://"+host+".test/", nil)))
			require.NoError(t, err)
			_ = must(io.ReadAll(res.Body))
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, o.dialed.Load(), int32(10))
		require.LessOrEqual(t, tr.Stats().Total.Idle, int64(4))
		o.close(tr)
	})
}

// A server that takes connections only to close them is not asked for another at
// once.
func TestAServerThatHangsUpIsNotDialledOnAndOn(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	var accepted atomic.Int32
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if accepted.Add(1) > 1 {
				_ = nc.Close()
				continue
			}
			go func() {
				defer nc.Close()
				for in := bufio.NewReader(nc); ; {
					path, err := asked(in)
					if err != nil {
						return
					}
					_, _ = io.WriteString(nc, answerText(path))
				}
			}()
		}
	}()
	tr := &Transport{MinIdleConnsPerHost: 2}
	res, err := tr.RoundTrip(must(http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)))
	if err == nil {
		_ = must(io.ReadAll(res.Body))
	}
	time.Sleep(300 * time.Millisecond)
	require.Less(t, accepted.Load(), int32(20))
	tr.CloseIdleConnections()
	require.NoError(t, l.Close())
}

// What is to be kept warm and is not even dialled yet is not wanted any more when
// all idle connections are to be closed.
func TestClosingIdleConnectionsEndsWhatIsWarmedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origins{t: t, serve: answerAll}
		tr := &Transport{MinIdleConnsPerHost: 8, MaxDialsPerHost: 1}
		var dials atomic.Int32
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
				return o.dial(ctx, network, addr)
			}
		}
		require.NoError(t, askPath(t, t.Context(), tr, "/").err)
		warm, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		require.Error(t, tr.Prewarm(warm, "http://origin.test/", 10))
		before := dials.Load()
		tr.CloseIdleConnections()
		time.Sleep(time.Minute)
		require.Equal(t, before, dials.Load())
		require.Zero(t, tr.Stats().Total.Open)
		require.Zero(t, tr.pool.warming)
		require.Empty(t, tr.pool.unwanted)
		o.close(tr)
	})
}
