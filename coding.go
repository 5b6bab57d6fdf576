package h1

// Transfer codings other than chunked (RFC 9112 section 7): the registry they
// are plugged into by name, their negotiation by the TE field (RFC 9110 section
// 10.1.4), and the stacks of them that a body passes through. gzip and deflate
// are plugged in here, the same way as any other.
//
// chunked is no member of the registry: it is framing (framing.go). The codings
// work above it, on the data that a decoder gives and an encoder takes.

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/h1go/h1/internal/fault"
	"github.com/h1go/h1/internal/octet"
)

// TransferCoding is one transfer coding other than chunked (RFC 9112 section
// 7): a way to encode a message's body for this one connection, undone by the
// other end of it. Its methods are called from many goroutines at once.
type TransferCoding interface {
	// NewReader returns a reader that decodes what it reads from r. It may
	// read from r, and is therefore not called before the body is wanted.
	// The reader returns io.EOF where the coding ends, and
	// io.ErrUnexpectedEOF when r ends before that. It must not read past the
	// end of the coding; r is an io.ByteReader, so that it need not.
	// Closing the reader does not close r.
	NewReader(r io.Reader) (io.ReadCloser, error)

	// NewWriter returns a writer that encodes to w.
	NewWriter(w io.Writer) (TransferWriter, error)
}

// TransferWriter encodes a body on its way out.
type TransferWriter interface {
	// Close ends the coding, and writes what it still holds. It ends neither
	// the message nor the writer below.
	io.WriteCloser

	// Flush writes out as much as the other end needs to decode all that was
	// written so far.
	Flush() error
}

// codings is the registry, by lower-case canonical name.
var codings = struct {
	sync.RWMutex
	byName map[string]TransferCoding
}{byName: make(map[string]TransferCoding)}

// RegisterTransferCoding makes a transfer coding known by its name, in any
// case, so that a Server, Transport or Conn can be told to use it. It is meant
// to be called from an init function, and panics when the name is not a token,
// is taken, or is one that the protocol keeps for itself ("chunked", "identity",
// "trailers"), or when c is nil. The names "gzip" (with its alias "x-gzip") and
// "deflate" are taken.
func RegisterTransferCoding(name string, c TransferCoding) {
	key := canonicalCoding(name)
	switch {
	case c == nil:
		panic("h1: transfer coding " + name + " is nil")
	case !octet.IsToken([]byte(name)):
		panic(fmt.Sprintf("h1: transfer coding name %q is not a token", name))
	case slices.Contains(keptNames, key):
		panic("h1: transfer coding name " + name + " is kept for the protocol")
	}
	codings.Lock()
	defer codings.Unlock()
	if _, taken := codings.byName[key]; taken {
		panic("h1: transfer coding " + name + " is registered twice")
	}
	codings.byName[key] = c
}

// keptNames have a meaning of their own in Transfer-Encoding or TE: RFC 9112
// section 7.1, RFC 9110 section 10.1.4, and "identity" from the days of RFC 2616,
// which some peers still take for no coding at all.
var keptNames = []string{"chunked", "identity", "trailers"}

// canonicalCoding gives the name a coding is registered under: names have no
// case, and RFC 9110 section 8.4.1 makes the x- names of old mean the same.
func canonicalCoding(name string) string {
	switch name = strings.ToLower(name); name {
	case "x-gzip", "x-compress":
		return name[len("x-"):]
	}
	return name
}

// lookupCoding finds a registered coding by its name, in any case.
func lookupCoding(name string) (TransferCoding, bool) {
	codings.RLock()
	defer codings.RUnlock()
	c, ok := codings.byName[canonicalCoding(name)]
	return c, ok
}

// codingSet is the codings that one end has enabled, by canonical name, the one
// it likes best first. The nil set has none.
type codingSet []string

