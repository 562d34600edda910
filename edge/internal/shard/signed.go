package shard

import (
	"errors"

	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// checkSignature checks what came in, before anything is changed, and leaves of it what
// was signed. It reports whether the message may go on now.
func (c *Client) checkSignature(e *umf.Envelope) bool {
	n := c.s.node
	if n.Signatures == nil {
		return true
	}
	by := access.Sender{Session: string(c.has.sid), Own: c.second}
	if err := n.Signatures.Check(e, c.s.loop.Now(), by); err != nil {
		c.refuseSigned(e.Raw(umf.Mid), err)
		return false
	}
	name, keep := n.Signatures.Once(e)
	e.KeepCovered()
	if name == "" || c.acknowledges(e) {
		return true
	}
	c.noteOnce(e, name, egress.Op{Kind: stats.OpOnce, Once: name, TTL: keep})
	return false
}

// acknowledges reports whether a message is one that clients of umf.ack.v1 send all the
// time. What it confirms is its own session's, so that a copy does nothing. To others
// than the router an ack is a message as any.
func (c *Client) acknowledges(e *umf.Envelope) bool {
	var buf [128]byte
	typ, _ := e.Text(umf.Type, buf[:0])
	if c.class != session.Acked || string(typ) != protocol.TypeAck {
		return false
	}
	text, _ := e.Text(umf.To, buf[:0])
	to, err := umf.ViewAddress(text)
	return err == nil && string(to.Service) == c.s.node.Config.ServiceName && len(to.Instance) == 0 && len(to.Method) == 0
}

// refuseSigned tells the sender of a message what is wrong with its signature.
func (c *Client) refuseSigned(rmid []byte, err error) {
	c.took(stats.InBadSignature)
	text, code, closes := access.SignatureProblem(err)
	c.fail(rmid, code, text)
	if closes {
		c.close(protocol.ClosePolicy, code.String())
	}
}

// noteOnce asks the directory whether another node has seen a message before, and goes
// on with it when that has not: with a window each message costs its sender a round trip
// to NATS, and NATS a write. Rejected: to let messages go and to look behind their backs,
// since what a service has done cannot be taken back.
func (c *Client) noteOnce(e *umf.Envelope, name string, op egress.Op) {
	a, ok := c.setAside(e)
	if !ok {
		return
	}
	s := c.s
	op.At = s.uptime()
	op.Done = func(_ uint64, err error) {
		s.post(func() { c.noted(&a, err) })
	}
	s.out.Push(op)
}

// noted follows the directory's answer.
func (c *Client) noted(a *aside, err error) {
	if !c.takeUp(a) {
		return
	}
	switch {
	case err == nil:
		c.routeChecked(c.s.scan(a))
	case errors.Is(err, store.ErrSeen):
		c.refuseSigned(a.rmid, access.ErrReplay)
	default:
		c.s.node.Metrics.NATSErrors.Inc(stats.OpOnce)
		c.failStore(a.rmid, err)
	}
	c.readOn()
}
