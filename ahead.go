package h1

// This file reads what follows the exchange under way while its handler works,
// so that pipelined requests may be worked on side by side.

// readAhead reads more octets into the window, behind the exchange under way.
// The handler may be writing its answer at the same time, for which it looks at
// the request's head: so the window is moved under its lock. The error is
// io.EOF, or an *Error: with the code Closed the read was called off by
// stopReading.
func (c *Conn) readAhead() error {
	c.wmu.Lock()
	room := c.win.Room(minRoom)
	c.wmu.Unlock()
	n, err := c.rawRead(room, waitAhead)
	c.wmu.Lock()
	c.win.Filled(n)
	c.behind.Store(c.win.Len() > 0)
	c.wmu.Unlock()
	return err
}

// stopReading calls a read off that is under way in another goroutine, or that
// it is about to begin.
func (c *Conn) stopReading() {
	c.abandoned.Store(true)
	c.poke()
}