// newCodingSet checks that the names are registered. Repeats are dropped.
func newCodingSet(names []string) (codingSet, error) {
	var s codingSet
	for _, name := range names {
		if _, ok := lookupCoding(name); !ok {
			return nil, fmt.Errorf("h1: transfer coding %q is not registered", name)
		}
		if !s.has(name) {
			s = append(s, canonicalCoding(name))
		}
	}
	return s, nil
}

// has tells whether the coding of that name is enabled.
func (s codingSet) has(name string) bool { return slices.Contains(s, canonicalCoding(name)) }

// empty tells whether no coding is enabled.
func (s codingSet) empty() bool { return len(s) == 0 }

// offer is the value of the TE field by which a client asks for these codings,
// "" for none. Whoever sends it has to list "TE" in Connection too.
func (s codingSet) offer() string { return strings.Join(s, ", ") }

// choose picks the coding for an answer by the TE fields of the request: the
// enabled one with the greatest weight, among equals the one that this end
// likes best, "" for none. No coding is acceptable always, and is what any
// member that cannot be understood counts for. The caller sees to it that TE
// was meant for this connection, being listed in Connection (RFC 9112 section
// 7.4), and that the request is of HTTP/1.1.
func (s codingSet) choose(te ...[]byte) string {
	best, weight := "", 0
	for _, name := range s {
		if w := codingWeight(name, te); w > weight {
			best, weight = name, w
		}
	}
	return best
}

// codingWeight is the weight, in thousandths, that TE gives a coding: 0 when it
// is not listed. Where it is listed twice the least weight holds.
func codingWeight(name string, te [][]byte) int {
	weight := -1
	for _, list := range te {
		for elem, rest, ok := octet.NextElement(list); ok; elem, rest, ok = octet.NextElement(rest) {
			coding, params, _ := bytes.Cut(elem, semicolon)
			if canonicalCoding(string(octet.TrimOWS(coding))) != name {
				continue
			}
			if w := parseWeight(params); weight < 0 || w < weight {
				weight = w
			}
		}
	}
	return max(weight, 0)
}

var semicolon = []byte{';'}

// parseWeight reads what follows a coding's name in TE: nothing, or the one
// parameter "q=" qvalue (RFC 9110 section 12.4.2), in thousandths. Any other
// parameter counts for a weight of 0, since no coding here has any (RFC 9112
// section 7.2), and so does a malformed one.
func parseWeight(params []byte) int {
	params = octet.TrimOWS(params)
	if len(params) == 0 {
		return 1000
	}
	if len(params) < 3 || octet.Lower(params[0]) != 'q' || params[1] != '=' {
		return 0
	}
	whole, digits := params[2], params[3:]
	if len(digits) > 0 && digits[0] == '.' {
		digits = digits[1:]
	} else if len(digits) > 0 {
		return 0
	}
	if whole != '0' && whole != '1' || len(digits) > 3 {
		return 0
	}
	q := int(whole - '0')
	for i := range 3 {
		q *= 10
		if i < len(digits) {
			if digits[i] < '0' || digits[i] > '9' {
				return 0
			}
			q += int(digits[i] - '0')
		}
	}
	if q > 1000 {
		return 0
	}
	return q
}

// codingError is a body that its coding cannot decode. It is both
// fault.BadCoding and its cause.
type codingError struct {
	coding string
	cause  error
}

func (e *codingError) Error() string   { return e.coding + " transfer coding: " + e.cause.Error() }
func (e *codingError) Unwrap() []error { return []error{fault.BadCoding, e.cause} }

// errAfterCoding is what stands behind the end of a coding.
var errAfterCoding = errors.New("octets after its end")

