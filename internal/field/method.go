package field

// Method is the number of a known method (RFC 9110 section 9, RFC 5789).
type Method uint8

// The known methods. OtherMethod is any other token.
const (
	OtherMethod Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	CONNECT
	OPTIONS
	TRACE
	PATCH
)

var methods = [...]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// String gives the method's name, "" for OtherMethod.
func (m Method) String() string { return methods[m] }

// LookupMethod gives the number of a method; case matters (RFC 9110 section 9.1).
func LookupMethod(b []byte) Method {
	switch string(b) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "CONNECT":
		return CONNECT
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "PATCH":
		return PATCH
	}
	return OtherMethod
}
