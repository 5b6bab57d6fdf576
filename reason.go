package h1

import "fmt"

// CloseReason says why a connection ended, or is about to. The first reason
// that came up stays.
type CloseReason uint8

// The reasons.
const (
	CloseNone CloseReason = iota // it persists

	ClosePeerAsked    // the peer said `Connection: close`
	CloseLocalAsked   // the handler, the caller or CloseAfter wished it
	CloseHTTP10       // HTTP/1.0 without keep-alive
	CloseMaxRequests  // KeepAlive.MaxRequests was reached
	CloseMaxAge       // KeepAlive.MaxAge was reached
	CloseIdle         // the idle timeout passed
	CloseReclaimed    // room was needed for others: Server.MaxConns was reached, or descriptors ran out
	CloseLearned      // its server is known to close connections idle for as long, and there was no room for another
	CloseRefused      // its source had as many connections as Server.MaxConnsPerSource lets it have
	ClosePeerHint     // the server's Keep-Alive field leaves no headroom
	CloseShutdown     // the server shuts down
	CloseServerClosed // Server.Close was called
	CloseDisabled     // keep-alive is switched off, for all (SetKeepAlivesEnabled) or for the request (KeepAlive.Disable)
	CloseUntilClose   // a body's end is the connection's end
	CloseUndrained    // a body was left unread, and reading it costs too much
	CloseIncomplete   // this end could not complete its message
	CloseBadPeer      // the peer sent what cannot be accepted
	CloseHeadTimeout  // a head did not come in time
	CloseBodyTimeout  // a body did not come in time
	ClosePeerEOF      // the peer closed
	CloseUnasked      // octets came on an idle client connection
	ClosePoolFull     // the pool keeps enough idle connections
	CloseReadFailed   // reading failed
	CloseWriteFailed  // writing failed
	CloseWriteTimeout // a message was not taken in time
	CloseBlackHole    // nothing that was sent was acknowledged
	CloseCancelled    // the caller's context ended
	CloseTLSFailed    // the TLS handshake failed
	CloseHandlerPanic // the handler panicked
	CloseHijacked     // the application took the connection over

	CloseOtherProtocol // TLS agreed on another protocol, see Server.TLSNextProto
	closeReasons
)

var reasonTexts = [closeReasons]struct{ name, text string }{
	CloseNone:         {"none", "it persists"},
	ClosePeerAsked:    {"peer_asked", "the peer said Connection: close"},
	CloseLocalAsked:   {"local_asked", "this end wished it"},
	CloseHTTP10:       {"http10", "HTTP/1.0 without keep-alive"},
	CloseMaxRequests:  {"max_requests", "the limit of requests was reached"},
	CloseMaxAge:       {"max_age", "the limit of its age was reached"},
	CloseIdle:         {"idle", "the idle timeout passed"},
	CloseReclaimed:    {"reclaimed", "room was needed for other connections"},
	CloseLearned:      {"learned", "the server closes connections that were idle for as long"},
	CloseRefused:      {"refused", "its source had as many connections as it may have"},
	ClosePeerHint:     {"peer_hint", "the server's Keep-Alive hint left no headroom"},
	CloseShutdown:     {"shutdown", "the server shuts down"},
	CloseServerClosed: {"server_closed", "the server was closed"},
	CloseDisabled:     {"disabled", "keep-alive is switched off"},
	CloseUntilClose:   {"until_close", "the body ended with the connection"},
	CloseUndrained:    {"undrained", "a body was left unread"},
	CloseIncomplete:   {"incomplete", "this end could not complete its message"},
	CloseBadPeer:      {"bad_peer", "the peer sent what cannot be accepted"},
	CloseHeadTimeout:  {"head_timeout", "a head did not come in time"},
	CloseBodyTimeout:  {"body_timeout", "a body did not come in time"},
	ClosePeerEOF:      {"peer_eof", "the peer closed"},
	CloseUnasked:      {"unasked", "the server sent octets that nobody asked for"},
	ClosePoolFull:     {"pool_full", "enough idle connections are kept"},
	CloseReadFailed:   {"read_failed", "reading failed"},
	CloseWriteFailed:  {"write_failed", "writing failed"},
	CloseWriteTimeout: {"write_timeout", "a message was not taken in time"},
	CloseBlackHole:    {"black_hole", "nothing that was sent was acknowledged"},
	CloseCancelled:    {"cancelled", "the caller's context ended"},
	CloseTLSFailed:    {"tls_failed", "the TLS handshake failed"},
	CloseHandlerPanic: {"handler_panic", "the handler panicked"},
	CloseHijacked:     {"hijacked", "the application took it over"},

	CloseOtherProtocol: {"other_protocol", "the handshake agreed on another protocol"},
}

// String gives the reason's stable name, for logs and metrics.
func (r CloseReason) String() string {
	if r < closeReasons {
		return reasonTexts[r].name
	}
	return fmt.Sprintf("reason_%d", uint8(r))
}

// Explain gives the reason in words, as the end of "closed because ...". The
// words may change.
func (r CloseReason) Explain() string {
	if r < closeReasons {
		return reasonTexts[r].text
	}
	return r.String()
}

// MarshalText implements encoding.TextMarshaler with the stable name, so that
// reasons, and maps that they are the keys of, read well as JSON.
func (r CloseReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: it takes a stable name.
func (r *CloseReason) UnmarshalText(text []byte) error {
	for known := range closeReasons {
		if reasonTexts[known].name == string(text) {
			*r = known
			return nil
		}
	}
	return fmt.Errorf("h1: unknown close reason %q", text)
}

// CloseCounts says how many connections ended, by their reason. A reason that
// no connection had is not in it.
type CloseCounts map[CloseReason]int64

// Total is how many connections ended.
func (n CloseCounts) Total() int64 {
	var total int64
	for _, of := range n {
		total += of
	}
	return total
}

// closeTally counts ended connections, under its owner's lock.
type closeTally [closeReasons]int64

func (t *closeTally) counts() CloseCounts {
	n := CloseCounts{}
	for r := range closeReasons {
		if t[r] > 0 {
			n[r] = t[r]
		}
	}
	return n
}

// announced tells whether the server had said, before it closed, after which
// answer it would.
func (r CloseReason) announced() bool {
	switch r {
	case ClosePeerAsked, CloseHTTP10, CloseUntilClose, ClosePeerHint:
		return true
	}
	return false
}
