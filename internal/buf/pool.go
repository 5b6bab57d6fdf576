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
var sizes = [...]int{Small, medium, large}

const medium, large = 16 << 10, 64 << 10

// pools hold arrays, one pool for each size: a pointer to an array is an interface's
// value as it is, where a slice would be copied to the heap for each loan.
var pools [len(sizes)]sync.Pool

// get gives a buffer of at least n octets.
func get(n int) []byte {
	for i, size := range sizes {
		if n > size {
			continue
		}
		switch p := pools[i].Get().(type) {
		case *[Small]byte:
			return p[:]
		case *[medium]byte:
			return p[:]
		case *[large]byte:
			return p[:]
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

// put takes a buffer back. It panics on one that was resliced: the next owner
// would get less than the pool promises.
func put(b []byte) {
	if len(b) != cap(b) && cap(b) <= large {
		panic("buf: a resliced buffer was put back")
	}
	switch cap(b) {
	case Small:
		pools[0].Put((*[Small]byte)(b))
	case medium:
		pools[1].Put((*[medium]byte)(b))
	case large:
		pools[2].Put((*[large]byte)(b))
	default:
		if cap(b) < large {
			panic("buf: a buffer of no pool's size was put back")
		}
	}
}
