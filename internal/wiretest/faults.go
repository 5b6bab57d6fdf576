package wiretest

import (
	"errors"
	"net"
	"sync"
)

// Faults says how a connection made by Wrap breaks. The zero value does not
// break; it still counts calls.
type Faults struct {
	// ReadAtMost cuts each Read to that many octets, when it is not zero.
	ReadAtMost int

	// ReadErr, when not nil, is what Read returns once ReadLimit octets were
	// read. No Read goes past the limit.
	ReadErr   error
	ReadLimit int

	// WriteErr, when not nil, is what Write returns once WriteLimit octets were
	// written. The Write that would go past the limit is cut there.
	WriteErr   error
	WriteLimit int

	// CloseErr, when not nil, is what Close returns after it closed.
	CloseErr error
}

// FaultyConn is a connection with Faults.
type FaultyConn struct {
	net.Conn
	faults Faults

	mu            sync.Mutex
	reads, writes int // calls
	in, out       int // octets
}

// Wrap puts the faults on a connection.
func (f Faults) Wrap(c net.Conn) *FaultyConn { return &FaultyConn{Conn: c, faults: f} }

// Read reads within the faults' bounds.
func (c *FaultyConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.reads++
	if m := c.faults.ReadAtMost; m > 0 && len(p) > m {
		p = p[:m]
	}
	if c.faults.ReadErr != nil {
		left := max(c.faults.ReadLimit-c.in, 0)
		if left == 0 {
			c.mu.Unlock()
			return 0, c.faults.ReadErr
		}
		p = p[:min(len(p), left)]
	}
	c.mu.Unlock()

	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.in += n
	c.mu.Unlock()
	return n, err
}

// Write writes within the faults' bounds.
func (c *FaultyConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	whole := len(p)
	if c.faults.WriteErr != nil {
		p = p[:min(len(p), max(c.faults.WriteLimit-c.out, 0))]
	}
	n := 0
	if len(p) > 0 || whole == 0 {
		var err error
		n, err = c.Conn.Write(p)
		c.out += n
		if err != nil {
			return n, err
		}
	}
	if n < whole {
		return n, c.faults.WriteErr
	}
	return n, nil
}

// CloseWrite half-closes the connection below, if that is possible there.
func (c *FaultyConn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection below.
func (c *FaultyConn) Close() error {
	if err := c.Conn.Close(); err != nil {
		return err
	}
	return c.faults.CloseErr
}

// Calls returns how often Read and Write were called, as a test of batching
// wants to know.
func (c *FaultyConn) Calls() (reads, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads, c.writes
}
