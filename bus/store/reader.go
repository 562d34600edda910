package store

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
)

// AnchorState says what became of the message that a reader's place in the
// mailbox rests on.
type AnchorState uint8

const (
	// AnchorUnchecked: no anchor was given.
	AnchorUnchecked AnchorState = iota
	// AnchorPresent: it is still there, so nothing after it was dropped.
	AnchorPresent
	// AnchorGone: it was dropped; what followed it may have been as well.
	AnchorGone
	// AnchorForeign: at its sequence is another mailbox's message, or the
	// stream ends before it: the log is not the one that the anchor is from.
	AnchorForeign
)

func (a AnchorState) String() string {
	switch a {
	case AnchorUnchecked:
		return "unchecked"
	case AnchorPresent:
		return "present"
	case AnchorGone:
		return "gone"
	case AnchorForeign:
		return "foreign"
	}
	return "AnchorState(" + strconv.Itoa(int(a)) + ")"
}

// Stored is a message of a mailbox as it was read back.
type Stored struct {
	Seq uint64
	// Mark: a marker, not for the client.
	Mark bool
	// Holder and Attempt: see [Copy].
	Holder, Attempt uint64
	// TTL and Life: see [Copy].
	TTL  bool
	Life time.Duration
	// Time at which the stream stored it, Unix ns; 0: unknown.
	Time int64
	// Trace is the traceparent that the message was stored with.
	Trace string
	// Payload belongs to the receiver and must not be modified.
	Payload []byte
}

func storedOf(m *nats.Msg, seq uint64, at int64) Stored {
	mark, holder, attempt := markOf(m.Header)
	life := m.Header.Get(jet.HeaderTTL)
	return Stored{
		Seq:     seq,
		Mark:    mark != 0,
		Holder:  holder,
		Attempt: attempt,
		TTL:     life != "",
		Life:    lifeOf(life),
		Time:    at,
		Trace:   tracectx.Parent(m.Header),
		Payload: m.Data,
	}
}

// Batch is the answer of one Read.
type Batch struct {
	// Msgs are what follows in the mailbox from the given sequence, in order and
	// without omission, as one server has it. May be empty.
	Msgs []Stored
	// Anchor is what the same server says, at the same time; or the stream's leader,
	// if Msgs is empty.
	Anchor AnchorState
	// AnchorTime is when the message at the anchor was stored, if it is
	// present, Unix ns; 0: unknown. Another time than the one first seen means
	// another log.
	AnchorTime int64
	// Oldest is, where the anchor is not present, the first sequence of this
	// mailbox from the given one on; 0: none.
	Oldest uint64
	// Next is, for an empty batch, the sequence of the first message from the
	// given one on, according to the leader; 0: the leader has none. A batch
	// that is empty although Next is not 0 came from a replica that lags: read
	// again. If Msgs is not empty, Next is the sequence after the last of them.
	Next uint64
	// Last is the last sequence of the stream according to its leader, if HasLast:
	// where the leader had nothing, or not the anchor. One that was deposed and does
	// not know it ends too early, and all that it says is worth nothing.
	Last    uint64
	HasLast bool
}

const (
	// maxBatch bounds the messages of one Read.
	maxBatch = 1024
	// defaultBatchBytes bounds the bytes of one Read that gives no bound.
	defaultBatchBytes = 1 << 20
)

// mailbox is one session's part of a stream.
type mailbox struct {
	store           *Store
	stream, subject string
}

// Read returns up to limit messages of a session's mailbox, of about maxBytes, from
// sequence from on (0 and 1 both mean the mailbox's start); at least one if there is
// one. Any replica answers, and may lag.
//
// It also says what became of the message at anchor (0: does not ask): its presence
// proves that none was dropped in between. With limit 0 it asks that only, of the
// leader. Temporary conditions (no leader, a server that does not answer) are retried
// until ctx ends.
func (s *Store) Read(ctx context.Context, sid scheme.SID, from, anchor uint64, limit, maxBytes int) (Batch, error) {
	if err := s.replies.Err(); err != nil {
		return Batch{}, err
	}
	from = max(from, 1)
	limit = min(max(limit, 0), maxBatch)
	if maxBytes <= 0 {
		maxBytes = defaultBatchBytes
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()

	m := mailbox{s, s.stream(sid), scheme.MailboxSubject(sid)}
	var b Batch
	if limit == 0 {
		err := m.checkAnchor(ctx, from, anchor, &b)
		return b, err
	}
	whole := false
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		b, whole, err = m.follow(ctx, from, anchor, limit, maxBytes)
		return err
	})
	switch n := len(b.Msgs); {
	case err != nil:
	case n == 0:
		b = Batch{} // that server may be behind
		if err = m.checkEnd(ctx, from, &b); err == nil {
			err = m.checkAnchor(ctx, from, anchor, &b)
		}
	case anchor == 0, b.Anchor == AnchorPresent:
	case whole && anchor < b.Msgs[n-1].Seq:
		err = m.judgeAbsence(ctx, anchor, &b)
	default:
		err = m.checkAnchor(ctx, from, anchor, &b)
	}
	if err != nil {
		return Batch{}, err
	}
	if n := len(b.Msgs); n > 0 {
		b.Next = b.Msgs[n-1].Seq + 1
	}
	return b, nil
}

