package edge

import (
	"context"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/takeover"
)

// What shards ask of NATS goes over the uplink of the moment.

// directory is the sessions' directory as shards see it.
type directory struct{ n *Node }

func (d directory) now() *store.Directory { return d.n.nats.link.Load().directory }

// Get implements [shard.Directory], as do the others.
func (d directory) Get(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	return d.now().Get(ctx, sid)
}

func (d directory) Sure(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, time.Duration, error) {
	return d.now().SureAge(ctx, sid)
}

func (d directory) Lookup(ctx context.Context, sid scheme.SID) (bool, error) {
	return d.now().Lookup(ctx, sid)
}

func (d directory) Known(sid scheme.SID) (exists, cached bool) { return d.now().Known(sid) }

func (d directory) Forget(sid scheme.SID) { d.now().Forget(sid) }

func (d directory) Delete(ctx context.Context, sid scheme.SID, rev uint64) error {
	return d.now().Delete(ctx, sid, rev)
}

// mailboxes is the store as shards see it.
type mailboxes struct{ n *Node }

func (m mailboxes) now() *store.Store { return m.n.nats.link.Load().store }

// Read implements [shard.Mailboxes], as do the others.
func (m mailboxes) Read(ctx context.Context, sid scheme.SID, from, anchor uint64, limit, maxBytes int) (store.Batch, error) {
	return m.now().Read(ctx, sid, from, anchor, limit, maxBytes)
}

func (m mailboxes) LastSeqs(ctx context.Context, sids []scheme.SID) (map[scheme.SID]uint64, error) {
	return m.now().LastSeqs(ctx, sids)
}

func (m mailboxes) NewSID() (scheme.SID, error) { return m.now().NewSID() }

func (m mailboxes) TTL() time.Duration { return m.now().TTL() }

func (m mailboxes) PartitionOf(sid scheme.SID) int { return m.now().PartitionOf(sid) }

// peers asks other nodes.
type peers struct{ n *Node }

// Ask implements [shard.Peers].
func (p peers) Ask(ctx context.Context, node scheme.NodeID, r takeover.Request) (ownership.Reply, scheme.Position, error) {
	return takeover.Ask(ctx, p.n.nats.link.Load().conn, node, r)
}
