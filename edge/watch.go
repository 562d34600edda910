package edge

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
)

func (n *Node) onDisconnect(nc *nats.Conn, err error) {
	n.m.NATSEvents.Inc(stats.NATSDisconnected)
	n.setConnected(nc, false)
	if !nc.IsClosed() && !n.draining.Load() {
		n.log.Warn("NATS connection lost", "error", err)
	}
}

// onReconnect: copies were missed meanwhile, and sessions may have moved. What
// is still this node's re-attaches from its cursor.
func (n *Node) onReconnect(nc *nats.Conn) {
	n.m.NATSEvents.Inc(stats.NATSReconnected)
	n.setConnected(nc, true)
	if !n.serving.Load() {
		return // there are no sessions yet
	}
	n.log.Info("NATS connection is back", "url", bus.Redacted(nc.ConnectedUrl()))
	epoch := n.epoch()
	for _, w := range n.workers {
		w.post(func() { w.reconnected(epoch) })
	}
}

// epoch counts the connections to NATS that were lost. It grows before anything
// comes over the next one.
func (n *Node) epoch() uint64 { return n.nc.Stats().Reconnects }

func (n *Node) onAsyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	n.m.NATSEvents.Inc(stats.NATSError)
	n.log.Warn("NATS", "error", err)
	if !errors.Is(err, nats.ErrSlowConsumer) {
		return
	}
	if sub.Type() != nats.ChanSubscription { // not a queue of this node's own
		n.m.Dropped.Inc(stats.DropNATSQueue)
		return
	}
	n.m.Dropped.Inc(stats.DropLiveQueue)
	if n.serving.Load() {
		for _, w := range n.workers {
			w.missed.Store(true)
		}
	}
}

// leaderChanged re-attaches the sessions of a stream with a new leader: the old
// one may have stored messages that it never republished.
func (n *Node) leaderChanged(partition int) {
	n.m.NATSEvents.Inc(stats.NATSLeader)
	for _, w := range n.workers {
		w.post(func() { // waits for room: this goroutine of NATS has nothing else to do
			w.reattach(func(a *attachment) bool {
				p, err := n.store.PartitionOf(a.sid)
				return err == nil && p == partition
			})
		})
	}
}

// contractEvery is how often a node looks whether streams and bucket still
// hold what it needs.
const contractEvery = 30 * time.Second

func (n *Node) watchContract() {
	ticker := time.NewTicker(contractEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
		if !n.connected.Load() {
			continue
		}
		ctx, cancel := context.WithTimeout(n.ctx, contractEvery/2)
		err := n.store.Verify(ctx)
		cancel()
		if err != nil {
			n.log.Error("NATS does not hold the contract", "error", err)
			n.notReady("store", err.Error())
			continue
		}
		n.nowReady("store")
	}
}

// Stalled implements [wire.Handler]: the process did not run for a while, so
// another node may have taken sessions over. Until the directory has confirmed
// that a session is still this node's, nothing is written for it.
func (n *Node) Stalled(l *wire.Loop, gap time.Duration) {
	w := n.workerOf(l)
	w.stalls++
	if len(w.attachments) == 0 {
		return
	}
	n.log.Warn("the process did not run; verifying its sessions", "gap", gap, "sessions", len(w.attachments))
	list := make([]*attachment, 0, len(w.attachments))
	for _, a := range w.attachments {
		if a.suspend(true) {
			list = append(list, a)
		}
	}
	w.step(list, (*attachment).verify)
}

// event publishes a session event, at most once.
func (a *attachment) event(what bus.SessionEvent, why string) {
	a.w.out.push(op{kind: stats.OpEvent, event: bus.Event{
		What: what, Session: a.sid, Node: a.w.node.id, Identity: a.identity, Why: why, Time: a.w.loop.Now(),
	}})
}

// httpErrors sends net/http's complaints about clients to the log, quietly.
func (n *Node) httpErrors() *log.Logger {
	return slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)
}
