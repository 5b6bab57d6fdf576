package h1

// This file tells whom a connection belongs to: what others than its owner may
// still do to its net.Conn, and that nobody does when the application has it.

import (
	"runtime"
	"sync/atomic"
)

// tenure is whether a connection is over, and for whom. Once it was taken over
// nobody but the application may touch its net.Conn: a deadline that is set a
// moment too late, by who woke an idle connection, would fail the application's
// reads. So who sets one says so first.
type tenure struct{ word atomic.Uint32 }

// The bits of tenure.word. From tenureTouch on it counts those who set a deadline
// just now.
const (
	tenureOver  uint32 = 1 << iota // closed, or taken over
	tenureTaken                    // the application's
	tenureTouch
)

// Load tells whether the connection is over.
func (t *tenure) Load() bool { return t.word.Load()&tenureOver != 0 }

// taken tells whether it is the application's.
func (t *tenure) taken() bool { return t.word.Load()&tenureTaken != 0 }

// close ends the connection; false when it is over already.
func (t *tenure) close() bool { return t.end(tenureOver) }

// take ends the connection for all but the caller; false when it is over
// already. When it returns nobody sets a deadline any more.
func (t *tenure) take() bool {
	if !t.end(tenureOver | tenureTaken) {
		return false
	}
	for t.word.Load() >= tenureTouch {
		runtime.Gosched() // for as long as one SetReadDeadline takes
	}
	return true
}

func (t *tenure) end(bits uint32) bool {
	for {
		word := t.word.Load()
		if word&tenureOver != 0 {
			return false
		}
		if t.word.CompareAndSwap(word, word|bits) {
			return true
		}
	}
}

// touch does something with the net.Conn for a goroutine that is not the owner,
// unless it is the application's.
func (t *tenure) touch(do func()) {
	if t.word.Add(tenureTouch)&tenureTaken == 0 {
		do()
	}
	t.word.Add(^(tenureTouch - 1))
}
