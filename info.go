package h1

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/h1go/h1/internal/fault"
)

// Role tells which side of a connection this process is on.
type Role uint8

// The roles.
const (
	ServerRole Role = iota // we answer
	ClientRole             // we ask
)

// String gives "server" or "client".
func (r Role) String() string {
	if r == ClientRole {
		return "client"
	}
	return "server"
}

// ConnEvent is a step in a connection's life, as told to OnConn hooks.
type ConnEvent uint8

// The events, in the order they come: one EventOpened; EventRequest as often as
// exchanges begin, and EventIdle each time that one has ended and no other has
// come yet; one of EventClosed and EventHijacked.
const (
	EventOpened   ConnEvent = iota // the connection is ready
	EventRequest                   // an exchange begins
	EventIdle                      // all exchanges are over and the connection is kept
	EventClosed                    // it is closed; ConnInfo.Reason says why
	EventHijacked                  // it was handed to the application
)

// String gives the event's name in lower case.
func (e ConnEvent) String() string {
	switch e {
	case EventOpened:
		return "opened"
	case EventRequest:
		return "request"
	case EventIdle:
		return "idle"
	case EventClosed:
		return "closed"
	case EventHijacked:
		return "hijacked"
	}
	return fmt.Sprintf("event_%d", uint8(e))
}

// ConnInfo is a connection at one moment. It is a copy and stays as it is. As
// JSON and in slog records its parts have stable names: those of the fields in
// lower case, words joined by underscores, and "error" for Err.
type ConnInfo struct {
	ID       uint64 // unique in this process
	Role     Role
	State    http.ConnState // StateActive from a request's first octet, or the TLS handshake, to the answer's last
	Local    net.Addr
	Remote   net.Addr
	TLS      bool
	Opened   time.Time
	Age      time.Duration // since Opened
	Idle     time.Duration // since it became idle; 0 while StateActive
	Requests int64         // exchanges begun on it
	BytesIn  int64         // octets read from the peer, TLS taken off
	BytesOut int64         // octets written to the peer, before TLS
	Closing  bool          // the present exchange is the last, or it is closed
	Reason   CloseReason   // why, once Closing
	Err      error         // the error that ended it; nil for an end in good order
	Waiting  string        // how it waits for the peer: "poll", or "goroutine" when it blocks one
}

// MarshalJSON implements json.Marshaler: addresses and the error are text,
// times are seconds.
func (i ConnInfo) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID       uint64      `json:"id"`
		Role     string      `json:"role"`
		State    string      `json:"state"`
		Local    string      `json:"local"`
		Remote   string      `json:"remote"`
		TLS      bool        `json:"tls"`
		Opened   time.Time   `json:"opened"`
		Age      float64     `json:"age"`
		Idle     float64     `json:"idle"`
		Requests int64       `json:"requests"`
		BytesIn  int64       `json:"bytes_in"`
		BytesOut int64       `json:"bytes_out"`
		Closing  bool        `json:"closing"`
		Reason   CloseReason `json:"reason"`
		Err      string      `json:"error,omitempty"`
		Waiting  string      `json:"waiting"`
	}{
		i.ID, i.Role.String(), i.State.String(), addrText(i.Local), addrText(i.Remote), i.TLS, i.Opened, i.Age.Seconds(), i.Idle.Seconds(),
		i.Requests, i.BytesIn, i.BytesOut, i.Closing, i.Reason, errText(i.Err), i.Waiting,
	})
}

// LogValue implements slog.LogValuer with what tells of a connection's end.
func (i ConnInfo) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.Uint64("id", i.ID),
		slog.String("remote", addrText(i.Remote)),
		slog.Bool("tls", i.TLS),
		slog.String("state", i.State.String()),
		slog.String("reason", i.Reason.String()),
		slog.Int64("requests", i.Requests),
		slog.Int64("bytes_in", i.BytesIn),
		slog.Int64("bytes_out", i.BytesOut),
		slog.Duration("age", i.Age),
		slog.Duration("idle", i.Idle),
	}
	if i.Err != nil {
		attrs = append(attrs, slog.String("error", i.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// addrText is the address as text; a net.Conn of somebody's own may have none.
func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// peerName is the peer's address for a line of a log: the client of a Unix socket
// names its end as it likes.
func (c *Conn) peerName() string {
	name := addrText(c.nc.RemoteAddr())
	if quoted := fault.Quote([]byte(name), len(name)); len(quoted) > len(name)+len(`""`) {
		return quoted
	}
	return name
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
