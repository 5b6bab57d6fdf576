// Package field numbers the field names and methods that h1 meets often, so
// that the rest compares numbers and shares strings. It knows no HTTP rule.
package field

import (
	"net/textproto"

	"github.com/h1go/h1/internal/octet"
)

// ID is the number of a known field name. The order has no meaning but for
// Controls.
type ID uint8

// The known names. Unknown is any other name.
const (
	Unknown ID = iota

	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAlive
	Expect
	Upgrade
	TE
	Trailer // the last that Controls

	Accept
	AcceptCharset
	AcceptEncoding
	AcceptLanguage
	AcceptRanges
	AccessControlAllowOrigin
	Age
	Allow
	AltSvc
	Authorization
	CacheControl
	ContentDisposition
	ContentEncoding
	ContentLanguage
	ContentLocation
	ContentRange
	ContentSecurityPolicy
	ContentType
	Cookie
	DNT
	Date
	ETag
	Expires
	Forwarded
	From
	IfMatch
	IfModifiedSince
	IfNoneMatch
	IfRange
	IfUnmodifiedSince
	LastModified
	Link
	Location
	MaxForwards
	Origin
	Pragma
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	Referer
	RetryAfter
	SecCHUA
	SecCHUAMobile
	SecCHUAPlatform
	SecFetchDest
	SecFetchMode
	SecFetchSite
	SecFetchUser
	SecWebSocketAccept
	SecWebSocketExtensions
	SecWebSocketKey
	SecWebSocketProtocol
	SecWebSocketVersion
	Server
	SetCookie
	StrictTransportSecurity
	TraceParent
	UpgradeInsecureRequests
	UserAgent
	Vary
	Via
	WWWAuthenticate
	XContentTypeOptions
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XFrameOptions
	XRealIP
	XRequestID
	XRequestedWith

	ids // how many there are
)

// names holds each name as net/http writes it, since it becomes a key of an
// http.Header.
var names = [ids]string{
	Host:                     "Host",
	ContentLength:            "Content-Length",
	TransferEncoding:         "Transfer-Encoding",
	Connection:               "Connection",
	KeepAlive:                "Keep-Alive",
	Expect:                   "Expect",
	Upgrade:                  "Upgrade",
	TE:                       "Te",
	Trailer:                  "Trailer",
	Accept:                   "Accept",
	AcceptCharset:            "Accept-Charset",
	AcceptEncoding:           "Accept-Encoding",
	AcceptLanguage:           "Accept-Language",
	AcceptRanges:             "Accept-Ranges",
	AccessControlAllowOrigin: "Access-Control-Allow-Origin",
	Age:                      "Age",
	Allow:                    "Allow",
	AltSvc:                   "Alt-Svc",
	Authorization:            "Authorization",
	CacheControl:             "Cache-Control",
	ContentDisposition:       "Content-Disposition",
	ContentEncoding:          "Content-Encoding",
	ContentLanguage:          "Content-Language",
	ContentLocation:          "Content-Location",
	ContentRange:             "Content-Range",
	ContentSecurityPolicy:    "Content-Security-Policy",
	ContentType:              "Content-Type",
	Cookie:                   "Cookie",
	DNT:                      "Dnt",
	Date:                     "Date",
	ETag:                     "Etag",
	Expires:                  "Expires",
	Forwarded:                "Forwarded",
	From:                     "From",
	IfMatch:                  "If-Match",
	IfModifiedSince:          "If-Modified-Since",
	IfNoneMatch:              "If-None-Match",
	IfRange:                  "If-Range",
	IfUnmodifiedSince:        "If-Unmodified-Since",
	LastModified:             "Last-Modified",
	Link:                     "Link",
	Location:                 "Location",
	MaxForwards:              "Max-Forwards",
	Origin:                   "Origin",
	Pragma:                   "Pragma",
	ProxyAuthenticate:        "Proxy-Authenticate",
	ProxyAuthorization:       "Proxy-Authorization",
	ProxyConnection:          "Proxy-Connection",
	Range:                    "Range",
	Referer:                  "Referer",
	RetryAfter:               "Retry-After",
	SecCHUA:                  "Sec-Ch-Ua",
	SecCHUAMobile:            "Sec-Ch-Ua-Mobile",
	SecCHUAPlatform:          "Sec-Ch-Ua-Platform",
	SecFetchDest:             "Sec-Fetch-Dest",
	SecFetchMode:             "Sec-Fetch-Mode",
	SecFetchSite:             "Sec-Fetch-Site",
	SecFetchUser:             "Sec-Fetch-User",
	SecWebSocketAccept:       "Sec-Websocket-Accept",
	SecWebSocketExtensions:   "Sec-Websocket-Extensions",
	SecWebSocketKey:          "Sec-Websocket-Key",
	SecWebSocketProtocol:     "Sec-Websocket-Protocol",
	SecWebSocketVersion:      "Sec-Websocket-Version",
	Server:                   "Server",
	SetCookie:                "Set-Cookie",
	StrictTransportSecurity:  "Strict-Transport-Security",
	TraceParent:              "Traceparent",
	UpgradeInsecureRequests:  "Upgrade-Insecure-Requests",
	UserAgent:                "User-Agent",
	Vary:                     "Vary",
	Via:                      "Via",
	WWWAuthenticate:          "Www-Authenticate",
	XContentTypeOptions:      "X-Content-Type-Options",
	XForwardedFor:            "X-Forwarded-For",
	XForwardedHost:           "X-Forwarded-Host",
	XForwardedProto:          "X-Forwarded-Proto",
	XFrameOptions:            "X-Frame-Options",
	XRealIP:                  "X-Real-Ip",
	XRequestID:               "X-Request-Id",
	XRequestedWith:           "X-Requested-With",
}

