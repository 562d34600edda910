package shard

import (
	"context"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// fakeMailboxes are the mailboxes as one node sees them.
type fakeMailboxes struct{ n *testNode }

// LastSeqs implements [Mailboxes].
func (m fakeMailboxes) LastSeqs(_ context.Context, sids []scheme.SID) (map[scheme.SID]uint64, error) {
	f := fault{}
	if sweep := m.n.l.nats.faults.sweep; sweep != nil {
		f = sweep()
	}
	if err := m.n.suffer(f); err != nil {
		return nil, err
	}
	last := make(map[scheme.SID]uint64)
	for _, sid := range sids {
		if seq := m.n.l.nats.last(sid); seq != 0 {
			last[sid] = seq
		}
	}
	return last, nil
}

// NewSID implements [Mailboxes].
func (m fakeMailboxes) NewSID() (scheme.SID, error) { return scheme.NewSID(), nil }

// TTL implements [Mailboxes].
func (m fakeMailboxes) TTL() time.Duration { return m.n.Config.SessionTTL }

// PartitionOf implements [Mailboxes].
func (m fakeMailboxes) PartitionOf(sid scheme.SID) int { return scheme.StreamIndexOf(sid, 2) }

// Read implements [Mailboxes].
func (m fakeMailboxes) Read(_ context.Context, sid scheme.SID, from, anchor uint64, limit, maxBytes int) (store.Batch, error) {
	if m.n.cut {
		return store.Batch{}, store.ErrUnconfirmed
	}
	if f := of(m.n.l.nats.faults.read, sid); f.err != nil {
		return store.Batch{}, f.err
	}
	return m.n.l.nats.batch(sid, max(from, 1), anchor, limit, maxBytes), nil
}

// WentBack implements [Mailboxes].
func (m fakeMailboxes) WentBack(_ context.Context, seen store.Sighting) (bool, error) {
	if err := m.n.suffer(fault{}); err != nil {
		return false, err
	}
	b := m.n.l.nats
	for _, there := range b.alive() {
		if there.seq == seen.Seq {
			return there.sid != seen.SID || there.at != seen.Time, nil
		}
	}
	return b.seq < seen.Seq, nil
}

// piece reads the mailboxes of a partition together, as [store.Store.ReadPiece] does.
func (n *testNode) piece(_ context.Context, partition int, from uint64, limit, maxBytes int) (p store.Piece, err error) {
	b := n.l.nats
	b.pieces++
	f := fault{}
	if b.faults.piece != nil {
		f = b.faults.piece(from)
	}
	if err := n.suffer(f); err != nil {
		return p, err
	}
	if b.pieceLimit > 0 {
		limit = b.pieceLimit
	}
	size := 0
	for _, m := range b.alive() {
		if m.seq < from || n.Mailboxes.PartitionOf(m.sid) != partition {
			continue
		}
		if len(p.Msgs) == limit || size >= maxBytes {
			p.More = true
			break
		}
		size += len(m.data)
		p.Last = m.seq
		p.Msgs = append(p.Msgs, store.Boxed{SID: m.sid, Stored: m.read()})
	}
	n.l.sleep(f.after)
	return p, nil
}

// read is what a read of the store says of an entry.
func (m *stored) read() store.Stored {
	s := store.Stored{Seq: m.seq, Mark: m.mark != 0, Holder: m.holder, TTL: m.ttl, Time: m.at, Payload: m.data}
	if m.ttl {
		s.Life = m.life
	}
	return s
}

// batch is what one server has.
func (b *broker) batch(sid scheme.SID, from, anchor uint64, limit, maxBytes int) store.Batch {
	var out store.Batch
	size := 0
	for _, m := range b.alive() {
		if m.sid != sid || m.seq < from {
			continue
		}
		if out.Oldest == 0 {
			out.Oldest = m.seq
		}
		if len(out.Msgs) == limit || size >= maxBytes {
			break
		}
		size += len(m.data)
		out.Msgs = append(out.Msgs, m.read())
		out.Next = m.seq + 1
	}
	if len(out.Msgs) == 0 {
		out.Next, out.Last, out.HasLast = out.Oldest, b.seq, true
	}
	b.judge(sid, anchor, &out)
	return out
}

// judge fills in what became of the anchor.
func (b *broker) judge(sid scheme.SID, anchor uint64, out *store.Batch) {
	if anchor == 0 {
		return
	}
	out.Anchor = store.AnchorGone
	if anchor > b.seq {
		out.Anchor = store.AnchorForeign
	}
	for _, m := range b.log {
		if m.seq == anchor {
			out.Anchor, out.AnchorTime = store.AnchorPresent, m.at
			if m.sid != sid {
				out.Anchor, out.AnchorTime = store.AnchorForeign, 0
			}
		}
	}
	if out.Anchor == store.AnchorPresent {
		out.Oldest = 0
	} else {
		out.Last, out.HasLast = b.seq, true
	}
}
