package edge

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/stats"
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

func (d directory) Parse(m *nats.Msg) (scheme.Entry, uint64, error) { return d.now().Parse(m) }

func (d directory) Sure(ctx context.Context, sid scheme.SID) (scheme.Entry, uint64, time.Duration, error) {
	return d.now().SureAge(ctx, sid)
}

func (d directory) Lookup(ctx context.Context, sid scheme.SID) (store.Found, error) {
	return d.now().Lookup(ctx, sid)
}

func (d directory) Known(sid scheme.SID) (found store.Found, cached bool) { return d.now().Known(sid) }

func (d directory) Forget(sid scheme.SID) { d.now().Forget(sid) }

func (d directory) Delete(ctx context.Context, sid scheme.SID, rev uint64) error {
	return d.now().Delete(ctx, sid, rev)
}

func (d directory) NoteBack(ctx context.Context, partition int, last store.BackNote, gone store.Sighting) error {
	return d.now().NoteBack(ctx, partition, last, gone)
}

func (d directory) LastBack(ctx context.Context, partition int) (store.BackNote, error) {
	return d.now().LastBack(ctx, partition)
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

func (m mailboxes) WentBack(ctx context.Context, seen store.Sighting) (bool, error) {
	return m.now().WentBack(ctx, seen)
}

func (m mailboxes) NewSID() (scheme.SID, error) { return m.now().NewSID() }

func (m mailboxes) TTL() time.Duration { return m.now().TTL() }

func (m mailboxes) PartitionOf(sid scheme.SID) int { return m.now().PartitionOf(sid) }

// queues are the work queues as shards and the API see them.
type queues struct{ n *Node }

func (q queues) now() *store.Queues { return q.n.nats.link.Load().store.Queues() }

// Known implements [shard.Queues], as does Ask.
func (q queues) Known(service scheme.Service) bool { return q.now().Known(service) }

func (q queues) Ask(ctx context.Context, service scheme.Service) (bool, error) {
	return q.now().Ask(ctx, service)
}

// peers asks other nodes.
type peers struct{ n *Node }

// errCutOff: a node lives, and its server cannot be reached.
var errCutOff = errors.New("edge: nobody listens there, and the node lives")

// Ask implements [shard.Peers]. In a cluster the word that nobody listens may only mean
// that two servers have lost each other.
func (p peers) Ask(ctx context.Context, node scheme.NodeID, r takeover.Request) (ownership.Reply, takeover.Answer, error) {
	conn := p.n.nats.link.Load().conn
	reply, given, err := takeover.Ask(ctx, conn, node, r)
	if reply == ownership.Nobody && clustered(conn) && p.n.nats.signs.Lives(ctx, node) {
		return ownership.Silence, takeover.Answer{}, errCutOff
	}
	return reply, given, err
}

// clustered reports whether the server has peers, as far as it says.
func clustered(conn *nats.Conn) bool { return conn.ConnectedClusterName() != "" }

// leaveSigns leaves signs in the store for other nodes, where there may be some that
// cannot be reached by others.
func (n *Node) leaveSigns() {
	for pause(n.ctx, takeover.SignEvery) == nil {
		l := n.nats.link.Load()
		if !n.nats.connected.Load() || l.isGone() || !clustered(l.conn) {
			continue
		}
		if err := l.directory.Sign(n.id); err != nil {
			n.metrics.NATSErrors.Inc(stats.OpPublish)
		}
	}
}
