package h1

// This file gives internal/fault's error type and codes their public names.

import "github.com/h1go/h1/internal/fault"

// Error is the error of every failed exchange: whose fault it was, what h1 was
// doing, a stable code, the offending octets, escaped, and the cause. It is a
// net.Error, and errors.Is and errors.As reach its code and its cause:
//
//	errors.Is(err, h1.CodeUnexpectedEOF)
//	errors.Is(err, io.ErrUnexpectedEOF)
//
// The text is for people and may change.
type Error = fault.Error

// ErrorCode names one way an exchange can go wrong. Its String is stable; it is
// an error itself, as the target of errors.Is.
type ErrorCode = fault.Code

// Side says whose fault an Error is.
type Side = fault.Side

// The sides of Error.By.
const (
	ByCaller = fault.Local  // this process: the caller or its handler
	ByClient = fault.Client // the peer, in the role of client
	ByServer = fault.Server // the peer, in the role of server
	ByProxy  = fault.Proxy  // a proxy on the way to the server
)

// The codes, as the messages explain them.
const (
	// Start line (RFC 9112 sections 3 and 4).
	CodeBadMethod          = fault.BadMethod
	CodeBadTarget          = fault.BadTarget
	CodeBadVersion         = fault.BadVersion
	CodeVersionUnsupported = fault.VersionUnsupported
	CodeHTTP09             = fault.HTTP09
	CodeRequestLineTooLong = fault.RequestLineTooLong
	CodeBadStatusLine      = fault.BadStatusLine
	CodeBadStatusCode      = fault.BadStatusCode
	CodeTLSOnPlain         = fault.TLSOnPlain

	// Field lines (RFC 9112 section 5, RFC 9110 section 5).
	CodeBareLF           = fault.BareLF
	CodeBareCR           = fault.BareCR
	CodeObsFold          = fault.ObsFold
	CodeSpaceBeforeColon = fault.SpaceBeforeColon
	CodeBadFieldName     = fault.BadFieldName
	CodeBadFieldValue    = fault.BadFieldValue
	CodeBadFieldLine     = fault.BadFieldLine
	CodeHeadTooLarge     = fault.HeadTooLarge
	CodeTooManyFields    = fault.TooManyFields

	// Host, Expect, Connection (RFC 9112 section 3.2, RFC 9110 section 10.1.1).
	CodeNoHost             = fault.NoHost
	CodeSeveralHosts       = fault.SeveralHosts
	CodeBadHost            = fault.BadHost
	CodeExpectationUnknown = fault.ExpectationUnknown

	// Framing (RFC 9112 section 6).
	CodeBadContentLength       = fault.BadContentLength
	CodeDifferingContentLength = fault.DifferingContentLength
	CodeLengthAndCoding        = fault.LengthAndCoding
	CodeCodingInHTTP10         = fault.CodingInHTTP10
	CodeBadTransferEncoding    = fault.BadTransferEncoding
	CodeCodingUnknown          = fault.CodingUnknown
	CodeCodingNotFinal         = fault.CodingNotFinal
	CodeCodingWithoutBody      = fault.CodingWithoutBody
	CodeBodyTooLarge           = fault.BodyTooLarge

	// Chunked coding (RFC 9112 section 7.1).
	CodeBadChunkSize      = fault.BadChunkSize
	CodeChunkTooLarge     = fault.ChunkTooLarge
	CodeBadChunkExtension = fault.BadChunkExtension
	CodeBadChunkEnd       = fault.BadChunkEnd
	CodeChunkOverhead     = fault.ChunkOverhead
	CodeBadTrailer        = fault.BadTrailer
	CodeTrailerTooLarge   = fault.TrailerTooLarge
	CodeBadCoding         = fault.BadCoding

	// The course of an exchange (RFC 9112 sections 8 and 9).
	CodeUnexpectedEOF        = fault.UnexpectedEOF
	CodeUnexpectedData       = fault.UnexpectedData
	CodeUnexpectedMessage    = fault.UnexpectedMessage
	CodeTooManyInformational = fault.TooManyInformational
	CodeHeadTimeout          = fault.HeadTimeout
	CodeIdleTimeout          = fault.IdleTimeout
	CodeBodyTimeout          = fault.BodyTimeout
	CodeResponseTimeout      = fault.ResponseTimeout
	CodeWriteTimeout         = fault.WriteTimeout
	CodeReadFailed           = fault.ReadFailed
	CodeWriteFailed          = fault.WriteFailed
	CodeUnacknowledged       = fault.Unacknowledged
	CodeCancelled            = fault.Cancelled
	CodeClosed               = fault.Closed
	CodeDialFailed           = fault.DialFailed
	CodeTLSFailed            = fault.TLSFailed
	CodeTunnelFailed         = fault.TunnelFailed

	// Misuse by this process.
	CodeBadRequest  = fault.BadRequest
	CodeBadResponse = fault.BadResponse
	CodeBodyLength  = fault.BodyLength
	CodeWrongState  = fault.WrongState
)