// follow asks any replica for what follows, and for the anchor before that in the
// same answer, which a server gives as a whole: it stores nothing meanwhile. What is
// between the two, and the anchor's own bytes, may use the answer up: then the messages
// are asked for by themselves, and it is not the whole.
func (m *mailbox) follow(ctx context.Context, from, anchor uint64, limit, maxBytes int) (b Batch, whole bool, err error) {
	req := batchRequest{From: from, NextFor: m.subject, Batch: limit, MaxBytes: maxBytes}
	if anchor != 0 && anchor < from {
		req.From, req.Batch = anchor, limit+1
	}
	for {
		b = Batch{}
		end, err := m.store.directGet(ctx, m.stream, req, req.Batch, func(msg *nats.Msg, seq uint64) error {
			at := storedAt(msg.Header)
			if seq == anchor {
				b.Anchor, b.AnchorTime = AnchorPresent, at
			}
			if seq >= from {
				b.Msgs = append(b.Msgs, storedOf(msg, seq, at))
			}
			return nil
		})
		b.Msgs = b.Msgs[:min(len(b.Msgs), limit)]
		if err != nil || len(b.Msgs) > 0 || end.pending == 0 || req.From == from {
			return b, req.From <= anchor, err
		}
		req.From, req.Batch = from, limit
	}
}

// judgeAbsence says what an answer tells of an anchor that is not in it, though
// something later of the mailbox is: it was dropped, unless it never was.
func (m *mailbox) judgeAbsence(ctx context.Context, anchor uint64, b *Batch) error {
	b.Anchor, b.Oldest = AnchorGone, b.Msgs[0].Seq
	msg, found, err := jet.LeaderGet(ctx, m.store.nc, m.stream, jet.GetRequest{Seq: anchor})
	if found && msg.Subject != m.subject {
		b.Anchor = AnchorForeign
	}
	return err
}

// checkEnd asks the leader whether an empty batch really is the end.
func (m *mailbox) checkEnd(ctx context.Context, from uint64, b *Batch) error {
	next, err := m.next(ctx, from)
	if err != nil {
		return err
	}
	if b.Next = next; next != 0 {
		return nil
	}
	return m.askLast(ctx, b)
}

// checkAnchor asks the leader about the message at anchor. A sequence beyond
// the stream's end is not one that was dropped: the log went back.
func (m *mailbox) checkAnchor(ctx context.Context, from, anchor uint64, b *Batch) (err error) {
	if anchor == 0 {
		return nil
	}
	msg, found, err := jet.LeaderGet(ctx, m.store.nc, m.stream, jet.GetRequest{Seq: anchor})
	switch {
	case err != nil:
		return err
	case found && msg.Subject == m.subject:
		b.Anchor, b.AnchorTime = AnchorPresent, msg.Time.UnixNano()
		return nil
	case found:
		b.Anchor = AnchorForeign
	default:
		if err := m.askLast(ctx, b); err != nil {
			return err
		}
		b.Anchor = AnchorGone
		if anchor > b.Last {
			b.Anchor = AnchorForeign
		}
	}
	// After the anchor, though an empty batch knows the answer from before: only what
	// was there after the anchor was gone is sure to be what is left.
	b.Oldest, err = m.next(ctx, from)
	return err
}

// next asks the leader for the first message from a sequence on; 0: there is none.
func (m *mailbox) next(ctx context.Context, from uint64) (uint64, error) {
	msg, _, err := jet.LeaderGet(ctx, m.store.nc, m.stream, jet.GetRequest{Seq: from, NextFor: m.subject})
	return msg.Seq, err
}

// askLast fills in b.Last.
func (m *mailbox) askLast(ctx context.Context, b *Batch) error {
	if b.HasLast {
		return nil
	}
	st, err := jet.LeaderState(ctx, m.store.nc, m.stream)
	b.Last, b.HasLast = st.LastSeq, err == nil
	return err
}
