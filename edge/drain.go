package edge

import (
	"context"
	"math/rand/v2"
	"time"

	"hydrant/edge/internal/protocol"
)

// A drain takes EDGE_DRAIN_GRACE, then EDGE_DRAIN_TIMEOUT, then closeGrace at
// the most: see the package's documentation, "Leaving, ages, memory".
const (
	drainTick      = 50 * time.Millisecond
	drainPerClient = 100 * time.Millisecond // a node with few clients need not take the whole time
	closeGrace     = 8 * time.Second        // for the last close handshakes (5 s), and for parking their sessions
	retrySpread    = 2 * time.Second        // hint for the clients, so that they do not return at once
)

// Drain makes the node leave: it is not ready from now on, and [Node.Run]
// drains and returns. Drain itself returns at once. Later calls do nothing.
func (n *Node) Drain(why string) {
	if n.draining.CompareAndSwap(false, true) {
		n.log.Info("draining", "why", why, "connections", n.connections.Load(), "grace", n.cfg.DrainGrace, "timeout", n.cfg.DrainTimeout)
		n.mu.Lock()
		n.showReady()
		n.mu.Unlock()
	}
	n.leave()
}

// drain waits for the balancer to notice, closes the clients spread over
// EDGE_DRAIN_TIMEOUT, parks their sessions and ends the connection to NATS. It
// returns when all is done or the time is over.
func (n *Node) drain() {
	started := time.Now()
	time.Sleep(n.cfg.DrainGrace) // new clients are still served: the balancer does not know yet
	n.leaving.Store(true)
	n.server.StopAccepting()
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.DrainTimeout+closeGrace)
	defer cancel()
	n.closeClients(ctx)
	if err := n.server.Shutdown(ctx); err != nil {
		n.log.Warn("connections left at the end of the drain", "error", err)
	}
	if err := n.registry.Unregister(); err != nil {
		n.log.Debug("not signed off", "error", err)
	}
	n.cancel()
	n.stopOutboxes(ctx)
	if err := n.nc.FlushWithContext(ctx); err != nil { // NATS has all that was published
		n.log.Warn("NATS did not answer at the end of the drain", "error", err)
	}
	n.nc.Close()
	_ = n.admin.Close() // the listener is going away with the process
	n.background.Wait()
	n.log.Info("stopped", "took", time.Since(started).Round(time.Millisecond))
}

// closeClients closes the clients of all loops and waits until their sessions
// are parked.
func (n *Node) closeClients(ctx context.Context) {
	spread := min(n.cfg.DrainTimeout, time.Duration(n.connections.Load())*drainPerClient)
	empty := make(chan struct{}, len(n.workers))
	for _, w := range n.workers {
		// If there is no room until ctx ends, the wait below says so.
		_ = w.loop.PostWait(ctx, func() { w.drain(spread, func() { empty <- struct{}{} }) })
	}
	for range n.workers {
		select {
		case <-empty:
		case <-ctx.Done():
			n.log.Warn("drain time is over; sessions that are not parked keep their last checkpoint")
			return
		}
	}
}

// drain closes this loop's clients one after the other, evenly over spread, and
// calls done when every session is parked. No client is added meanwhile.
func (w *worker) drain(spread time.Duration, done func()) {
	var list []*client
	for conn := range w.loop.Open() {
		list = append(list, conn.Data().(*client))
	}
	total, closed, started := len(list), 0, time.Now()
	var step func()
	step = func() {
		due := total
		if passed := time.Since(started) + drainTick; passed < spread {
			due = int(int64(total) * int64(passed) / int64(spread))
		}
		for ; closed < due; closed++ {
			list[closed].close(protocol.CloseRestart, retryHint()) // nothing, if it is closed already
			list[closed] = nil
		}
		if closed == total && len(w.attachments) == 0 {
			done()
			return
		}
		w.loop.AfterFunc(drainTick, step)
	}
	step()
}

// retryHint is the reason of a close that asks a client to come back: when.
func retryHint() string { return protocol.RetryAfter(rand.N(retrySpread)) }

// stopOutboxes lets what is queued reach NATS.
func (n *Node) stopOutboxes(ctx context.Context) {
	for _, w := range n.workers {
		w.out.close()
		select {
		case <-w.out.done:
		case <-ctx.Done():
		}
	}
}