// decodeStack returns a reader of the content of a body: r gives the body's
// data, stack lists the codings in the order they were applied, so they are
// undone from the last to the first. Nothing is read from r before the first
// Read.
//
// io.EOF comes after every coding and r have ended. An end of r before that is
// io.ErrUnexpectedEOF; octets between the end of a coding and that of r are a
// fault, like all that the coding cannot decode: fault.BadCoding. An error of r
// comes back as it is. Close gives the codings' memory back and leaves r alone;
// it must not run at the same time as Read.
func decodeStack(stack []string, r io.Reader) (io.ReadCloser, error) {
	d := decodedBody{Reader: r}
	for _, name := range slices.Backward(stack) {
		coding, ok := lookupCoding(name)
		if !ok {
			return nil, fmt.Errorf("%w: %q", fault.CodingUnknown, name)
		}
		stage := &decodeStage{name: name, coding: coding, src: source{r: d.Reader}}
		d.stages = append(d.stages, stage)
		d.Reader = stage
	}
	return &d, nil
}

// decodedBody is a stack of codings, read at its top.
type decodedBody struct {
	io.Reader
	stages []*decodeStage
}

// Close closes the stages, the top one first.
func (d *decodedBody) Close() error {
	var errs []error
	for _, stage := range slices.Backward(d.stages) {
		errs = append(errs, stage.close())
	}
	d.stages = nil
	return errors.Join(errs...)
}

// decodeStage undoes one coding.
type decodeStage struct {
	name   string
	coding TransferCoding
	src    source
	buf    *bufio.Reader // over src; shared with dec, so that what dec leaves is seen
	dec    io.ReadCloser
	err    error // how it ended
}

// Read decodes, and once something ended or failed, says so for ever.
func (s *decodeStage) Read(p []byte) (n int, err error) {
	if s.err == nil && s.dec == nil {
		s.err = s.open()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err = s.dec.Read(p)
	if err == nil || err == io.EOF && n > 0 { // content goes before the wait for the end of r
		return n, nil
	}
	s.err = s.verdict(err)
	return n, s.err
}

// open starts the coding, which reads its first octets.
func (s *decodeStage) open() (err error) {
	s.buf = sourceBuffers.Get().(*bufio.Reader)
	s.buf.Reset(&s.src)
	if s.dec, err = s.coding.NewReader(s.buf); err == nil {
		return nil
	}
	s.dec = nil
	if err == io.EOF { // not even its first octet came
		err = io.ErrUnexpectedEOF
	}
	return s.verdict(err)
}

// verdict tells how the coding ended, given what it said itself.
func (s *decodeStage) verdict(err error) error {
	if err == io.EOF {
		switch _, more := s.buf.ReadByte(); more {
		case io.EOF:
			return io.EOF
		case nil:
			err = errAfterCoding
		default:
			err = more
		}
	}
	if s.src.err != nil && s.src.err != io.EOF {
		return s.src.err
	}
	return &codingError{coding: s.name, cause: err}
}

// close gives back what the stage holds.
func (s *decodeStage) close() (err error) {
	if s.dec != nil {
		err = s.dec.Close()
	}
	if s.buf != nil {
		s.buf.Reset(nil)
		sourceBuffers.Put(s.buf)
	}
	s.dec, s.buf, s.err = nil, nil, fault.WrongState
	return err
}

// sourceBuffers holds the buffers between a coding and the octets it decodes.
var sourceBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// source remembers the first error of what it reads, to tell a failed read from
// an octet that the coding does not like.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (n int, err error) {
	if s.err == nil {
		n, s.err = s.r.Read(p)
	}
	return n, s.err
}

// encodeStack returns a writer that applies the codings of stack, the first one
// first, and writes to w. Flush passes all of them; Close ends them all and
// leaves w open.
func encodeStack(stack []string, w io.Writer) (TransferWriter, error) {
	e := encodedBody{Writer: w}
	for _, name := range slices.Backward(stack) {
		coding, ok := lookupCoding(name)
		if !ok {
			return nil, errors.Join(fmt.Errorf("%w: %q", fault.CodingUnknown, name), e.Close())
		}
		stage, err := coding.NewWriter(e.Writer)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		e.stages = append(e.stages, stage)
		e.Writer = stage
	}
	return &e, nil
}

