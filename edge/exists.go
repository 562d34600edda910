package edge

import (
	"context"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/stats"
)

// exists answers a service that asks whether there is a session, or a work queue. Where
// that cannot be found out it says nothing: the service then knows no more than before.
// The answer goes out with this node's rights, so it goes to an inbox only.
func (n *Node) exists(conn *nats.Conn, m *nats.Msg) {
	service, noQueue := scheme.ParseQueueExistsSubject(m.Subject)
	sid, noSession := scheme.ParseExistsSubject(m.Subject)
	if noQueue != nil && noSession != nil || !scheme.IsAnyInbox(m.Reply) {
		n.metrics.Dropped.Inc(stats.DropBadOrder)
		return
	}
	answer := func(exists bool) {
		text := scheme.ExistsNo
		if exists {
			text = scheme.ExistsYes
		}
		if conn.Publish(m.Reply, []byte(text)) != nil {
			n.metrics.NATSErrors.Inc(stats.OpPublish)
		}
	}
	l := n.nats.link.Load()
	if noQueue == nil {
		n.find(answer, func(ctx context.Context) (bool, error) { return l.store.Queues().Ask(ctx, service) })
		return
	}
	if found, cached := l.directory.Known(sid); cached {
		answer(found.Exists)
		return
	}
	n.find(answer, func(ctx context.Context) (bool, error) {
		found, err := l.directory.Lookup(ctx, sid)
		return found.Exists, err
	})
}

// find answers when something is found out, on another goroutine.
func (n *Node) find(answer func(bool), look func(context.Context) (bool, error)) {
	_ = n.pool.Submit(func() { // a full pool is counted there
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if there, err := look(ctx); err == nil {
			answer(there)
		}
	})
}
