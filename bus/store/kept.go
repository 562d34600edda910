package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
	"hydrant/bus/tracectx"
)

// sealed is a seal as it was read: all that its mailbox held before it was delivered, or
// lies in what was set aside from one place to another. 0 and 0: all was delivered.
type sealed struct {
	seq      uint64
	at       int64 // when it was stored, Unix ns
	from, to uint64
	// count and bytes are of the copies there, those that are there twice or were delivered
	// since as well.
	count, bytes uint64
}

// sealOf reads a seal; nil: it is none. One that cannot be read says nothing.
func sealOf(h nats.Header, seq uint64, at int64) *sealed {
	if h.Get(scheme.HeaderMark) != scheme.MarkSeal {
		return nil
	}
	from, to, ok1 := scheme.ParsePair(h.Get(scheme.HeaderKept))
	count, bytes, ok2 := scheme.ParsePair(h.Get(scheme.HeaderKeptSize))
	if !ok1 || !ok2 {
		return nil
	}
	return &sealed{seq, at, from, to, count, bytes}
}

// item is a message that was set aside, or a loss.
type item = kept.Item[Stored]

// itemOf reads one; false: it is a probe, or of no known form.
func itemOf(m *nats.Msg) (it item, ok bool) {
	if lost := m.Header.Get(scheme.HeaderLost); lost != "" {
		it.From, it.To, ok = scheme.ParsePair(lost)
		return it, ok && it.To > 0
	}
	seq, before, ok := scheme.ParsePair(m.Header.Get(scheme.HeaderCopied))
	if !ok || seq == 0 {
		return it, false
	}
	at, err := strconv.ParseInt(m.Header.Get(scheme.HeaderCopiedAt), 10, 64)
	if err != nil {
		return it, false
	}
	life := m.Header.Get(jet.HeaderTTL)
	return item{Seq: seq, Prev: before, Time: at, Msg: Stored{
		Seq: seq, TTL: life != "", Life: lifeOf(life), Time: at, Trace: tracectx.Parent(m.Header), Payload: m.Data,
	}}, true
}

const (
	// keptBatch and keptBytes bound one page of what was set aside.
	keptBatch = 512
	keptBytes = 1 << 20
	// shelfBytes bounds what of it is in memory for one session: the beginning.
	shelfBytes = 4 << 20
	// keptProbeTTL is how long a probe stays, which shows that an answer is recent.
	keptProbeTTL = 5 * time.Second
)

// readKept reads what was set aside of a mailbox from one place to another, or all of it
// (to 0). The answers count if they show the last place, or a later one; else a probe that
// was written after the question.
func (m *mailbox) readKept(ctx context.Context, sid scheme.SID, from, to uint64, take func(seq uint64, it item)) error {
	stream, subject := scheme.KeptStream(m.store.PartitionOf(sid)), scheme.KeptSubject(sid)
	proof := to
	for pause := sureFirstPause; ; pause = min(2*pause, sureMostPause) {
		if proof == 0 {
			seq, err := jet.PublishAcked(ctx, m.store.nc, &nats.Msg{Subject: subject, Header: nats.Header{
				scheme.HeaderMark: []string{"1"}, jet.HeaderTTL: []string{jet.TTLSeconds(keptProbeTTL)},
			}})
			if err != nil {
				return fmt.Errorf("bus: %s: %w", stream, err)
			}
			proof = seq
		}
		last, err := m.keptPages(ctx, stream, subject, max(from, 1), proof, to, take)
		if err != nil {
			return err
		}
		if last >= proof {
			return nil
		}
		if proof == to { // it may have had a time to live
			proof = 0
			continue
		}
		if err := jet.Pause(ctx, pause); err != nil {
			return fmt.Errorf("%w: bus: %s: %w", ErrUnconfirmed, stream, errLags)
		}
	}
}

// keptPages reads pages until one shows the sequence that proves them, and returns the
// last that was shown.
func (m *mailbox) keptPages(ctx context.Context, stream, subject string, from, proof, to uint64, take func(seq uint64, it item)) (last uint64, err error) {
	req := batchRequest{From: from, NextFor: subject, Batch: keptBatch, MaxBytes: keptBytes}
	for {
		end, err := m.store.directGet(ctx, stream, req, keptBatch, func(msg *nats.Msg, seq uint64) error {
			last = seq
			if to != 0 && seq > to {
				return nil
			}
			if it, ok := itemOf(msg); ok {
				take(seq, it)
			}
			return nil
		})
		if err != nil || end.pending == 0 || last >= proof {
			return last, err
		}
		req.From = last + 1
	}
}

// Shelf is what a reader remembers of what was set aside of its mailbox. The zero value
// remembers nothing. It belongs to one reading at a time.
type Shelf struct {
	seal  *sealed // nil: nothing
	shelf kept.Shelf[Stored]
	end   uint64 // it has all up to there; 0: up to the seal
}

// Empty reports whether it remembers nothing.
func (s *Shelf) Empty() bool { return s.seal == nil }

// collector keeps the beginning of what was set aside.
type collector struct {
	from  uint64
	items []item
	bytes int
	end   uint64 // what is from there on was not kept; 0: all was
}

func (c *collector) take(_ uint64, it item) {
	if it.Seq != 0 && (it.Seq < c.from || c.end != 0 && it.Seq >= c.end) {
		return
	}
	c.items = append(c.items, it)
	if c.bytes += len(it.Msg.Payload); c.bytes <= 2*shelfBytes {
		return
	}
	c.items, c.end = kept.Beginning(c.items, func(it *item) int { return len(it.Msg.Payload) }, shelfBytes)
	c.bytes = 0
	for i := range c.items {
		c.bytes += len(c.items[i].Msg.Payload)
	}
}
