package wiretest

import (
	"io"
	"strconv"
)

// EachCut calls run with the wire text as the list of segments it arrives in:
// whole, octet by octet, and cut in two at every offset.
func EachCut(wire string, run func(name string, segments []string)) {
	run("whole", []string{wire})
	octets := make([]string, 0, len(wire))
	for i := range len(wire) {
		octets = append(octets, wire[i:i+1])
	}
	run("octet by octet", octets)
	for i := 1; i < len(wire); i++ {
		run("cut at "+strconv.Itoa(i), []string{wire[:i], wire[i:]})
	}
}

// WriteSegments writes the segments one by one. Over a Pair the other end
// reads them with the very same cuts.
func WriteSegments(w io.Writer, segments []string) error {
	for _, s := range segments {
		if _, err := io.WriteString(w, s); err != nil {
			return err
		}
	}
	return nil
}
