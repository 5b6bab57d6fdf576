//go:build h1poison

package h1

import (
	"bytes"
	"testing"

	"github.com/h1go/h1/internal/wiretest"

	"github.com/stretchr/testify/require"
)

// Built with the tag h1poison, what an exchange has lent is overwritten at its
// end, so that who keeps it finds out.
func TestKeptOctetsArePoisoned(t *testing.T) {
	near, far := wiretest.Pair()
	c, err := NewServerConn(far, nil)
	require.NoError(t, err)
	k := wiretest.NewTalk(t, near)
	k.Send("POST /target HTTP/1.1\r\nHost: host\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: trailer\r\n\r\n" + get("/2"))
	x, err := c.Next()
	require.NoError(t, err)
	_, err = x.Read(make([]byte, 1))
	require.Error(t, err)
	lent := [][]byte{x.Method(), x.Target(), x.Path(), x.Host(), x.Field("host"), x.Trailer("x-t")}
	for name, value := range x.Fields() {
		lent = append(lent, name, value)
	}
	require.Equal(t, "POST", string(lent[0]))
	require.Equal(t, "trailer", string(lent[5]))
	x, err = c.Next()
	require.NoError(t, err)
	require.Equal(t, "/2", string(x.Target()), "what is lent now is not touched")
	for i, b := range lent {
		require.NotEmpty(t, b, i)
		require.Equal(t, string(bytes.Repeat([]byte{0xDB}, len(b))), string(b), i)
	}
	require.NoError(t, c.Close())
	require.Equal(t, "/2", string(x.Target()), "closing from outside does not end the lending")
	last := x.Target()
	_, err = c.Next()
	require.Error(t, err)
	require.Equal(t, "\xdb\xdb", string(last))
}
