package chaos

import (
	"strings"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// living drops the sockets that have ended.
func living(sockets []*socket) []*socket {
	kept := sockets[:0]
	for _, s := range sockets {
		select {
		case <-s.ended:
		default:
			kept = append(kept, s)
		}
	}
	return kept
}

// read writes down what comes, until the socket ends.
func (c *client) read(s *socket) {
	defer close(s.ended)
	for {
		if gate := s.gate.Load(); gate != nil {
			<-*gate
		}
		m, err := s.ws.Receive()
		if err != nil {
			code, why := harness.CloseCode(err)
			c.run.lost.Add(1)
			c.run.h.Add(history.Event{Kind: history.Close, Conn: s.number, Code: code, Why: why})
			return
		}
		c.took(s, m)
	}
}

// took handles one message.
func (c *client) took(s *socket, m harness.Message) {
	if mid := m.Rmid(); m.Error() != "" && strings.HasPrefix(mid, history.ByClient) {
		code, _ := m.At("bdy", "code").(string)
		c.run.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: m.Error(), Told: code})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := history.Event{Conn: s.number, SID: s.ws.ID, Mid: m.Mid(), Seq: m.Seq(), Prev: m.Prev()}
	switch {
	case m.Type() == "gap":
		e.Kind, e.From, e.To = history.Gap, number(m, "from"), number(m, "to")
		e.SID = strings.TrimSuffix(m.To(), "@client:/") // may be the socket's fresh session
		e.Why, _ = m.At("bdy", "why").(string)
	case m.At("bdy", "for") != nil:
		e.Kind = history.Receive
		e.For, _ = m.At("bdy", "for").(string)
	default:
		return // a pong, or an answer of the router
	}
	c.run.h.Add(e)
	owner := c.current == s || c.rival == s
	if owner || c.class == history.Plain { // else it is late, and comes again
		c.run.seen.add(e.Mid)
	}
	if !owner || e.Seq == 0 {
		return
	}
	s.handled.Store(e.Seq)
	if e.Kind == history.Gap && e.Why == "rollback" { // sequences begin again at smaller ones
		c.handled = e.Seq
		return
	}
	c.handled = max(c.handled, e.Seq)
}
