package h1

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/h1go/h1/internal/fault"
)

// rot13 is a coding plugged in from outside, with nothing but the public names.
// It has no end of its own: the end of what is below is its end.
type rot13 struct{}

func init() { RegisterTransferCoding("Rot13", rot13{}) }

func rotate(p []byte) []byte {
	out := bytes.Clone(p)
	for i, c := range out {
		switch lower := c | 0x20; {
		case 'a' <= lower && lower <= 'm':
			out[i] = c + 13
		case 'n' <= lower && lower <= 'z':
			out[i] = c - 13
		}
	}
	return out
}

func (rot13) NewReader(r io.Reader) (io.ReadCloser, error) { return rot13Reader{r}, nil }

func (rot13) NewWriter(w io.Writer) (TransferWriter, error) { return rot13Writer{w}, nil }

type rot13Reader struct{ r io.Reader }

func (r rot13Reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	copy(p, rotate(p[:n]))
	return n, err
}

func (rot13Reader) Close() error { return nil }

type rot13Writer struct{ w io.Writer }

func (w rot13Writer) Write(p []byte) (int, error) { return w.w.Write(rotate(p)) }
func (rot13Writer) Flush() error                  { return nil }
func (rot13Writer) Close() error                  { return nil }

// encoded applies the codings of stack to pieces, with a flush behind each.
func encoded(t *testing.T, stack []string, pieces ...string) []byte {
	t.Helper()
	var wire bytes.Buffer
	w, err := encodeStack(stack, &wire)
	require.NoError(t, err)
	for _, p := range pieces {
		_, err = io.WriteString(w, p)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	return wire.Bytes()
}

// decoded undoes the codings of stack, to the end or the first error.
func decoded(t *testing.T, stack []string, r io.Reader) (string, error) {
	t.Helper()
	d, err := decodeStack(stack, r)
	require.NoError(t, err)
	content, err := io.ReadAll(d)
	require.NoError(t, d.Close())
	return string(content), err
}

var stacks = [][]string{
	{"gzip"}, {"x-gzip"}, {"deflate"}, {"rot13"},
	{"gzip", "deflate"}, {"deflate", "gzip"}, {"rot13", "gzip"}, {"gzip", "rot13", "deflate"}, {"gzip", "gzip"},
}

func TestDecodingWhatWasEncodedIsTheIdentity(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, stack := range stacks {
		t.Run(strings.Join(stack, ", "), func(t *testing.T) {
			for _, size := range []int{0, 1, 100, 5000, 100_000} {
				content := make([]byte, size)
				for i := range content {
					content[i] = byte(rnd.IntN(1 + rnd.IntN(256)))
				}
				var pieces []string
				for rest := string(content); len(rest) > 0; {
					n := 1 + rnd.IntN(len(rest))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				wire := encoded(t, stack, pieces...)
				for name, cut := range map[string]func(io.Reader) io.Reader{
					"whole":              func(r io.Reader) io.Reader { return r },
					"octet by octet":     iotest.OneByteReader,
					"by halves":          iotest.HalfReader,
					"the end with data":  iotest.DataErrReader,
					"no io.ByteReader":   func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
					"empty reads amidst": func(r io.Reader) io.Reader { return &hesitant{r: r} },
				} {
					got, err := decoded(t, stack, cut(bytes.NewReader(wire)))
					require.NoError(t, err, name)
					require.True(t, string(content) == got, "%s, %d octets", name, size)
				}
			}
		})
	}
}

// hesitant gives nothing at every other read.
type hesitant struct {
	r   io.Reader
	now bool
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.now = !h.now; h.now {
		return 0, nil
	}
	return h.r.Read(p)
}

func TestAFlushedPieceIsDecodedBeforeTheNextIsWritten(t *testing.T) {
	for _, stack := range stacks {
		t.Run(strings.Join(stack, ", "), func(t *testing.T) {
			var wire bytes.Buffer
			w, err := encodeStack(stack, &wire)
			require.NoError(t, err)
			// stalled fails the read for which nothing was sent yet: to decode
			// a piece, nothing may be wanted that comes behind it.
			stalled := errors.New("read too far")
			d, err := decodeStack(stack, readerFunc(func(p []byte) (int, error) {
				if wire.Len() == 0 {
					return 0, stalled
				}
				return wire.Read(p)
			}))
			require.NoError(t, err)
			for _, piece := range []string{"first", strings.Repeat("second", 1000), "third"} {
				_, err := io.WriteString(w, piece)
				require.NoError(t, err)
				require.NoError(t, w.Flush())
				got := make([]byte, len(piece))
				_, err = io.ReadFull(d, got)
				require.NoError(t, err)
				require.Equal(t, piece, string(got))
			}
		})
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestABodyThatEndsWithinItsCodingIsUnexpectedEOF(t *testing.T) {
	for _, stack := range [][]string{{"gzip"}, {"deflate"}, {"deflate", "gzip"}} {
		t.Run(strings.Join(stack, ", "), func(t *testing.T) {
			wire := encoded(t, stack, "hello, world", "and more")
			for n := range len(wire) {
				_, err := decoded(t, stack, bytes.NewReader(wire[:n]))
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d octets of %d", n, len(wire))
				require.ErrorIs(t, err, fault.BadCoding, "%d octets of %d", n, len(wire))
			}
		})
	}
}

func TestWhatACodingCannotDecodeIsBadCoding(t *testing.T) {
	gz, zl := encoded(t, []string{"gzip"}, "hello, world"), encoded(t, []string{"deflate"}, "hello, world")
	damage := func(wire []byte, at int) string {
		out := bytes.Clone(wire)
		out[(at+len(out))%len(out)] ^= 0x55
		return string(out)
	}
	naked := string(zl[2 : len(zl)-4])
	for _, tt := range []struct{ name, coding, wire string }{
		{"no gzip at all", "gzip", "hello, world, this is plain"},
		{"a damaged header", "gzip", damage(gz, 0)},
		{"a damaged checksum", "gzip", damage(gz, -6)},
		{"a damaged length", "gzip", damage(gz, -1)},
		{"octets after the end", "gzip", string(gz) + "GET / HTTP/1.1\r\n"},
		{"one octet after the end", "gzip", string(gz) + "\n"},
		{"no zlib at all", "deflate", "hello, world, this is plain"},
		{"a damaged header", "deflate", damage(zl, 0)},
		{"a damaged checksum", "deflate", damage(zl, -1)},
		{"octets after the end", "deflate", string(zl) + "GET / HTTP/1.1\r\n"},
		{"one octet after the end", "deflate", string(zl) + "\n"},
		{"a second body", "deflate", string(zl) + string(zl)},
		{"naked deflate data", "deflate", naked},
		{"gzip for deflate", "deflate", string(gz)},
	} {
		t.Run(tt.coding+": "+tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":          strings.NewReader(tt.wire),
				"octet by octet": iotest.OneByteReader(strings.NewReader(tt.wire)),
			} {
				_, err := decoded(t, []string{tt.coding}, r)
				require.ErrorIs(t, err, fault.BadCoding, name)
				require.ErrorContains(t, err, tt.coding, name)
			}
		})
	}
}

func TestSeveralGzipMembersAreOneBody(t *testing.T) { // RFC 1952 section 2.2
	wire := append(encoded(t, []string{"gzip"}, "hello, "), encoded(t, []string{"gzip"}, "world")...)
	got, err := decoded(t, []string{"gzip"}, bytes.NewReader(wire))
	require.NoError(t, err)
	require.Equal(t, "hello, world", got)
}

func TestTheBodyBelowIsReadToItsEnd(t *testing.T) {
	for _, stack := range stacks {
		t.Run(strings.Join(stack, ", "), func(t *testing.T) {
			below := &source{r: bytes.NewReader(encoded(t, stack, "hello"))}
			got, err := decoded(t, stack, below)
			require.NoError(t, err)
			require.Equal(t, "hello", got)
			require.Equal(t, io.EOF, below.err, "whoever frames the body has not seen its end")
		})
	}
}

func TestAnErrorFromBelowComesBackAsItIs(t *testing.T) {
	lost := fault.New(fault.UnexpectedEOF, fault.Client, "reading the body")
	for _, stack := range stacks {
		t.Run(strings.Join(stack, ", "), func(t *testing.T) {
			wire := encoded(t, stack, "hello, world")
			for n := range len(wire) + 1 {
				d, err := decodeStack(stack, io.MultiReader(bytes.NewReader(wire[:n]), iotest.ErrReader(lost)))
				require.NoError(t, err)
				_, err = io.ReadAll(d)
				require.True(t, err == lost, "%d octets: %v", n, err)
				_, again := d.Read(make([]byte, 1))
				require.True(t, again == lost, "the error has to stay")
				require.NoError(t, d.Close())
			}
		})
	}
}

func TestContentDoesNotWaitForTheEndOfTheBody(t *testing.T) {
	var wire bytes.Buffer // in one block, so that content and end come from one read
	w, err := encodeStack([]string{"deflate"}, &wire)
	require.NoError(t, err)
	_, err = io.WriteString(w, "hello")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	asked := false
	d, err := decodeStack([]string{"deflate"}, io.MultiReader(&wire, readerFunc(func([]byte) (int, error) {
		asked = true
		return 0, io.EOF
	})))
	require.NoError(t, err)
	got := make([]byte, 100)
	n, err := io.ReadAtLeast(d, got, len("hello"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(got[:n]))
	require.False(t, asked, "what was decoded was kept back until the peer ended the body")
	_, err = d.Read(got)
	require.Equal(t, io.EOF, err)
	require.True(t, asked)
}

func TestNothingIsReadBeforeTheBodyIsWanted(t *testing.T) {
	touched := errors.New("touched")
	for _, stack := range stacks {
		d, err := decodeStack(stack, iotest.ErrReader(touched))
		require.NoError(t, err)
		_, err = d.Read(make([]byte, 1))
		require.ErrorIs(t, err, touched)
		require.NoError(t, d.Close())
	}
}

func TestAClosedCodingTouchesNobodyElsesMemory(t *testing.T) {
	for _, name := range []string{"gzip", "deflate"} {
		t.Run(name, func(t *testing.T) {
			wire := encoded(t, []string{name}, "hello, world")
			d, err := decodeStack([]string{name}, bytes.NewReader(wire))
			require.NoError(t, err)
			_, err = io.ReadFull(d, make([]byte, 5))
			require.NoError(t, err)
			require.NoError(t, d.Close())
			require.NoError(t, d.Close())
			_, err = d.Read(make([]byte, 5))
			require.ErrorIs(t, err, fault.WrongState)

			coding, _ := lookupCoding(name)
			w, err := coding.NewWriter(io.Discard)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.NoError(t, w.Close())
			_, err = io.WriteString(w, "late")
			require.ErrorIs(t, err, fault.WrongState)
			require.ErrorIs(t, w.Flush(), fault.WrongState)

			r, err := coding.NewReader(bytes.NewReader(wire))
			require.NoError(t, err)
			require.NoError(t, r.Close())
			_, err = r.Read(make([]byte, 5))
			require.ErrorIs(t, err, fault.WrongState)
		})
	}
}

func TestCodingsAreTheFormatsOfRFC9110(t *testing.T) {
	gz, err := gzip.NewReader(bytes.NewReader(encoded(t, []string{"gzip"}, "hello")))
	require.NoError(t, err)
	got, err := io.ReadAll(gz)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))

	zl, err := zlib.NewReader(bytes.NewReader(encoded(t, []string{"deflate"}, "hello")))
	require.NoError(t, err)
	got, err = io.ReadAll(zl)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))

	require.Equal(t, "uryyb", string(encoded(t, []string{"rot13"}, "hello")))
}

