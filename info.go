package h1

import (
	"fmt"
	"net"
	"time"
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

// The events, in the order they come: one EventOpened; EventRequest and
// EventIdle in turn, as often as exchanges begin and end; one of EventClosed
// and EventHijacked.
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

// ConnInfo is a connection at one moment. It is a copy and stays as it is.
type ConnInfo struct {
	ID       uint64 // unique in this process
	Role     Role
	Local    net.Addr
	Remote   net.Addr
	TLS      bool
	Opened   time.Time
	Requests int64       // exchanges begun on it
	BytesIn  int64       // octets read from the peer, TLS taken off
	BytesOut int64       // octets written to the peer, before TLS
	Closing  bool        // the present exchange is the last, or it is closed
	Reason   CloseReason // why, once Closing
	Err      error       // the error that ended it; nil for an end in good order
	Waiting  string      // how it waits for the peer: "poll", or "goroutine" when it blocks one
}
