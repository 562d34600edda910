package shard

import (
	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// What a sender is told of a message that was taken: nothing, unless it asks to be.

// wantsAccepted reports whether the client is to be told that a message was taken.
func (c *Client) wantsAccepted(e *umf.Envelope) bool { return c.second && protocol.WantsAccepted(e) }

// reportTo returns a callback for a NATS goroutine that tells a session that its
// message was not taken and, if it asks to be told, that it was.
func (s *Shard) reportTo(sid scheme.SID, rmid []byte, accepted bool) func(uint64, error) {
	return func(_ uint64, err error) {
		switch {
		case err != nil:
			s.post(func() { s.report(sid, rmid, err) })
		case accepted:
			s.post(func() { s.accepted(sid, rmid) })
		}
	}
}

// report tells a session that its message was not taken.
func (s *Shard) report(sid scheme.SID, rmid []byte, err error) {
	if h := s.held[sid]; h != nil && h.client != nil {
		h.client.failStore(rmid, err)
	}
}

// accepted tells a session that its message was taken.
func (s *Shard) accepted(sid scheme.SID, rmid []byte) {
	if h := s.held[sid]; h != nil && h.client != nil {
		h.client.reply(stats.OutAccepted, protocol.Message{To: protocol.ClientAddress(string(sid)), RMid: rmid, Type: protocol.TypeAccepted, Body: []byte("{}")})
	}
}

// asked names a message to a service whose sender waits to know what became of it.
type asked struct {
	sid scheme.SID
	mid string // raw JSON
}

// proveTo returns the callback of such a message: it is called when NATS has it, which
// is behind the word that nobody listens, if there is one.
func (s *Shard) proveTo(sid scheme.SID, mid string) func(uint64, error) {
	m := asked{sid, mid}
	s.unproved[m]++
	return func(_ uint64, err error) {
		s.post(func() {
			switch {
			case !s.proved(m): // nobody listened, as its sender knows
			case err != nil:
				s.report(sid, []byte(mid), err)
			default:
				s.accepted(sid, []byte(mid))
			}
		})
	}
}

// proved ends the wait for a message, and reports whether there was one.
func (s *Shard) proved(m asked) bool {
	n := s.unproved[m]
	if n > 1 {
		s.unproved[m] = n - 1
	} else {
		delete(s.unproved, m)
	}
	return n > 0
}