// encodedBody is a stack of codings, written at its top.
type encodedBody struct {
	io.Writer
	stages []TransferWriter // the top one last
}

func (e *encodedBody) Flush() error {
	for _, stage := range slices.Backward(e.stages) {
		if err := stage.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes every stage, the top one first, whatever happens to one.
func (e *encodedBody) Close() error {
	var errs []error
	for _, stage := range slices.Backward(e.stages) {
		errs = append(errs, stage.Close())
	}
	e.stages = nil
	return errors.Join(errs...)
}

func init() {
	RegisterTransferCoding("gzip", gzipCoding{})
	RegisterTransferCoding("deflate", deflateCoding{})
}

// gzipCoding is the gzip coding (RFC 9110 section 8.4.1.3).
type gzipCoding struct{}

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
)

func (gzipCoding) NewReader(r io.Reader) (io.ReadCloser, error) {
	z := gzipReaders.Get().(*gzip.Reader)
	if err := z.Reset(r); err != nil {
		gzipReaders.Put(z)
		return nil, err
	}
	return &pooledReader{z: z, pool: &gzipReaders}, nil
}

func (gzipCoding) NewWriter(w io.Writer) (TransferWriter, error) {
	return takeWriter(&gzipWriters, w), nil
}

// deflateCoding is the deflate coding, which is the zlib format around deflate
// data (RFC 9110 section 8.4.1.2) and not the naked data that some peers send.
type deflateCoding struct{}

var (
	zlibReaders sync.Pool // empty at first: a zlib reader cannot be made without input
	zlibWriters = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}
)

func (deflateCoding) NewReader(r io.Reader) (io.ReadCloser, error) {
	z, ok := zlibReaders.Get().(io.ReadCloser)
	if !ok {
		fresh, err := zlib.NewReader(r)
		if err != nil {
			return nil, err
		}
		return &pooledReader{z: fresh, pool: &zlibReaders}, nil
	}
	if err := z.(zlib.Resetter).Reset(r, nil); err != nil {
		zlibReaders.Put(z)
		return nil, err
	}
	return &pooledReader{z: z, pool: &zlibReaders}, nil
}

func (deflateCoding) NewWriter(w io.Writer) (TransferWriter, error) {
	return takeWriter(&zlibWriters, w), nil
}

// pooledReader is a reader that Close gives back to its pool.
type pooledReader struct {
	z    io.ReadCloser // nil once closed
	pool *sync.Pool
}

func (p *pooledReader) Read(b []byte) (int, error) {
	if p.z == nil {
		return 0, fault.WrongState
	}
	return p.z.Read(b)
}

// Close has nothing to say: what was wrong with the data, Read has said.
func (p *pooledReader) Close() error {
	if p.z != nil {
		_ = p.z.Close()
		p.pool.Put(p.z)
		p.z = nil
	}
	return nil
}

// compressor is what the writers of compress/gzip and compress/zlib share.
type compressor interface {
	TransferWriter
	Reset(w io.Writer)
}

// pooledWriter is a writer that Close gives back to its pool.
type pooledWriter struct {
	z    compressor // nil once closed
	pool *sync.Pool
}

func takeWriter(pool *sync.Pool, w io.Writer) *pooledWriter {
	z := pool.Get().(compressor)
	z.Reset(w)
	return &pooledWriter{z: z, pool: pool}
}

func (p *pooledWriter) Write(b []byte) (int, error) {
	if p.z == nil {
		return 0, fault.WrongState
	}
	return p.z.Write(b)
}

func (p *pooledWriter) Flush() error {
	if p.z == nil {
		return fault.WrongState
	}
	return p.z.Flush()
}

func (p *pooledWriter) Close() error {
	if p.z == nil {
		return nil
	}
	err := p.z.Close()
	p.pool.Put(p.z)
	p.z = nil
	return err
}
