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
	CloseReclaimed    // descriptors ran out, and it was among those idle for longest
	ClosePeerHint     // the server's Keep-Alive field leaves no headroom
	CloseShutdown     // the server shuts down
	CloseServerClosed // Server.Close was called
	CloseDisabled     // keep-alive is switched off
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
	CloseCancelled    // the caller's context ended
	CloseHandlerPanic // the handler panicked
	CloseHijacked     // the application took the connection over
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
	CloseReclaimed:    {"reclaimed", "descriptors ran out and it was idle for longest"},
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
	CloseCancelled:    {"cancelled", "the caller's context ended"},
	CloseHandlerPanic: {"handler_panic", "the handler panicked"},
	CloseHijacked:     {"hijacked", "the application took it over"},
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
