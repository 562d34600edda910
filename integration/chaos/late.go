package chaos

import (
	"context"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// late is a request for a session that its client has given up, and that the
// network still has.
type late struct {
	held  *harness.Held
	fault *fault
	wait  time.Duration // after the client has its session elsewhere
}

// beLate asks for the session on a second socket, whose network keeps the request
// back, and gives that socket up; true: the first one as well.
func (c *client) beLate(ctx context.Context, s *socket, o order) bool {
	dialing, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	n := c.run.nodes[c.random.IntN(len(c.run.nodes))]
	second, err := c.dial(dialing, n)
	if err != nil {
		return false // it goes on with the one it has
	}
	defer second.ws.Drop()
	held, err := n.front.Hold(second.ws.LocalAddr())
	if err != nil {
		return false
	}
	c.mu.Lock()
	body := c.request()
	c.run.h.Add(history.Event{Kind: history.Resuming, Conn: second.number, SID: c.sid, Node: n.name, Seq: c.handled,
		Why: history.EndTakeover, Attempt: c.number(), Late: true})
	c.mu.Unlock()
	err = second.ws.Send(harness.Object{"to": "hydra-router:/", "frm": second.ws.Address(), "mid": second.ws.Mid(), "typ": "reconnect", "bdy": body})
	if err != nil {
		return false
	}
	select {
	case <-held.Some():
	case <-dialing.Done():
		return false
	}
	c.run.h.Add(history.Event{Kind: history.Close, Conn: second.number, Code: -1, Why: "given up"})
	c.late = &late{held: held, fault: o.fault, wait: time.Duration(c.random.Int64N(int64(time.Second)))}
	c.mu.Lock()
	c.ended = history.EndTakeover
	c.mu.Unlock()
	if c.random.IntN(2) == 0 {
		s.ws.Reset()
		c.mu.Lock()
		c.ended = history.EndReset
		c.mu.Unlock()
	}
	return true
}

// arrive lets the request go, a while after the client has its session again.
func (l *late) arrive(c *client) {
	c.run.waiting.Go(func() {
		nap(context.Background(), l.wait)
		switch err := l.held.Release(); {
		case l.fault == nil:
		case err == nil:
			l.fault.bit("arrived at a node that " + c.name + " had left")
		default: // the node had ended the connection: this one proves nothing
			c.run.cfg.Log("late request of %s: %v", c.name, err)
		}
	})
}
