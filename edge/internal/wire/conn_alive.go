package wire

// Mark is a moment on a connection, for [Conn.HeardSince].
type Mark uint32

// Mark returns the moment before now. What comes from now on has come since.
func (c *Conn) Mark() Mark {
	now := uint32(c.l.ticks())
	c.heard = now - 1 // or a byte in this tick would look like one of before
	return Mark(now - 1)
}

// HeardSince reports whether the peer has sent any byte since a mark. While the
// connection is paused none is read; that this ends counts as one.
func (c *Conn) HeardSince(m Mark) bool { return int32(c.heard-uint32(m)) > 0 }

// Unsent reports whether output waits for the peer: here, or in the kernel that has
// not sent it. A peer on a slow line comes to a Ping only behind it.
func (c *Conn) Unsent() bool { return c.Buffered() > 0 || c.notSent() }