// Controls tells whether the field speaks about the message's framing and
// routing, or about the connection: Host and the names listed with it.
func (id ID) Controls() bool { return Host <= id && id <= Trailer }

// String gives the canonical name, "" for Unknown.
func (id ID) String() string { return names[id] }

// Canonical gives the name as http.CanonicalHeaderKey writes it; the string
// is shared when the name is known.
func Canonical(name []byte) string {
	if id := Lookup(name); id != Unknown {
		return names[id]
	}
	return textproto.CanonicalMIMEHeaderKey(string(name))
}

// Lookup gives the number of a name in any case.
func Lookup(name []byte) ID {
	if len(name) == 0 {
		return Unknown
	}
	k := &slots[slot(name)]
	if string(name) == k.name || octet.EqualFold(name, k.lower) {
		return k.id
	}
	return Unknown
}

// known is a known name, as net/http writes it and in small letters.
type known struct {
	name, lower string
	id          ID
}

// slots holds the known names by their hash.
var slots = hashNames()

// slot hashes a name that is not empty, blind to case. The factor was found
// by trial: under it no two known names share a slot, which a test checks.
func slot(name []byte) uint8 {
	n := len(name)
	key := uint32(name[0])<<24 | uint32(name[n*3/4])<<16 | uint32(name[n-1])<<8 | 0x20202000
	return uint8((key + uint32(n)) * factor >> 24)
}

const factor = 0xd37b977d

func hashNames() (slots [256]known) {
	for id := Host; id < ids; id++ {
		small := []byte(names[id])
		for i, c := range small {
			small[i] = octet.Lower(c)
		}
		slots[slot(small)] = known{names[id], string(small), id}
	}
	return slots
}

// Set is a set of known names.
type Set [(ids + 63) / 64]uint64

// Add puts a name in the set and tells whether it was there before.
func (s *Set) Add(id ID) (had bool) {
	word, bit := &s[id/64], uint64(1)<<(id%64)
	had = *word&bit != 0
	*word |= bit
	return had
}
