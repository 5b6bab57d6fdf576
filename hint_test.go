package h1_test

// What a server says in Keep-Alive, and what the Transport makes of it.

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server that says how many requests it will still take is not sent more.
func TestAConnectionIsUsedAsOftenAsTheServerSays(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *stage) {
		got := s.send(request("POST", ""))
		k := s.accept()
		for _, max := range []string{"2", "1", "0"} {
			k.ExpectHead("POST / HTTP/1.1")
			k.Send("HTTP/1.1 200 OK\r\nKeep-Alive: max=" + max + "\r\nContent-Length: 5\r\n\r\nhello")
			s.requireHello(got)
			got = s.send(request("POST", ""))
		}
		k.ExpectEOF()
		require.Equal(t, []string{"peer_hint"}, s.ends())
		s.accept().Send(hello)
		s.requireHello(got)
	})
}

// What it says of its patience holds for each answer anew, less a second.
func TestAConnectionIsUsedForAsLongAsTheServerSays(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello"
	inBubble(t, nil, func(t *testing.T, s *stage) {
		got := s.send(request("POST", ""))
		k := s.accept()
		for range 3 {
			k.ExpectHead("POST / HTTP/1.1")
			k.Send(answer)
			s.requireHello(got)
			time.Sleep(4*time.Second - 1)
			got = s.send(request("POST", ""))
		}
		k.ExpectHead("POST / HTTP/1.1")
		k.Send(answer)
		s.requireHello(got)
		time.Sleep(4 * time.Second)
		k.ExpectEOF()
		require.Equal(t, []string{"peer_hint"}, s.ends())
	})
}
