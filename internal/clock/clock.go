// Package clock is the one place where h1 asks for the time, and the Date
// line that is made of it once a second.
package clock

import (
	"sync/atomic"
	"time"
)

// Now is the current time. Inside a synctest bubble it is the bubble's time.
func Now() time.Time { return time.Now() }

// base is when the process began to count.
var base = time.Now()

// Mono is a time as one number that other goroutines may read in one piece. It
// is never zero, and it keeps to the monotonic clock: a step of the wall clock
// moves no deadline.
func Mono(t time.Time) int64 {
	if n := int64(t.Sub(base)); n != 0 {
		return n
	}
	return 1
}

// At is the time of which Mono gave n.
func At(n int64) time.Time { return base.Add(time.Duration(n)) }

// dateFormat is the IMF-fixdate of RFC 9110 section 5.6.7.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// date is one second's Date line. It is never changed once published.
type date struct {
	second int64
	line   string
}

var cached atomic.Pointer[date]

// DateLine is the field line "Date: ...\r\n" for the given time. It is built
// once a second and shared; whoever finds an old one replaces it, so there is
// no goroutine to start or stop.
func DateLine(now time.Time) string {
	second := now.Unix()
	if d := cached.Load(); d != nil && d.second == second {
		return d.line
	}
	d := &date{second: second, line: "Date: " + now.UTC().Format(dateFormat) + "\r\n"}
	cached.Store(d)
	return d.line
}
