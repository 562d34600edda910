package chaos

import (
	"context"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// order is what the schedule tells a client to do.
type order struct {
	kind  orderKind
	to    *node  // where to come back; nil: anywhere
	fault *fault // that this is part of; nil: of none
}

// orderKind is a kind of order.
type orderKind int

const (
	orderReset    orderKind = iota // end the socket with a RST, come back elsewhere
	orderClose                     // say goodbye, come back elsewhere
	orderTakeover                  // come back elsewhere while the old socket lives
	orderTwins                     // come back on two nodes at the same moment, while it lives
	orderStop                      // stop reading for a while, then end with a RST
	orderPause                     // stop reading for a while, then go on
	orderLate                      // ask on one node, give that up, come back elsewhere; then the request arrives
	orderSpare                     // open another socket there, to ask over it later
)

var orderWords = [...]string{"reset", "close", "takeover", "resume on two nodes", "stop reading", "pause", "late request", "open a spare socket"}

func (o orderKind) String() string { return orderWords[o] }

// tell gives a client an order, unless it has enough to do.
func (c *client) tell(o order) bool {
	select {
	case c.orders <- o:
		return true
	default:
		return false
	}
}

// goTo chooses the node for the next connection; nil: any.
func (c *client) goTo(n *node) { c.next, c.tries = n, 3 }

// stop makes the reader stop; open lets it go on.
func (s *socket) stop() {
	gate := make(chan struct{})
	s.gate.CompareAndSwap(nil, &gate)
}

func (s *socket) open() {
	if gate := s.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// Times of a client's life. They pace the load.
const (
	ackEvery  = 80 * time.Millisecond
	sendEvery = 150 * time.Millisecond
)

// use sends, confirms and obeys until the socket ends or is given up.
func (c *client) use(ctx context.Context, s *socket) {
	acks, sends := time.NewTicker(ackEvery), time.NewTicker(sendEvery)
	defer acks.Stop()
	defer sends.Stop()
	confirmed := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-acks.C:
			if handled := s.handled.Load(); handled != confirmed {
				confirmed = handled
				_ = s.ws.Ack(handled) // the reader sees the end of the socket
			}
		case <-sends.C:
			if !c.quiet.Load() && c.random.IntN(3) == 0 {
				c.send(s)
			}
		case o := <-c.orders:
			if !c.quiet.Load() && c.obey(ctx, s, o) {
				return
			}
		}
	}
}

// send writes to another client, or asks the service.
func (c *client) send(s *socket) {
	if c.random.IntN(2) == 0 {
		service := []string{serviceName, plainName}[c.random.IntN(2)]
		_ = s.ws.Send(harness.Object{"to": service + ":/ask", "frm": s.ws.Address(), "mid": c.run.newMid("question"), "bdy": 1})
		return
	}
	other := c.run.someone(c.random).session()
	if other == "" {
		return // it has not connected yet
	}
	mid := c.run.newMid(history.ByClient)
	message := harness.Object{"to": "hydra-router:/", "fwd": other + "@client:/", "frm": s.ws.Address(), "mid": mid,
		"bdy": harness.Object{"for": other}}
	if c.random.IntN(2) == 0 {
		message["to"] = other + "@client:/"
		delete(message, "fwd")
	}
	c.run.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: other, Source: history.ByClient, Conn: s.number})
	_ = s.ws.Send(message)
}

// obey does what the schedule wants; true: the socket is given up.
func (c *client) obey(ctx context.Context, s *socket, o order) bool {
	some := time.Duration(200+c.random.IntN(1500)) * time.Millisecond
	ended := history.EndReset
	switch o.kind {
	case orderLate:
		return c.beLate(ctx, s, o)
	case orderSpare:
		c.spare.drop()
		c.spare = newSpare(o.to)
		c.spare.open(ctx, c)
		return false
	}
	c.goTo(o.to)
	if o.fault != nil {
		o.fault.bit("obeyed by " + c.name)
	}
	switch o.kind {
	case orderReset:
		s.ws.Reset()
	case orderClose:
		ended = history.EndClose
		go s.ws.Close() // waits for the peer, which may be frozen
	case orderTakeover:
		ended = history.EndTakeover
	case orderTwins:
		ended, c.twins = history.EndTakeover, true
	case orderStop:
		s.stop()
		nap(ctx, some)
		s.ws.Reset()
		s.open()
	case orderPause:
		s.stop()
		nap(ctx, some)
		s.open()
		return false
	}
	c.mu.Lock()
	c.ended = ended
	c.mu.Unlock()
	return true
}
