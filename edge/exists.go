package edge

import (
	"context"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/stats"
)

// exists answers a service that asks whether there is a session. Where that cannot be
// found out it says nothing: the service then knows no more than before. The answer
// goes out with this node's rights, so it goes to an inbox only.
func (n *Node) exists(conn *nats.Conn, m *nats.Msg) {
	sid, err := scheme.ParseExistsSubject(m.Subject)
	if err != nil || !scheme.IsAnyInbox(m.Reply) {
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
	if found, cached := n.nats.link.Load().directory.Known(sid); cached {
		answer(found.Exists)
		return
	}
	look := func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if found, err := n.nats.link.Load().directory.Lookup(ctx, sid); err == nil {
			answer(found.Exists)
		}
	}
	_ = n.pool.Submit(look) // a full pool is counted there
}