func TestStacksAreAppliedInTheirOrder(t *testing.T) {
	wire := encoded(t, []string{"rot13", "gzip"}, "hello")
	got, err := decoded(t, []string{"gzip"}, bytes.NewReader(wire))
	require.NoError(t, err)
	require.Equal(t, "uryyb", got, "the last coding applied is the first undone")
}

func TestAnUnregisteredCodingMakesNoStack(t *testing.T) {
	_, err := decodeStack([]string{"gzip", "br"}, strings.NewReader(""))
	require.ErrorIs(t, err, fault.CodingUnknown)
	_, err = encodeStack([]string{"br", "gzip"}, io.Discard)
	require.ErrorIs(t, err, fault.CodingUnknown)
}

func TestTheRegistryRefusesWhatWouldConfuse(t *testing.T) {
	for name, panics := range map[string]string{
		"":         "not a token",
		"a b":      "not a token",
		"gzip;q":   "not a token",
		"chunked":  "kept",
		"Chunked":  "kept",
		"identity": "kept",
		"trailers": "kept",
		"gzip":     "twice",
		"X-GZip":   "twice",
		"rOT13":    "twice",
	} {
		require.Contains(t, panicOf(func() { RegisterTransferCoding(name, rot13{}) }), panics, "%q", name)
	}
	require.Contains(t, panicOf(func() { RegisterTransferCoding("nothing", nil) }), "nil")
	_, ok := lookupCoding("nothing")
	require.False(t, ok)
}

