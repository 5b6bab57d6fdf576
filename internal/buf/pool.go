// Package buf holds the two buffers of a connection: the read window, whose
// octets may be pinned while someone holds offsets into them, and the output.
// Both borrow their memory from pools of fixed sizes and give it back when a
// connection waits.
package buf

import "sync"

// Small is the size a buffer starts with: a head of ordinary size, a burst of
// pipelined small requests, and one page.
const Small = 4 << 10

// sizes are the sizes that are pooled. A buffer past the last one is left to
// the collector, as it should be rare.
var sizes = [...]int{Small, 16 << 10, 64 << 10}

var pools [len(sizes)]sync.Pool

// get gives a buffer of at least n octets.
func get(n int) []byte {
	for i, size := range sizes {
		if n > size {
			continue
		}
		if p, ok := pools[i].Get().(*[]byte); ok {
			b := *p
			*p = nil
			headers.Put(p)
			return b
		}
		return make([]byte, size)
	}
	size := sizes[len(sizes)-1]
	for size < n {
		size *= 2
	}
	return make([]byte, size)
}

// Poison ends the lending of memory that no Window holds. Without the build tag
// h1poison it does nothing.
func Poison(b []byte) { poison(b) }

// headers keeps the slice headers that travel through pools, so that putting
// a buffer back allocates nothing.
var headers = sync.Pool{New: func() any { return new([]byte) }}

// put takes a buffer back. It panics on one that was resliced: the next owner
// would get less than the pool promises.
func put(b []byte) {
	for i, size := range sizes {
		if cap(b) != size {
			continue
		}
		if len(b) != size {
			panic("buf: a resliced buffer was put back")
		}
		p := headers.Get().(*[]byte)
		*p = b
		pools[i].Put(p)
		return
	}
	if cap(b) < sizes[len(sizes)-1] {
		panic("buf: a buffer of no pool's size was put back")
	}
}
