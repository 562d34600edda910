package chaos

import (
	"context"
	"sync"
	"time"

	"hydrant/integration/harness"
)

// spare is a socket that a client opens before anything else, and asks over only
// later: one whose network was slow, or that was in no hurry. When it asks, its
// node may no longer be able to open another.
type spare struct {
	// Immutable after newSpare.
	at    *node
	ready chan struct{} // closed by the client when it is open, or cannot be
	start chan struct{} // closed by the schedule when the client may go on
	stop  chan struct{} // closed by drop

	// Owned by the client.
	socket  *socket
	keeping sync.WaitGroup
}

func newSpare(at *node) *spare {
	return &spare{at: at, ready: make(chan struct{}), start: make(chan struct{}), stop: make(chan struct{})}
}

// reserve opens it, and waits until the client may go on.
func (p *spare) reserve(ctx context.Context, c *client) {
	p.open(ctx, c)
	select {
	case <-p.start:
	case <-ctx.Done():
	}
}

func (p *spare) open(ctx context.Context, c *client) {
	defer close(p.ready)
	dialing, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if s, err := c.dial(dialing, p.at); err == nil {
		p.socket = s
		p.keeping.Go(func() { keepAlive(s.ws, p.stop) })
		c.run.spares.Add(1)
	}
}

// keepAlive says something every second, so that the socket is not taken for dead. What
// is answered stays in the kernel's buffer.
func keepAlive(ws *harness.Client, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = ws.Send(harness.Object{"to": "hydra-router:/", "frm": ws.Address(), "mid": ws.Mid(), "typ": "ping", "bdy": harness.Object{"spare": true}})
		case <-stop:
			return
		}
	}
}

// take returns the socket if it leads to a node, for a client that has a session
// to ask for; nil: there is none.
func (p *spare) take(n *node, session string) *socket {
	if p == nil || p.socket == nil || p.at != n || session == "" {
		return nil
	}
	s := p.socket
	p.release()
	return s
}

// release ends what keeps the socket alive.
func (p *spare) release() {
	if p.socket == nil {
		return
	}
	close(p.stop)
	p.keeping.Wait()
	p.socket = nil
}

// drop ends a socket that was not taken.
func (p *spare) drop() {
	if p == nil || p.socket == nil {
		return
	}
	s := p.socket
	p.release()
	s.ws.Drop()
}
