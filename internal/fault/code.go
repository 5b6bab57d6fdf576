package fault

import (
	"fmt"
	"io"
)

// Code names one way an exchange can go wrong. It is an error itself, so that
// errors.Is(err, code) works on every error of h1.
type Code uint8

// The codes. Their names (Code.String) are stable, their order is not.
const (
	None Code = iota

	// Start line (RFC 9112 sections 3 and 4).
	BadMethod
	BadTarget
	BadVersion
	VersionUnsupported
	HTTP09
	RequestLineTooLong
	BadStatusLine
	BadStatusCode
	TLSOnPlain

	// Field lines (RFC 9112 section 5, RFC 9110 section 5).
	BareLF
	BareCR
	ObsFold
	SpaceBeforeColon
	BadFieldName
	BadFieldValue
	BadFieldLine
	HeadTooLarge
	TooManyFields

	// Host, Expect, Connection (RFC 9112 section 3.2, RFC 9110 section 10.1.1).
	NoHost
	SeveralHosts
	BadHost
	ExpectationUnknown

	// Framing (RFC 9112 section 6).
	BadContentLength
	DifferingContentLength
	LengthAndCoding
	CodingInHTTP10
	BadTransferEncoding
	CodingUnknown
	CodingNotFinal
	CodingWithoutBody
	BodyTooLarge

	// Chunked coding (RFC 9112 section 7.1).
	BadChunkSize
	ChunkTooLarge
	BadChunkExtension
	BadChunkEnd
	ChunkOverhead
	BadTrailer
	TrailerTooLarge
	BadCoding

	// The course of an exchange (RFC 9112 sections 8 and 9).
	UnexpectedEOF
	UnexpectedData
	UnexpectedMessage
	TooManyInformational
	HeadTimeout
	IdleTimeout
	BodyTimeout
	ResponseTimeout
	WriteTimeout
	ReadFailed
	WriteFailed
	Unacknowledged
	Cancelled
	Closed
	DialFailed
	TLSFailed
	TunnelFailed

	// Misuse by this process.
	BadRequest
	BadResponse
	BodyLength
	WrongState

	codes // how many there are
)

// row is what is known of a code.
type row struct {
	name   string // stable, for logs and metrics
	text   string // follows the side: "client ..."
	status int    // what a server answers; 0: nothing can be answered
}

