package wiretest

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTalkTakesWhatItExpectsWhateverTheCuts(t *testing.T) {
	wire := "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello"
	EachCut(wire, func(name string, segments []string) {
		a, b := Pair()
		require.NoError(t, WriteSegments(b, segments))
		require.NoError(t, b.CloseWrite())
		k := NewTalk(t, a)
		head := k.ExpectHead("HTTP/1.1 200 *", "Content-Length: 5", "Date: *")
		require.Equal(t, wire[:len(wire)-5], head, name)
		k.Expect("hel")
		k.Expect("lo")
		k.ExpectEOF()
	})
}

func TestTalkHandsOverToAnotherReader(t *testing.T) {
	a, b := Pair()
	io.WriteString(b, "line\r\nthe rest")
	io.WriteString(b, " of it")
	b.Close()
	k := NewTalk(t, a)
	require.Equal(t, "line", k.ExpectLine("line"))
	rest, err := io.ReadAll(k)
	require.NoError(t, err)
	require.Equal(t, "the rest of it", string(rest))
}

func TestTalkFails(t *testing.T) {
	tests := []struct {
		name  string
		wire  string
		talk  func(k *Talk)
		error string
	}{
		{"at the first octet that differs, without waiting for more", "hi",
			func(k *Talk) { k.Expect("hello") }, `expected "hello", got "hi"`},
		{"when the text does not come in time", "he",
			func(k *Talk) { k.Expect("hello") }, "i/o timeout"},
		{"on a line that differs", "HTTP/1.1 500 Oops\r\n",
			func(k *Talk) { k.ExpectLine("HTTP/1.1 200 *") }, `expected the line "HTTP/1.1 200 *", got "HTTP/1.1 500 Oops"`},
		{"on another start line", "HTTP/1.0 200 OK\r\n\r\n",
			func(k *Talk) { k.ExpectHead("HTTP/1.1 200 OK") }, "expected the start line"},
		{"on a field line that is missing", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
			func(k *Talk) { k.ExpectHead("HTTP/1.1 200 OK", "C: d") }, `expected the field line "C: d"`},
		{"on a head without its end", "HTTP/1.1 200 OK\r\n",
			func(k *Talk) { k.ExpectHead("HTTP/1.1 200 OK") }, "expected a head"},
		{"on octets before the end", "x",
			func(k *Talk) { k.ExpectEOF() }, `expected the end of the stream, got "x"`},
		{"on octets before a reset", "x",
			func(k *Talk) { k.ExpectReset() }, `expected a reset, got "x"`},
		{"on octets in the silence", "x",
			func(k *Talk) { k.ExpectSilence(time.Minute) }, `expected silence for 1m0s, got "x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := Pair()
				io.WriteString(b, tt.wire)
				r := &recorder{TB: t}
				r.run(func() { tt.talk(NewTalk(r, a)) })
				require.Len(t, r.errors, 1)
				require.Contains(t, r.errors[0], tt.error)
			})
		})
	}
}

func TestTalkHearsSilenceAndResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair()
		start := time.Now()
		k := NewTalk(t, a)
		k.ExpectSilence(time.Hour)
		require.Equal(t, time.Hour, time.Since(start))
		b.Reset()
		k.ExpectReset()
	})
}

func TestScript(t *testing.T) {
	a, b := Pair()
	io.WriteString(b, "HTTP/1.1 200 OK\r\nDate: today\r\n\r\n\"\x00hello")
	Play(t, a, `
		# a request in two segments
		> GET / HTTP/1.1
		> Host: a

		>
		< HTTP/1.1 200 OK
		< Date: *
		<
		<| "\x00hel
		<| lo
		>| raw\n
		>.
	`)
	p := make([]byte, 100)
	for _, want := range []string{"GET / HTTP/1.1\r\nHost: a\r\n", "\r\n", "raw\n"} {
		n, err := b.Read(p)
		require.NoError(t, err)
		require.Equal(t, want, string(p[:n]))
	}
	_, err := b.Read(p)
	require.Equal(t, io.EOF, err)
	b.Close()
	Play(t, a, "<.")
}

func TestScriptExpectsAReset(t *testing.T) {
	a, b := Pair()
	b.Reset()
	Play(t, a, "<!")
}

func TestScriptWithoutMarkIsRefused(t *testing.T) {
	for script, want := range map[string]string{
		"> fine\nGET /": `line 2: no mark at the start of "GET /"`,
		`>| \q`:         "line 1",
	} {
		r := &recorder{TB: t}
		r.run(func() { Play(r, nil, script) })
		require.Len(t, r.errors, 1)
		require.Contains(t, r.errors[0], want)
	}
}

func TestSendFINNeedsCloseWrite(t *testing.T) {
	a, _ := net.Pipe()
	r := &recorder{TB: t}
	r.run(func() { NewTalk(r, a).SendFIN() })
	require.Len(t, r.errors, 1)
}
