package wire

import "github.com/gobwas/ws"

// A connection keeps bytes between two reads only in the middle of a message,
// or if it could not parse all that it has received.

// inbound returns the connection's block for a message under way.
func (c *Conn) inbound() *inbound {
	if c.in == nil {
		c.in = c.l.buffers.getIn()
	}
	return c.in
}

// stash keeps bytes that cannot be parsed yet. unparsed: they can be, once the
// connection has its next turn or is resumed.
func (c *Conn) stash(b []byte, unparsed bool) {
	in := c.inbound()
	stashed := c.grow(in.stashed, len(b))
	if stashed == nil {
		c.fail(errOverload)
		return
	}
	in.stashed, in.unparsed = append(stashed, b...), unparsed
}

// unstash gives up the stashed bytes, after the caller has copied them.
func (c *Conn) unstash(in *inbound) {
	c.l.buffers.put(in.stashed)
	in.stashed, in.unparsed = nil, false
	c.settle()
}

// settle gives the block back if no message is under way and nothing stashed.
func (c *Conn) settle() {
	if in := c.in; in != nil && in.op == ws.OpContinuation && in.stashed == nil {
		c.l.buffers.putIn(in)
		c.in = nil
	}
}
