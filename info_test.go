package h1

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConnInfoFollowsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &Server{Native: NativeHandlerFunc(func(x *Exchange) {
			time.Sleep(time.Second)
			echo(x)
		})}
		v := serveOne(t, s)
		info := func() ConnInfo {
			synctest.Wait()
			for info := range s.Conns() {
				return info
			}
			return ConnInfo{}
		}
		at := func(state http.ConnState, age, idle time.Duration) {
			t.Helper()
			got := info()
			require.Equal(t, state, got.State)
			require.Equal(t, age, got.Age)
			require.Equal(t, idle, got.Idle)
		}
		time.Sleep(2 * time.Second)
		at(http.StateNew, 2*time.Second, 2*time.Second)
		v.Send("G")
		time.Sleep(time.Second)
		at(http.StateActive, 3*time.Second, 0)
		v.Send(get("/")[1:])
		at(http.StateActive, 3*time.Second, 0)
		expectEcho(v.Talk, "/", "")
		at(http.StateIdle, 4*time.Second, 0)
		time.Sleep(3 * time.Second)
		at(http.StateIdle, 7*time.Second, 3*time.Second)
		got := info()
		require.EqualValues(t, 1, got.Requests)
		require.EqualValues(t, len(get("/")), got.BytesIn)
		require.Positive(t, got.BytesOut)
		require.False(t, got.Closing)
		require.Equal(t, http.StateClosed, v.over().State)
	})
}

func TestConnInfoReadsWell(t *testing.T) {
	info := ConnInfo{
		ID: 7, State: http.StateClosed, Remote: namedAddr("192.0.2.1:5"), Opened: time.Unix(1e9, 0).UTC(), Age: 1500 * time.Millisecond,
		Requests: 3, BytesIn: 10, BytesOut: 20, Closing: true, Reason: CloseReadFailed, Err: errors.New("reset"), Waiting: "poll",
	}
	text, err := json.Marshal(info)
	require.NoError(t, err)
	require.JSONEq(t, `{"id": 7, "role": "server", "state": "closed", "local": "", "remote": "192.0.2.1:5", "tls": false,
		"opened": "2001-09-09T01:46:40Z", "age": 1.5, "idle": 0, "requests": 3, "bytes_in": 10, "bytes_out": 20,
		"closing": true, "reason": "read_failed", "error": "reset", "waiting": "poll"}`, string(text))

	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("ended", "conn", info)
	require.Contains(t, out.String(), `conn.id=7 conn.remote=192.0.2.1:5 conn.tls=false conn.state=closed conn.reason=read_failed `+
		`conn.requests=3 conn.bytes_in=10 conn.bytes_out=20 conn.age=1.5s conn.idle=0s conn.error=reset`)
}

type namedAddr string

func (namedAddr) Network() string  { return "tcp" }
func (a namedAddr) String() string { return string(a) }
