package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

// Question is what a reader asks of a mailbox.
type Question struct {
	From, Anchor    uint64 // as for [Store.Read]
	Limit, MaxBytes int    // the same

	// Place is up to where the reader has dealt with all.
	Place uint64
	// Known: the anchor was met in this mailbox, and is not only a client's word.
	Known bool
	// Settled: up to there the session's entry says, or once said, that all was delivered.
	Settled uint64
	// Shelf is what the reader remembers from one question to the next; not nil.
	Shelf *Shelf
}

// ReadWhole is [Store.Read], of the mailbox as if nothing had been set aside: see package
// [hydrant/bus/kept].
func (s *Store) ReadWhole(ctx context.Context, sid scheme.SID, q Question) (Batch, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	m := mailbox{s, s.stream(sid), scheme.MailboxSubject(sid)}
	if seal := q.Shelf.seal; seal != nil && q.Anchor < seal.seq && q.From <= seal.seq {
		if b, err := m.fromSeal(ctx, &q, seal); err == nil || !jet.Temporary(err) {
			return b, err
		}
	}
	*q.Shelf = Shelf{}
	b, err := s.Read(ctx, sid, q.From, q.Anchor, q.Limit, q.MaxBytes)
	if err != nil || b.Anchor == AnchorPresent || b.Anchor == AnchorForeign {
		return b, err
	}
	st, err := jet.LeaderState(ctx, s.nc, m.stream)
	if err != nil {
		return Batch{}, err
	}
	if q.Anchor != 0 && st.FirstSeq <= q.Anchor || q.Anchor == 0 && st.FirstSeq <= q.From {
		return b, nil // nothing was purged there
	}
	seen, err := m.findSeal(ctx, &q)
	switch {
	case err != nil:
		return Batch{}, err
	case seen.older:
		return b, nil
	case seen.seal == nil:
		return m.unsealed(ctx, sid, &q, b)
	case seen.seal.seq < q.From:
		return m.behindSeal(ctx, sid, &q, seen.seal, b)
	}
	c := collector{from: min(q.From, max(q.Anchor, 1))}
	if seen.seal.to != 0 {
		if err := m.readKept(ctx, sid, seen.seal.from, seen.seal.to, c.take); err != nil {
			return Batch{}, err
		}
	}
	*q.Shelf = Shelf{seen.seal, kept.NewShelf(c.items), c.end}
	return m.fromSeal(ctx, &q, seen.seal)
}

// found is what the log shows from a place on.
type found struct {
	seal  *sealed  // the first seal; nil: none
	older bool     // something that should be gone with the anchor is there
	seqs  []uint64 // without a seal: all there are
}

// findSeal looks for the first seal from a place on. A server that still has the anchor is
// behind.
func (m *mailbox) findSeal(ctx context.Context, q *Question) (f found, err error) {
	req := batchRequest{From: max(q.From, 1), NextFor: m.subject, Batch: keptBatch, MaxBytes: keptBytes}
	if q.Anchor != 0 && q.Anchor < req.From {
		req.From = q.Anchor
	}
	for {
		last := uint64(0)
		end, err := m.store.directGet(ctx, m.stream, req, keptBatch, func(msg *nats.Msg, seq uint64) error {
			last = seq
			switch {
			case q.Anchor != 0 && seq == q.Anchor:
				return fmt.Errorf("%w: bus: %s: %w", ErrUnconfirmed, m.stream, errLags)
			case f.seal != nil || f.older || seq < q.From && q.From <= q.Anchor+1:
			case seq <= q.Anchor:
				f.older = true
			default:
				f.seal = sealOf(msg.Header, seq, storedAt(msg.Header))
				f.seqs = append(f.seqs, seq)
			}
			return nil
		})
		if err != nil || f.seal != nil || f.older || end.pending == 0 || last == 0 {
			return f, err
		}
		req.From = last + 1
	}
}

// behindSeal answers where a seal lies between the anchor and what is asked for: as long as
// it is there, it stands for the anchor. b is what the log alone says.
func (m *mailbox) behindSeal(ctx context.Context, sid scheme.SID, q *Question, seal *sealed, b Batch) (Batch, error) {
	if !q.Known || q.Place < q.Settled {
		return b, nil
	}
	now, err := m.store.Read(ctx, sid, q.From, seal.seq, q.Limit, q.MaxBytes)
	if err != nil || now.Anchor != AnchorPresent || now.AnchorTime != seal.at {
		return b, err
	}
	now.AnchorTime = 0
	return now, nil
}

