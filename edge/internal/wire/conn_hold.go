package wire

import "time"

// Hold keeps the answer to the handshake until something more is queued, or d has
// passed, so that the two leave in one system call. It is for Handler.Open, where the
// first message is to follow soon. It does nothing where another goroutine writes.
func (c *Conn) Hold(d time.Duration) {
	if o := c.out; c.nc == nil && c.state == stateOpen && o != nil && o.off == 0 && o.head == len(o.buf) {
		c.set(flagHeld)
		c.deadline(ticksAfter(d))
	}
}

// release ends a Hold, where what comes next depends on what has left. The answer may
// leave whatever else must not: it is no message.
func (c *Conn) release() {
	if c.has(flagHeld) {
		c.clear(flagHeld)
		c.write()
	}
}
