package h1_test

// The Transport's part of DIFFERENCES.md, written from the tables that hold the
// differences (differential_*_test.go, drop_in_client_test.go).

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/h1go/h1"
)

// transportDiffers are the differences that are in no table.
var transportDiffers = []string{
	"A timeout or a number of zero is a sound default and not \"none\", and a negative one is none; it stands beside each field. 64 idle connections are kept for a host, and not 2.",
	"Every error is a `*RequestError`, which says what became of the request, around an `*Error` with a stable code.",
	"A PUT or DELETE that was lost is sent again as well, and so is any request of which it is proven that it was not delivered; none is sent again more than once.",
	"`TLSHandshakeTimeout` holds for connections of `DialTLSContext` too when it leaves the handshake undone, and a proxy has a minute to open the way by SOCKS, as by CONNECT.",
	"Any 2xx opens a tunnel (RFC 9110 section 9.3.6), and what a proxy sends after it unasked closes it again.",
	"The body of a CONNECT request goes into the tunnel when that is open; net/http sends it ahead of the proxy's word, and a proxy that refuses reads it as the next request.",
	"A request's own `Proxy-Authorization` takes the place of the one that the proxy's URL asks for; net/http sends both.",
	"A connection that was made for another request, and never used, is idle and not reused to `GotConnInfo`.",
	"`NewClientConn` gives an `*h1.Conn`, and goes through a tunnel also for http.",
}

func TestTransportsDifferencesAreWrittenDown(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What differs from net/http's Transport\n\nThe same requests go through both Transports to the same scripted servers, and what is sent, what comes of it and\n" +
		"whether the connection is used again are compared. The tests fail when something differs and is not listed there\n" +
		"with its reason. This part is written by these tests.\n\n## Settings\n\n")
	for _, line := range transportDiffers {
		b.WriteString("- " + line + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(notInTransport)) {
		b.WriteString("- There is no `Transport." + name + "`: it " + notInTransport[name] + ".\n")
	}
	b.WriteString("\n## Exchanges, by the name of their case in differential_*_test.go\n\n")
	names := map[string][]string{}
	for _, d := range slices.Concat(answers, requests) {
		if d.why != "" {
			names[d.why] = append(names[d.why], d.name)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(names)) {
		b.WriteString("- " + why + ": \"" + strings.Join(names[why], "\", \"") + "\".\n")
	}
	h1.RequireWritten(t, b.String())
}