// fromSeal answers from what was set aside before a seal, and else from the log behind it.
// One answer of one server has the seal and what follows: nothing was dropped in between.
func (m *mailbox) fromSeal(ctx context.Context, q *Question, seal *sealed) (Batch, error) {
	limit, from := max(q.Limit, 1), seal.seq
	end := seal.seq
	if q.Shelf.end != 0 {
		end = q.Shelf.end
	}
	a := q.Shelf.shelf.Sealed(kept.Question{From: q.From, Place: q.Place, Anchor: q.Anchor, Known: q.Known, Settled: q.Settled}, end)
	if len(a.Msgs) > 0 {
		limit = 1
	}
	b, _, err := m.follow(ctx, from, 0, limit, q.MaxBytes)
	if err != nil {
		return Batch{}, err
	}
	if len(b.Msgs) == 0 || b.Msgs[0].seal == nil || *b.Msgs[0].seal != *seal {
		*q.Shelf = Shelf{}
		return Batch{}, fmt.Errorf("%w: bus: %s: a seal is not there any more, or not yet", ErrUnconfirmed, m.stream)
	}
	if len(a.Msgs) == 0 && q.Shelf.end != 0 { // the rest of what was set aside has to be read
		*q.Shelf = Shelf{}
		return Batch{}, fmt.Errorf("%w: bus: %s: too much at once was set aside", ErrUnconfirmed, m.stream)
	}
	return q.answer(a, b.Msgs), nil
}

// answer is what was set aside, and else what follows in the log.
func (q *Question) answer(a kept.Answer[Stored], log []Stored) Batch {
	var b Batch
	switch {
	case q.Anchor != 0 && a.There:
		b.Anchor, b.AnchorTime = AnchorPresent, a.AnchorTime
	case q.Anchor != 0:
		b.Anchor, b.Oldest = AnchorGone, a.Oldest
	}
	if len(a.Msgs) > 0 {
		log, b.Next = nil, a.Msgs[0].Seq
	} else if len(log) > 0 {
		b.Next = log[0].Seq
	}
	if !a.There {
		b.Oldest = b.Next
	}
	if q.Limit <= 0 {
		return b
	}
	size, most := 0, q.MaxBytes
	if most <= 0 {
		most = defaultBatchBytes
	}
	for _, it := range a.Msgs {
		if size += len(it.Msg.Payload); len(b.Msgs) == min(q.Limit, maxBatch) || size > most && len(b.Msgs) > 0 {
			break
		}
		b.Msgs = append(b.Msgs, it.Msg)
	}
	b.Msgs = append(b.Msgs, log...)
	b.Next = b.Msgs[len(b.Msgs)-1].Seq + 1
	return b
}

// unsealed answers where no seal is there any more, so that the stream itself has dropped
// what came after it. What was set aside is compared with a log that has all that was
// stored before it was read. b is what the log alone says.
func (m *mailbox) unsealed(ctx context.Context, sid scheme.SID, q *Question, b Batch) (Batch, error) {
	note, err := m.store.directory.LastBack(ctx, m.store.PartitionOf(sid))
	if err != nil {
		return Batch{}, err
	}
	if note.Rev != 0 { // copies may be of a log that is gone
		return b, nil
	}
	c := collector{from: min(q.From, max(q.Anchor, 1))}
	if err := m.readKept(ctx, sid, 1, 0, c.take); err != nil {
		return Batch{}, err
	}
	if len(c.items) == 0 {
		return b, nil
	}
	last, err := jet.PublishAcked(ctx, m.store.nc, briefMarker(scheme.NewSIDIn(m.store.PartitionOf(sid), m.store.cfg.Streams)))
	if err != nil {
		return Batch{}, err
	}
	st, err := jet.LeaderState(ctx, m.store.nc, m.stream)
	if err != nil {
		return Batch{}, err
	}
	seen, err := m.findSeal(ctx, q)
	if err != nil {
		return Batch{}, err
	}
	if seen.seal != nil || seen.older || st.LastSeq < last {
		return Batch{}, fmt.Errorf("%w: bus: %s: %w", ErrUnconfirmed, m.stream, errLags)
	}
	shelf, first := kept.NewShelf(c.items), st.LastSeq+1
	if len(seen.seqs) > 0 {
		first = slices.Min(seen.seqs)
	}
	lasting := kept.NewShelf(slices.DeleteFunc(slices.Clone(c.items), func(it item) bool { return it.Msg.TTL }))
	if lasting.Strange(max(q.Anchor, q.Settled), seen.seqs, st.LastSeq) {
		if q.Anchor != 0 { // else the copies are of a log that is known to be gone
			b = Batch{Anchor: AnchorForeign, Oldest: b.Oldest, Last: st.LastSeq, HasLast: true}
		}
		return b, nil
	}
	if c.end != 0 {
		first = min(first, c.end)
	}
	a := shelf.Unsealed(kept.Question{From: q.From, Place: q.Place, Anchor: q.Anchor, Known: q.Known, Settled: q.Settled}, first)
	if len(a.Msgs) == 0 {
		return b, nil
	}
	return q.answer(a, nil), nil
}
