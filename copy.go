package h1

// This file is how octets are moved from one place to another.

import (
	"io"
	"sync"
)

// copyBuffers are for copying bodies, of the size that io.Copy uses.
var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// prefixed reads rest first.
type prefixed struct {
	rest []byte
	io.Reader
}

// Read implements io.Reader.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) > 0 {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	return p.Reader.Read(b)
}
