package wire

import "github.com/gobwas/ws"

// What a connection keeps between two reads, and only then.

// inbound returns the connection's block for a message under way.
func (c *Conn) inbound() *inbound {
	if c.in == nil {
		c.in = c.l.pool.getIn()
	}
	return c.in
}

// hold keeps bytes that cannot be parsed yet.
func (c *Conn) hold(b []byte, unparsed bool) {
	in := c.inbound()
	held := c.l.pool.grow(in.held, len(b))
	if held == nil {
		c.fail(errOverload)
		return
	}
	in.held, in.unparsed = append(held, b...), unparsed
}

// unhold gives up the held bytes, which were copied.
func (c *Conn) unhold(in *inbound) {
	c.l.pool.put(in.held)
	in.held, in.unparsed = nil, false
	c.settle()
}

// settle returns the block if nothing is under way.
func (c *Conn) settle() {
	if in := c.in; in != nil && in.op == ws.OpContinuation && in.held == nil {
		c.l.pool.putIn(in)
		c.in = nil
	}
}
