// Package wiretest helps tests of wire text. The same octets are fed whole,
// one by one and cut at every offset (EachCut); conversations run over an
// in-memory connection that behaves as TCP does where HTTP can tell (Pair,
// Listen), or break where the test says (Faults); scripts of raw text are
// played against either end (Play); real programs are started and ended
// (Program, Start); goroutines left behind are found (NoLeaks, Main).
//
// Only tests import it.
package wiretest
