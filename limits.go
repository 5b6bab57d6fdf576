package h1

import (
	"math"
	"time"
)

// Limits bound what one connection may make this end hold, read or wait for.
// In every field zero means the default named there and a negative value
// means none; where none would let one peer take all memory, the comment says
// so.
type Limits struct {
	// HeadBytes is how large a message's head may be, start line and field
	// lines with their line ends. A larger request is answered with 431.
	// Default 65536 (nginx 4 buffers of 8 KiB, Node 16 KiB, net/http 1 MiB).
	// Server.MaxHeaderBytes and Transport.MaxResponseHeaderBytes, when set,
	// take its place. None means 1 GiB.
	HeadBytes int

	// StartLineBytes is how long the start line may be. A longer request line
	// is answered with 414. Default 16384; RFC 9112 section 3 asks for at
	// least 8000, nginx's large_client_header_buffers allow 8 KiB.
	StartLineBytes int

	// Fields is how many field lines a head may have; more are answered with
	// 431. Default 1000 (nginx max_headers 1000, Node 2000, hyper 100).
	Fields int

	// TrailerBytes is how large a chunked body's trailer section may be.
	// Default 16384 (hyper).
	TrailerBytes int

	// DrainBytes is how much of a body that nobody wants is read and dropped
	// to keep the connection: a request's that its handler left, a response's
	// that its caller closed or whose request was cancelled. Default 262144
	// (net/http). None means that any amount is read.
	DrainBytes int64

	// DrainTime is how long such a drain may take. Default 1 s: past that a
	// new connection costs less than waiting.
	DrainTime time.Duration

	// LingerBytes is how much is read and dropped between this end's FIN and
	// the close, so that the peer gets to read the last answer instead of a
	// reset (RFC 9112 section 9.6). Default 64 MiB.
	LingerBytes int64

	// LingerTime is how long that may take. Default 30 s (nginx
	// lingering_time). It ends with the peer's FIN, after 5 s of silence (nginx
	// lingering_timeout), and after one where the system tells that the peer's
	// has acknowledged all (Linux). Negative means no lingering at all.
	LingerTime time.Duration

	// MinReadRate is how fast a body has to come. Reading one that does not ends
	// with body_timeout, whose status is 408, and the answer is the last. A handler
	// that sets a read deadline of its own (Exchange.SetReadDeadline,
	// http.ResponseController) lifts the rate for its request.
	MinReadRate Rate

	// MinWriteRate is how fast a message has to be taken; one that is not ends
	// the connection. What this system takes for the peer counts, so that its
	// buffers are part of the grace. A handler that sets a write deadline of its
	// own lifts it for its answer.
	MinWriteRate Rate

	// HeldBytes is how much of the answers to one connection's pipelined requests
	// is kept until their turn comes, where handlers work side by side
	// (Server.Parallel). Past it handlers wait in Write, no further ones begin,
	// and the connection is not read from. Default 262144. None means that
	// handlers may keep any amount.
	HeldBytes int64

	// InflateRatio is how many octets a transfer coding such as gzip may make of
	// one, once it has made 1 MiB; a body over it ends with body_too_large.
	// Default 200 (Apache DeflateInflateRatioLimit); deflate reaches 1032. None
	// lets a peer that sends little cost much.
	InflateRatio int

	// Informational is how many 1xx responses a client accepts before the
	// final one. Default 10 (net/http 5, curl 50).
	Informational int
}

// limits are Limits with every default in its place; a number that means
// "none" is too large to be reached.
type limits struct {
	head, trailer headLimits
	drainBytes    int64
	drainTime     time.Duration
	lingerBytes   int64
	lingerTime    time.Duration // 0: no lingering
	inflateRatio  int64
	heldBytes     int64
	informational int
}

// noBytes is the largest head that offsets of 32 bits can describe with room
// to spare.
const noBytes = 1 << 30

const never = time.Duration(math.MaxInt64)

func (l Limits) resolve() limits {
	start := pick(l.StartLineBytes, 16<<10, noBytes)
	fields := pick(l.Fields, 1000, math.MaxInt32)
	r := limits{
		head:          headLimits{startLine: start, bytes: pick(l.HeadBytes, 64<<10, noBytes), fields: fields},
		trailer:       headLimits{startLine: start, bytes: pick(l.TrailerBytes, 16<<10, noBytes), fields: fields},
		drainBytes:    pick(l.DrainBytes, 256<<10, math.MaxInt64),
		drainTime:     pick(l.DrainTime, time.Second, never),
		lingerBytes:   pick(l.LingerBytes, 64<<20, math.MaxInt64),
		lingerTime:    pick(l.LingerTime, 30*time.Second, 0),
		heldBytes:     pick(l.HeldBytes, 256<<10, math.MaxInt64),
		inflateRatio:  int64(pick(l.InflateRatio, 200, math.MaxInt32)),
		informational: pick(l.Informational, 10, math.MaxInt32),
	}
	r.head.startLine = min(r.head.startLine, r.head.bytes)
	return r
}

// pick is the rule of every field with a default: zero is the default,
// negative is none.
func pick[N ~int | ~int64](n, zero, none N) N {
	switch {
	case n == 0:
		return zero
	case n < 0:
		return none
	}
	return n
}
