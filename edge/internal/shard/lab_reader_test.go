package shard

import (
	"context"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// fakeMailboxes are the mailboxes as one node sees them.
type fakeMailboxes struct{ n *testNode }

// NewReader implements [Mailboxes].
func (m fakeMailboxes) NewReader(sid scheme.SID, _ uint64) Reader {
	return &fakeReader{n: m.n, sid: sid}
}

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

// PartitionOf implements [Mailboxes].
func (m fakeMailboxes) PartitionOf(sid scheme.SID) int { return scheme.StreamIndexOf(sid, 2) }

// fakeReader is a [store.Reader].
type fakeReader struct {
	n      *testNode
	sid    scheme.SID
	closed bool
}

// Toward implements [Reader].
func (r *fakeReader) Toward(uint64) {}

// Read implements [Reader]. It takes no time, since a shard's reads of a mailbox
// exclude one another with a lock, which a task must not wait for: where reads are
// to be slow, the pool is.
func (r *fakeReader) Read(_ context.Context, from, anchor uint64, limit, maxBytes int) (store.Batch, error) {
	if r.closed {
		return store.Batch{}, store.ErrReaderClosed
	}
	if r.n.cut {
		return store.Batch{}, store.ErrUnconfirmed
	}
	if f := of(r.n.l.nats.faults.read, r.sid); f.err != nil {
		return store.Batch{}, f.err
	}
	return r.n.l.nats.batch(r.sid, max(from, 1), anchor, limit, maxBytes), nil
}

// Close implements [Reader].
func (r *fakeReader) Close(context.Context) error {
	r.closed = true
	return nil
}

// batch is what a reader gets, and what the leader says about the anchor.
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
		out.Msgs = append(out.Msgs, store.Stored{Seq: m.seq, Mark: m.mark != 0, TTL: m.ttl, Time: m.at, Payload: m.data})
		out.Next = m.seq + 1
	}
	if len(out.Msgs) == 0 {
		out.Next, out.Last = out.Oldest, b.seq
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
		out.Last = b.seq
	}
}
