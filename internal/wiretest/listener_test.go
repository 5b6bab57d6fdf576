package wiretest

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestAcceptedConnIsTheOtherEnd(t *testing.T) {
	l := Listen()
	defer l.Close()
	client, err := l.Dial(t.Context())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)

	io.WriteString(client, "ping")
	require.NoError(t, client.Close())
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "ping", string(got))
	require.Equal(t, client.LocalAddr(), server.RemoteAddr())
	host, port, err := net.SplitHostPort(server.RemoteAddr().String())
	require.NoError(t, err)
	require.NotEmpty(t, host)
	require.NotEmpty(t, port)
}

func TestAcceptKeepsTheOrderOfDials(t *testing.T) {
	l := Listen()
	defer l.Close()
	for range 3 {
		client, err := l.DialContext(t.Context(), "tcp", "example.com:80")
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, client.LocalAddr(), server.RemoteAddr())
	}
}

func TestListenerCloseWakesAcceptAndResetsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		failed := make(chan error)
		go func() {
			_, err := l.Accept()
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-failed, net.ErrClosed)
		require.ErrorIs(t, l.Close(), net.ErrClosed)
		_, err := l.Dial(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})

	l := Listen()
	client, err := l.Dial(t.Context())
	require.NoError(t, err)
	l.Close()
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestDialObeysItsContext(t *testing.T) {
	l := Listen()
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := l.Dial(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, c)
}
