package store

import (
	"context"
	"strconv"

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
	// TTL: see [Copy].
	TTL bool
	// Time at which the stream stored it, Unix ns; 0: unknown.
	Time int64
	// Trace is the traceparent that the message was stored with.
	Trace string
	// Payload belongs to the receiver and must not be modified.
	Payload []byte
}

func storedOf(m *nats.Msg, seq uint64, at int64) Stored {
	mark, holder, attempt := markOf(m.Header)
	return Stored{
		Seq:     seq,
		Mark:    mark != 0,
		Holder:  holder,
		Attempt: attempt,
		TTL:     m.Header.Get(jet.HeaderTTL) != "",
		Time:    at,
		Trace:   tracectx.Parent(m.Header),
		Payload: m.Data,
	}
}

// Batch is the answer of one Read.
type Batch struct {
	// Msgs are what follows in the mailbox from the given sequence, without
	// omission, in order. May be empty.
	Msgs []Stored
	// Anchor was asked of the stream's leader after Msgs were in hand.
	Anchor AnchorState
	// AnchorTime is when the message at the anchor was stored, if it is
	// present, Unix ns; 0: unknown. Another time than the one first seen means
	// another log.
	AnchorTime int64
	// Oldest is, where the anchor is not present, the first sequence of this
	// mailbox from the given one on according to the leader; 0: none.
	Oldest uint64
	// Next is, for an empty batch, the sequence of the first message from the
	// given one on, according to the leader; 0: the leader has none. A batch
	// that is empty although Next is not 0 came from a replica that lags: read
	// again. If Msgs is not empty, Next is the sequence after the last of them.
	Next uint64
	// Last is the last sequence of the stream according to its leader, where
	// that had to be asked: when the leader has nothing, or not the anchor.
	// Otherwise 0.
	Last uint64
}

const (
	// maxBatch bounds the messages of one Read.
	maxBatch = 1024
	// defaultBatchBytes bounds the bytes of one Read that gives no bound.
	defaultBatchBytes = 1 << 20
)

// Reader reads a session's mailbox from a sequence on. The first few messages
// are asked of the stream itself, one by one; what is behind them is the
// session's reconnection queue, a durable consumer that carries the session's
// id and exists from then on until Close. One goroutine at a time uses a Reader.
type Reader struct {
	// Immutable after NewReader.
	store   *Store
	stream  string
	subject string
	sid     scheme.SID
	holder  uint64

	// Owned by the caller of Toward, Read and Close.
	aim    uint64 // see Toward
	long   bool   // there may be more than the first few: a consumer goes on
	early  uint64 // where the first consumer begins, before what is asked of it; 0: it was made
	skip   int    // messages that it delivers before those
	name   string // of the consumer that may exist on the server; empty: none
	broken bool   // it cannot be used any more
	next   uint64 // what the consumer delivers next, at least
	cseq   uint64 // consumer sequence of the last message
	absent int    // "no responders" in a row
	closed bool
}

// NewReader prepares a reader; it does no I/O. holder is the one in the directory
// entry as which the caller owns the session ([scheme.Entry].Holder): it keeps the
// consumers of a former owner and of this one apart.
func (s *Store) NewReader(sid scheme.SID, holder uint64) *Reader {
	return &Reader{store: s, stream: s.stream(sid), subject: scheme.MailboxSubject(sid), sid: sid, holder: holder}
}

// Toward tells how far the next Reads are to come, as far as is known: to a
// message at seq, about. It decides how they are done, not what they return.
func (r *Reader) Toward(seq uint64) { r.aim = seq }

