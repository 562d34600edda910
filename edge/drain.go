package edge

import (
	"context"
	"time"

	"hydrant/edge/internal/shard"
)

// A drain takes EDGE_DRAIN_GRACE, then EDGE_DRAIN_TIMEOUT, then closeGrace at
// the most, whatever NATS does: see the package's documentation, "Leaving, ages,
// memory".
const (
	drainPerClient = 100 * time.Millisecond // a node with few clients need not take the whole time
	closeGrace     = 8 * time.Second        // for the last close handshakes (5 s), for parking their sessions, and for the two below
	signOffTime    = time.Second            // for what was published last to reach NATS
	releaseTime    = time.Second            // for what the node has begun to end
)

// Drain makes the node leave: it is not ready from now on, and [Node.Run]
// drains and returns. Drain itself returns at once. Later calls do nothing.
func (n *Node) Drain(why string) {
	if n.ready.leave() {
		n.log.Info("draining", "why", why, "connections", n.connections(), "grace", n.cfg.DrainGrace, "timeout", n.cfg.DrainTimeout)
	}
	n.leave()
}

// drain waits for the balancer to notice, closes the clients spread over
// EDGE_DRAIN_TIMEOUT, parks their sessions and signs off from NATS. It returns when
// all is done or the time is over.
func (n *Node) drain() {
	started := time.Now()
	time.Sleep(n.cfg.DrainGrace) // new clients are still served: the balancer does not know yet
	n.leaving.Store(true)
	n.server.StopAccepting()
	end := time.Now().Add(n.cfg.DrainTimeout + closeGrace)
	ctx, cancel := context.WithDeadline(context.Background(), end.Add(-signOffTime-releaseTime))
	defer cancel()
	n.closeClients(ctx)
	if err := n.server.Shutdown(ctx); err != nil {
		n.log.Warn("connections left at the end of the drain", "error", err)
	}
	last, cancelLast := context.WithDeadline(context.Background(), end.Add(-releaseTime))
	defer cancelLast()
	if !within(last, func() { n.signOff(last) }) {
		n.log.Warn("NATS did not answer at the end of the drain")
	}
	n.log.Info("stopped", "took", time.Since(started).Round(time.Millisecond))
}

// signOff sees to it that NATS has all that was published.
func (n *Node) signOff(ctx context.Context) {
	if registry := n.nats.registry.Load(); registry != nil {
		if err := registry.Unregister(); err != nil {
			n.log.Debug("not signed off", "error", err)
		}
	}
	n.cancel()
	n.handler.Stop(ctx)
	if err := n.nats.link.Load().conn.FlushWithContext(ctx); err != nil {
		n.log.Warn("NATS did not answer at the end of the drain", "error", err)
	}
}

// release ends what Run has begun, and waits for that a moment: what holds nats.go's
// lock holds up all that calls it, and ends with the process. Administrators whose
// requests are under way get their answers meanwhile.
func (n *Node) release() {
	n.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if n.admin != nil && n.admin.Shutdown(ctx) != nil { // nil: it could not even listen
			_ = n.admin.Close() // a profile goes on for as long as it was asked for
		}
	}()
	defer func() { <-answered }()
	if !within(ctx, func() {
		if l := n.nats.link.Load(); l != nil {
			l.store.Close()
			l.conn.Close()
		}
		n.pool.Stop()
		n.resumes.Stop()
		n.background.Wait()
	}) {
		n.log.Warn("calls to NATS are left behind: they do not return")
	}
}

// closeClients closes the clients of all loops and waits until their sessions
// are parked.
func (n *Node) closeClients(ctx context.Context) {
	spread := min(n.cfg.DrainTimeout, time.Duration(n.connections())*drainPerClient)
	empty := make(chan struct{}, len(n.doors))
	// If there is no room until ctx ends, the wait below says so.
	go n.all(func(s *shard.Shard) { s.Drain(spread, func() { empty <- struct{}{} }) })
	for range n.doors {
		select {
		case <-empty:
		case <-ctx.Done():
			n.log.Warn("drain time is over; sessions that are not parked keep their last checkpoint")
			return
		}
	}
}