var table = [codes]row{
	None: {"none", "did nothing wrong", 0},

	BadMethod:          {"bad_method", "sent an invalid method", 400},
	BadTarget:          {"bad_target", "sent an invalid request target", 400},
	BadVersion:         {"bad_version", "sent an invalid protocol version", 400},
	VersionUnsupported: {"version_unsupported", "sent a protocol version other than HTTP/1.0 or HTTP/1.1", 505},
	HTTP09:             {"http09", "sent an HTTP/0.9 request", 400},
	RequestLineTooLong: {"request_line_too_long", "sent a request line over the limit", 414},
	BadStatusLine:      {"bad_status_line", "sent an invalid status line", 502},
	BadStatusCode:      {"bad_status_code", "sent an invalid status code", 502},
	TLSOnPlain:         {"tls_on_plain", "sent a TLS handshake to a plain-text port", 400},

	BareLF:           {"bare_lf", "sent a line feed without carriage return", 400},
	BareCR:           {"bare_cr", "sent a carriage return without line feed", 400},
	ObsFold:          {"obs_fold", "sent a folded field line", 400},
	SpaceBeforeColon: {"space_before_colon", "sent white space before a field's colon", 400},
	BadFieldName:     {"bad_field_name", "sent an invalid field name", 400},
	BadFieldValue:    {"bad_field_value", "sent an invalid field value", 400},
	BadFieldLine:     {"bad_field_line", "sent a field line without a colon", 400},
	HeadTooLarge:     {"head_too_large", "sent a head over the limit", 431},
	TooManyFields:    {"too_many_fields", "sent more fields than the limit", 431},

	NoHost:             {"no_host", "sent no Host field", 400},
	SeveralHosts:       {"several_hosts", "sent more than one Host field", 400},
	BadHost:            {"bad_host", "sent an invalid Host field", 400},
	ExpectationUnknown: {"expectation_unknown", "sent an expectation that cannot be met", 417},

	BadContentLength:       {"bad_content_length", "sent an invalid Content-Length", 400},
	DifferingContentLength: {"differing_content_length", "sent differing Content-Length values", 400},
	LengthAndCoding:        {"length_and_coding", "sent both Content-Length and Transfer-Encoding", 400},
	CodingInHTTP10:         {"coding_in_http10", "sent Transfer-Encoding in an HTTP/1.0 message", 400},
	BadTransferEncoding:    {"bad_transfer_encoding", "sent an invalid Transfer-Encoding", 400},
	CodingUnknown:          {"coding_unknown", "sent a transfer coding that is not supported", 501},
	CodingNotFinal:         {"coding_not_final", "sent a Transfer-Encoding whose last coding is not chunked", 400},
	CodingWithoutBody:      {"coding_without_body", "sent Transfer-Encoding in a message that has no body", 400},
	BodyTooLarge:           {"body_too_large", "sent a body over the limit", 413},

	BadChunkSize:      {"bad_chunk_size", "sent an invalid chunk size", 400},
	ChunkTooLarge:     {"chunk_too_large", "sent a chunk size over 63 bits", 413},
	BadChunkExtension: {"bad_chunk_extension", "sent an invalid chunk extension", 400},
	BadChunkEnd:       {"bad_chunk_end", "sent a chunk that does not end in CRLF", 400},
	ChunkOverhead:     {"chunk_overhead", "sent more chunk framing than the limit", 400},
	BadTrailer:        {"bad_trailer", "sent a forbidden trailer field", 400},
	TrailerTooLarge:   {"trailer_too_large", "sent a trailer section over the limit", 431},
	BadCoding:         {"bad_coding", "sent a body that its transfer coding cannot decode", 400},

	UnexpectedEOF:        {"unexpected_eof", "closed the connection", 0},
	UnexpectedData:       {"unexpected_data", "sent octets that nobody asked for", 0},
	UnexpectedMessage:    {"unexpected_message", "sent a message out of turn", 0},
	TooManyInformational: {"too_many_informational", "sent too many informational responses", 0},
	HeadTimeout:          {"head_timeout", "took too long to send a head", 408},
	IdleTimeout:          {"idle_timeout", "stayed silent past the idle timeout", 0},
	BodyTimeout:          {"body_timeout", "took too long to send a body", 408},
	ResponseTimeout:      {"response_timeout", "took too long to begin its answer", 0},
	WriteTimeout:         {"write_timeout", "took too long to read", 0},
	ReadFailed:           {"read_failed", "could not be read from", 0},
	WriteFailed:          {"write_failed", "could not be written to", 0},
	Unacknowledged:       {"unacknowledged", "acknowledged nothing of what was sent", 0},
	Cancelled:            {"cancelled", "cancelled the exchange", 0},
	Closed:               {"closed", "had the connection closed", 0},
	DialFailed:           {"dial_failed", "could not be reached", 0},
	TLSFailed:            {"tls_failed", "could not agree on TLS", 0},
	TunnelFailed:         {"tunnel_failed", "opened no way to the server", 0},

	BadRequest:  {"bad_request", "gave a request that cannot be sent", 0},
	BadResponse: {"bad_response", "gave a response that cannot be sent", 0},
	BodyLength:  {"body_length", "gave a body that differs from its declared length", 0},
	WrongState:  {"wrong_state", "called out of turn", 0},
}

// String gives the code's stable name.
func (c Code) String() string {
	if c < codes {
		return table[c].name
	}
	return fmt.Sprintf("code_%d", uint8(c))
}

// Error makes a Code usable as a target of errors.Is.
func (c Code) Error() string { return "h1: " + c.text() }

// Status is what a server answers, 0 where no answer can be sent.
func (c Code) Status() int {
	if c < codes {
		return table[c].status
	}
	return 0
}

func (c Code) text() string {
	if c < codes {
		return table[c].text
	}
	return c.String()
}

func (c Code) timeout() bool {
	switch c {
	case HeadTimeout, IdleTimeout, BodyTimeout, ResponseTimeout, WriteTimeout:
		return true
	}
	return false
}

// Cause is the standard error that a code stands for, so that callers who
// test for io.ErrUnexpectedEOF find it; nil for most codes.
func (c Code) Cause() error {
	if c == UnexpectedEOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}