// panicOf gives the text that f panics with.
func panicOf(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return "no panic"
}

func TestASetHoldsWhatWasEnabled(t *testing.T) {
	s, err := newCodingSet([]string{"Deflate", "x-gzip", "gzip"})
	require.NoError(t, err)
	require.Equal(t, codingSet{"deflate", "gzip"}, s)
	require.True(t, s.has("gzip"))
	require.True(t, s.has("x-gzip"))
	require.True(t, s.has("DEFLATE"))
	require.False(t, s.has("rot13"), "registered is not enabled")
	require.Equal(t, "deflate, gzip", s.offer())
	require.False(t, s.empty())

	_, err = newCodingSet([]string{"gzip", "br"})
	require.ErrorContains(t, err, `"br"`)
	_, err = newCodingSet([]string{"chunked"})
	require.Error(t, err)

	none, err := newCodingSet(nil)
	require.NoError(t, err)
	require.True(t, none.empty())
	require.False(t, none.has("gzip"))
	require.Empty(t, none.offer())
	require.Empty(t, none.choose([]byte("gzip")))
}

func TestTheAnswersCodingIsChosenByTE(t *testing.T) {
	enabled, err := newCodingSet([]string{"gzip", "deflate"})
	require.NoError(t, err)
	for _, tt := range []struct{ te, want string }{
		{"", ""},
		{"trailers", ""},
		{"gzip", "gzip"},
		{"GZIP", "gzip"},
		{"x-gzip", "gzip"},
		{"deflate", "deflate"},
		{"trailers, deflate;q=0.5", "deflate"},
		{"deflate, gzip", "gzip"},
		{"gzip;q=0.5, deflate", "deflate"},
		{"gzip;q=0.5, deflate;q=0.8", "deflate"},
		{"gzip;q=0.501, deflate;q=0.5", "gzip"},
		{"gzip;q=0.5, deflate;q=0.500", "gzip"},
		{"gzip;Q=0.1, deflate;q=1.000", "deflate"},
		{"gzip ; q=0.1 , deflate;q=0.2", "deflate"},
		{"gzip;q=0", ""},
		{"gzip;q=0.000, deflate;q=0.001", "deflate"},
		{"gzip;q=0.", ""},
		{"gzip;q=1.", "gzip"},
		{"rot13", ""},
		{"rot13, br, *", ""},
		{"chunked", ""},
		{"gzip;q=1.001", ""},
		{"gzip;q=2", ""},
		{"gzip;q=0.1234", ""},
		{"gzip;q=.5", ""},
		{"gzip;q=-1", ""},
		{"gzip;q=0x1", ""},
		{"gzip;q=0,5", ""},
		{"gzip;q", ""},
		{"gzip;q=", ""},
		{"gzip;", "gzip"},
		{"gzip;level=9", ""},
		{"gzip;level=9;q=1", ""},
		{"gzip;q=1;level=9", ""},
		{`rot13;a=",gzip,"`, ""},
		{`rot13;a=",gzip,", deflate`, "deflate"},
		{"gzip, gzip;q=0", ""},
		{"gzip;q=0, gzip", ""},
		{"gzip\x00", ""},
		{" , ,gzip", "gzip"},
	} {
		require.Equal(t, tt.want, enabled.choose([]byte(tt.te)), "%q", tt.te)
	}
	require.Equal(t, "", enabled.choose())
	require.Equal(t, "deflate", enabled.choose([]byte("gzip;q=0.1"), []byte("deflate")), "two fields are one list")
}

// FuzzCodings: what was encoded, in whatever pieces, is decoded to the same
// octets from whatever segments; and what was not, ends in an error that says so.
func FuzzCodings(f *testing.F) {
	f.Add(uint8(0), "hello, world", []byte{3}, []byte{1})
	f.Add(uint8(2), "", []byte{}, []byte{0})
	f.Add(uint8(7), "\x00\x00\x00", []byte{0, 1}, []byte{9, 0})
	f.Fuzz(func(t *testing.T, which uint8, content string, pieces, cuts []byte) {
		stack := stacks[int(which)%len(stacks)]
		wire := string(encoded(t, stack, cutBy(content, pieces)...))
		var segments []io.Reader
		for _, s := range cutBy(wire, cuts) {
			segments = append(segments, strings.NewReader(s))
		}
		got, err := decoded(t, stack, io.MultiReader(segments...))
		require.NoError(t, err)
		require.True(t, content == got)

		if _, err = decoded(t, stack, strings.NewReader(content)); err != nil {
			require.ErrorIs(t, err, fault.BadCoding)
		}
	})
}
