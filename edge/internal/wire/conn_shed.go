package wire

import "github.com/gobwas/ws"

// At the bound of the memory for buffers not the connection that asks for some is
// closed, but the one that holds most. Whoever holds much for long would otherwise
// have all others closed, by holding what they need.
//
// A loop closes connections of its own only. Those of one peer are spread over all
// loops, and so each loop has its share of them.

// shedAtOnce bounds the connections that are closed for one buffer: what one of them
// has given to a write under way is free only after that.
const shedAtOnce = 4

// grow is [buffers.grow], and closes other connections where that makes room.
func (c *Conn) grow(b []byte, n int) []byte {
	bigger := c.l.buffers.grow(b, n)
	for i := 0; bigger == nil && i < shedAtOnce && c.l.shed(c); i++ {
		bigger = c.l.buffers.grow(b, n)
	}
	return bigger
}

// shed closes the connection that holds most buffers, unless that is c. Of two that
// hold the same, it is the one that has begun to earlier.
func (l *Loop) shed(c *Conn) bool {
	most, since := c, c.holdsSince()
	held := c.Footprint()
	for _, other := range l.conns {
		if other == nil || other == c || other.in == nil && other.out == nil || other.state < stateOpen {
			continue
		}
		n, at := other.Footprint(), other.holdsSince()
		if n > held || n == held && int32(at-since) < 0 {
			most, held, since = other, n, at
		}
	}
	if most == c || held < countedMin {
		return false
	}
	if most.state == stateDraining || most.Buffered() > held/2 {
		// What it does not read would be kept until it has read the close frame.
		most.abort(CloseReason{Code: CodeOverload, Text: errOverload.text, Cause: DropOverload})
		return true
	}
	most.fail(errOverload)
	return true
}

// holdsSince is the tick since which the connection has held its buffers.
func (c *Conn) holdsSince() uint32 {
	switch {
	case c.in != nil && c.in.op != ws.OpContinuation:
		return c.in.begun
	case c.has(flagBlocked):
		return c.since
	}
	return uint32(c.l.ticks())
}

// Strained reports that the memory for buffers is nearly used up, so that connections
// are closed for it.
func (s *Server) Strained() bool {
	limit := s.memory.limit
	return limit > 0 && s.memory.used.Load() > limit-limit/8
}
