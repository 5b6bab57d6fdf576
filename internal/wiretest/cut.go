// Package wiretest helps tests of wire text: the same octets are fed whole,
// one by one and cut at every offset, and the outcome has to be the same.
package wiretest

import "strconv"

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