// Read returns up to limit messages, of about maxBytes, from sequence from on
// (0 and 1 both mean the mailbox's start). The first one returns a few at most,
// or a queue that is likely to be short.
// If it does not reach the end, a consumer serves those after it as long as each
// goes on where the one before ended; otherwise it is made anew.
//
// When the messages are in hand, Read asks the stream's leader about the
// message at anchor (0: does not ask): its presence then proves that none was
// dropped in between. With limit 0 it asks that only. Temporary conditions (no
// leader, a consumer that is not reachable yet or was lost with its server) are
// retried until ctx ends.
func (r *Reader) Read(ctx context.Context, from, anchor uint64, limit, maxBytes int) (Batch, error) {
	if r.closed {
		return Batch{}, ErrReaderClosed
	}
	if err := r.store.replies.Err(); err != nil {
		return Batch{}, err // a few messages could be read even so
	}
	from = max(from, 1)
	limit = min(max(limit, 0), maxBatch)
	if maxBytes <= 0 {
		maxBytes = defaultBatchBytes
	}
	ctx, cancel := r.store.bounded(ctx)
	defer cancel()

	var b Batch
	if limit == 0 {
		err := r.checkAnchor(ctx, from, anchor, &b)
		return b, err
	}
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		if !r.long {
			b.Msgs, err = r.few(ctx, from, limit, maxBytes)
			return err
		}
		if err = r.position(ctx, from); err == nil {
			b.Msgs, err = r.pull(ctx, limit, maxBytes)
		}
		return err
	})
	if err != nil {
		return Batch{}, err
	}
	if n := len(b.Msgs); n > 0 {
		b.Next = b.Msgs[n-1].Seq + 1
	} else if err := r.checkEnd(ctx, from, &b); err != nil {
		return Batch{}, err
	}
	if err := r.checkAnchor(ctx, from, anchor, &b); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// Close removes the consumer, if there is one. The reader cannot be used
// again. If Close fails, the server removes the consumer after five minutes.
func (r *Reader) Close(ctx context.Context) error {
	if r.closed {
		return nil
	}
	r.closed = true
	if r.name == "" {
		return nil
	}
	ctx, cancel := r.store.bounded(ctx)
	defer cancel()
	return jet.Retry(ctx, r.remove)
}

// checkEnd asks the leader whether an empty batch really is the end.
func (r *Reader) checkEnd(ctx context.Context, from uint64, b *Batch) error {
	m, found, err := jet.LeaderGet(ctx, r.store.nc, r.stream, jet.GetRequest{Seq: from, NextFor: r.subject})
	if err != nil {
		return err
	}
	if found {
		b.Next = m.Seq
		return nil
	}
	return r.askLast(ctx, b)
}

// checkAnchor asks the leader about the message at anchor. A sequence beyond
// the stream's end is not one that was dropped: the log went back.
func (r *Reader) checkAnchor(ctx context.Context, from, anchor uint64, b *Batch) error {
	if anchor == 0 {
		return nil
	}
	m, found, err := jet.LeaderGet(ctx, r.store.nc, r.stream, jet.GetRequest{Seq: anchor})
	switch {
	case err != nil:
		return err
	case found && m.Subject == r.subject:
		b.Anchor, b.AnchorTime = AnchorPresent, m.Time.UnixNano()
		return nil
	case found:
		b.Anchor = AnchorForeign
		return r.askOldest(ctx, from, b)
	}
	if err := r.askLast(ctx, b); err != nil {
		return err
	}
	b.Anchor = AnchorGone
	if anchor > b.Last {
		b.Anchor = AnchorForeign
	}
	return r.askOldest(ctx, from, b)
}

// askOldest fills in b.Oldest. It is asked after the anchor, though an empty
// batch knows the answer from before: only what was there after the anchor was
// gone is sure to be what is left.
func (r *Reader) askOldest(ctx context.Context, from uint64, b *Batch) error {
	m, _, err := jet.LeaderGet(ctx, r.store.nc, r.stream, jet.GetRequest{Seq: from, NextFor: r.subject})
	b.Oldest = m.Seq
	return err
}

// askLast fills in b.Last.
func (r *Reader) askLast(ctx context.Context, b *Batch) error {
	if b.Last != 0 {
		return nil
	}
	st, err := jet.LeaderState(ctx, r.store.nc, r.stream)
	b.Last = st.LastSeq
	return err
}
