package buf

// Output is octets on their way out. The zero Output is empty and holds no
// memory. Whoever appends works on B directly and stores it back, as with the
// append built-in.
type Output struct {
	Least int // the size of the first buffer, when that is more than Small
	B     []byte
}

// Ready makes sure that B has memory to append to.
func (o *Output) Ready() []byte {
	if o.B == nil {
		o.B = get(max(Small, o.Least))[:0]
	}
	return o.B
}

// Release forgets what B holds and gives its memory back. Memory that append
// has outgrown is not of a pool's size and is left to the collector.
func (o *Output) Release() {
	b := o.B[:cap(o.B)]
	o.B = nil
	for _, size := range sizes {
		if cap(b) == size {
			put(b)
			return
		}
	}
}
