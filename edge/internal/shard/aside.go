package shard

import (
	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// aside is a message that waits until something about it is known. Its sender is not
// read from meanwhile, so that its messages stay in their order.
type aside struct {
	text []byte // of the message as it was checked: the connection layer's is borrowed
	rmid []byte
	size int // as [Shard].size was
}

// setAside has a message wait. False: there is no asking, or no room, and its sender was
// told so.
func (c *Client) setAside(e *umf.Envelope) (a aside, ok bool) {
	s := c.s
	a = aside{text: e.AppendShort(nil), rmid: append([]byte(nil), e.Raw(umf.Mid)...), size: s.size}
	switch {
	case !s.node.Connected.Load():
		c.fail(a.rmid, protocol.CodeUnavailable, "Messaging is unavailable")
		return a, false
	case !s.out.Room(len(a.text)):
		s.node.Metrics.OutboxFull.Inc()
		c.fail(a.rmid, protocol.CodeOverload, "Messaging is overloaded")
		return a, false
	}
	c.busy = true
	c.conn.Pause()
	s.out.Keep(len(a.text))
	return a, true
}

// takeUp ends the wait, and reports whether its sender is still there; who calls it
// reads on.
func (c *Client) takeUp(a *aside) bool {
	c.s.out.Drop(len(a.text))
	if !c.takes() || c.has == nil {
		return false
	}
	c.busy = false
	c.s.size = a.size
	return true
}

// scan makes the message the shard's envelope again.
func (s *Shard) scan(a *aside) *umf.Envelope {
	if err := umf.Scan(a.text, &s.envelope); err != nil {
		panic("shard: a message that was checked does not scan: " + err.Error())
	}
	return &s.envelope
}
