package wiretest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

func TestPairKeepsTheNetConnContract(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pair()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestSmallPairKeepsTheNetConnContract(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := PairSize(100)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestReadNeverJoinsTwoWrites(t *testing.T) {
	a, b := Pair()
	for _, s := range []string{"one", "", "two", "three"} {
		io.WriteString(a, s)
	}
	require.Equal(t, 11, b.Pending())
	p := make([]byte, 100)
	for _, want := range []string{"one", "two", "three"} {
		n, err := b.Read(p)
		require.NoError(t, err)
		require.Equal(t, want, string(p[:n]))
	}
	require.Zero(t, b.Pending())
}

func TestSmallReadLeavesTheRestOfTheSegment(t *testing.T) {
	a, b := Pair()
	io.WriteString(a, "abc")
	p := make([]byte, 2)
	n, err := b.Read(p)
	require.NoError(t, err)
	require.Equal(t, "ab", string(p[:n]))
	n, err = b.Read(p)
	require.NoError(t, err)
	require.Equal(t, "c", string(p[:n]))
}

func TestWriterMayReuseItsBuffer(t *testing.T) {
	a, b := Pair()
	p := []byte("abc")
	a.Write(p)
	copy(p, "xyz")
	require.NoError(t, a.CloseWrite())
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
}

func TestCloseWriteEndsOneDirectionOnly(t *testing.T) {
	a, b := Pair()
	io.WriteString(a, "question")
	require.NoError(t, a.CloseWrite())
	_, err := io.WriteString(a, "more")
	require.ErrorIs(t, err, syscall.EPIPE)

	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "question", string(got))

	io.WriteString(b, "answer")
	require.NoError(t, b.Close())
	got, err = io.ReadAll(a)
	require.NoError(t, err)
	require.Equal(t, "answer", string(got))
}

// RFC 9112 section 9.6: a close with octets unread erases the answer.
func TestCloseWithUnreadOctetsResetsThePeer(t *testing.T) {
	a, b := Pair()
	io.WriteString(a, "unread")
	io.WriteString(b, "answer")
	require.NoError(t, b.Close())
	_, err := a.Read(make([]byte, 10))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.NotErrorIs(t, err, io.EOF)
}

// The same danger when the octets come after the close: the write that finds
// nobody still succeeds, what it brings back is the reset.
func TestWriteToClosedPeerErasesItsAnswer(t *testing.T) {
	a, b := Pair()
	io.WriteString(b, "answer")
	require.NoError(t, b.Close())
	n, err := io.WriteString(a, "late")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	_, err = a.Read(make([]byte, 10))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = io.WriteString(a, "later")
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestResetReachesThePeerAtOnce(t *testing.T) {
	a, b := Pair()
	io.WriteString(b, "lost")
	require.NoError(t, b.Reset())
	_, err := a.Read(make([]byte, 10))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestCallsAfterCloseSayClosed(t *testing.T) {
	a, _ := Pair()
	require.NoError(t, a.Close())
	_, readErr := a.Read(make([]byte, 1))
	_, writeErr := a.Write(make([]byte, 1))
	for name, err := range map[string]error{
		"Read": readErr, "Write": writeErr, "Close": a.Close(), "Reset": a.Reset(),
		"CloseWrite": a.CloseWrite(), "SetDeadline": a.SetDeadline(time.Time{}),
	} {
		var op *net.OpError
		require.ErrorAs(t, err, &op, name)
		require.ErrorIs(t, err, net.ErrClosed, name)
		require.False(t, op.Timeout(), name)
	}
}

func TestDeadlinesRunInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PairSize(4)
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Hour))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, time.Hour, time.Since(start))

		b.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := b.Write([]byte("six!!!"))
		requireTimeout(t, err)
		require.Equal(t, 4, n)
		require.Equal(t, time.Hour+time.Minute, time.Since(start))
	})
}

func TestDeadlineInThePastWakesAReadThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair()
		failed := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		a.SetReadDeadline(time.Unix(1, 0))
		requireTimeout(t, <-failed)

		a.SetReadDeadline(time.Time{})
		io.WriteString(b, "x")
		_, err := a.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

func TestReplacedDeadlineDoesNotFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair()
		a.SetReadDeadline(time.Now().Add(time.Second))
		a.SetReadDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(time.Minute, func() { io.WriteString(b, "x") })
		_, err := a.Read(make([]byte, 1))
		require.NoError(t, err)
		a.Close()
	})
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PairSize(10)
		text := bytes.Repeat([]byte("0123456789"), 10)
		go func() {
			a.Write(text)
			a.CloseWrite()
		}()
		synctest.Wait()
		require.Equal(t, 10, b.Pending())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, text, got)
	})
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	require.True(t, errors.As(err, &ne) && ne.Timeout(), "%v", err)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}
