package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

// box is one mailbox that a round is busy with.
type box struct {
	mailbox
	sid   scheme.SID
	floor uint64 // up to there all was delivered

	last   uint64 // the mailbox's, up to which all is made sure
	anchor uint64 // one up to there that has no time to live: as long as it is there, nothing behind it was dropped
	at     int64  // when that was stored, Unix ns; 0: unknown
	link   uint64 // the last one that was dealt with, for the next copy
	read   bool   // what is beyond the anchor has to be read

	from, to     uint64 // what the seal will name
	count, bytes uint64
}

// sealTries bounds how often a mailbox that takes messages all the time is tried.
const sealTries = 50

// settle sees to it that a mailbox says by a seal that all before it is delivered or set
// aside, unless it has nothing below the horizon.
func (m *mover) settle(ctx context.Context, sid scheme.SID, e *scheme.Entry) error {
	to := m.parts[m.node.PartitionOf(sid)].to
	b := &box{mailbox: mailbox{m.on, m.on.stream(sid), scheme.MailboxSubject(sid)}, sid: sid}
	if !e.Back {
		b.floor, b.last, b.at = e.Floor, e.Seen, e.SeenTime // the floor may have had a time to live
		if b.last == 0 {
			b.last, b.at = e.Floor, e.FloorTime
		}
		b.anchor, b.link = b.last, max(b.last, b.floor)
	}
	if b.last != 0 && (b.at <= m.since || e.Unsure) {
		there, err := m.lookUp(ctx, b)
		if err != nil {
			return err
		}
		b.read = !there
	}
	if b.last > to {
		return nil
	}
	for range sealTries {
		if b.read || b.last == 0 {
			if err := m.readBox(ctx, b); jet.Temporary(err) {
				b.read = true
				if err := jet.Pause(ctx, sureFirstPause); err != nil {
					return jet.RequestError(err)
				}
				continue
			} else if err != nil {
				return err
			}
			if b.last == 0 { // nothing is ever compared with an empty mailbox
				if err := m.markBox(ctx, b); err != nil {
					return err
				}
				continue
			}
		}
		sealed, err := m.seal(ctx, b)
		if sealed || err != nil {
			return err
		}
		b.read = true
	}
	return fmt.Errorf("%w: bus: room: its mailbox is never at rest", ErrUnconfirmed)
}

// lookUp asks for the message at a position that may be of another log, and reports
// whether it is there.
func (m *mover) lookUp(ctx context.Context, b *box) (there bool, err error) {
	msg, found, err := jet.LeaderGet(ctx, m.on.nc, b.stream, jet.GetRequest{Seq: b.last})
	switch {
	case err != nil:
		return false, err
	case found && msg.Subject == b.subject && (b.at == 0 || msg.Time.UnixNano() == b.at):
		return true, nil
	case found && b.at != 0:
		return false, &errWentBack{Sighting{b.sid, b.last, b.at}}
	case found:
		return false, nil // no message: the end of a gap
	}
	st, err := jet.LeaderState(ctx, m.on.nc, b.stream)
	if err == nil && st.LastSeq < b.last {
		err = &errWentBack{Sighting{b.sid, b.last, b.at}}
	}
	return false, err
}

// seal stores a seal, if the mailbox's last message is the one up to which all is sure.
func (m *mover) seal(ctx context.Context, b *box) (sealed bool, err error) {
	actx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	_, err = jet.PublishAcked(actx, m.on.nc, &nats.Msg{Subject: b.subject, Header: nats.Header{
		scheme.HeaderMark:     []string{scheme.MarkSeal},
		scheme.HeaderKept:     []string{scheme.Pair(b.from, b.to)},
		scheme.HeaderKeptSize: []string{scheme.Pair(b.count, b.bytes)},
		jet.HeaderExpected:    []string{strconv.FormatUint(b.last, 10)},
	}})
	switch {
	case err == nil:
		m.count.sealed.Add(1)
		return true, nil
	case errors.Is(err, ErrFenced), errors.Is(err, ErrBusy):
		m.count.refused.Add(1)
	case errors.Is(err, ErrUnconfirmed), errors.Is(err, ErrUnavailable):
		m.count.unsure.Add(1)
		return false, jet.Pause(ctx, sureMostPause)
	default:
		return false, err
	}
	return false, nil
}

// markBox stores a marker without a time to live in an empty mailbox.
func (m *mover) markBox(ctx context.Context, b *box) error {
	return jet.Retry(ctx, func(ctx context.Context) error {
		_, err := jet.PublishAcked(ctx, m.on.nc, &nats.Msg{Subject: b.subject, Header: nats.Header{scheme.HeaderMark: []string{"1"}}})
		return err
	})
}

// readBox reads all that a mailbox has beyond what is sure, and sets it aside.
func (m *mover) readBox(ctx context.Context, b *box) error {
	list, there, err := b.beyond(ctx)
	if err != nil {
		return err
	}
	if there != nil && b.at != 0 && there.Time != b.at {
		return &errWentBack{Sighting{b.sid, b.anchor, b.at}}
	}
	newest := -1
	for i := range list {
		if list[i].seal != nil && list[i].Seq > b.last {
			newest = i
		}
	}
	if newest >= 0 {
		s := list[newest].seal
		b.from, b.to, b.count, b.bytes, b.link = s.from, s.to, s.count, s.bytes, max(s.seq, b.floor)
	} else if there == nil {
		if err := m.noteLoss(ctx, b, list); err != nil {
			return err
		}
	}
	done, copied := max(b.floor, b.last), false
	b.last, b.read = 0, false
	if there != nil {
		b.last = there.Seq
	} else {
		b.anchor, b.at = 0, 0
	}
	for i := range list {
		if s := &list[i]; !s.TTL {
			b.anchor, b.at = s.Seq, s.Time
		}
		b.last = list[i].Seq
	}
	for i := range list[newest+1:] {
		s := &list[newest+1+i]
		if s.Mark || s.Seq <= done {
			continue
		}
		if err := m.copy(ctx, b, s); err != nil {
			return err
		}
		copied = true
	}
	if copied && (b.count > uint64(m.on.cfg.QueueLimit) || b.bytes > uint64(m.on.cfg.QueueBytes)) {
		return m.tooMuch(ctx, b)
	}
	return nil
}

// beyond reads what a mailbox has after what is sure, in order and without omission; there
// is the message up to which that is, nil if it is gone. Each page begins with the end of
// the one before: as long as that is there, nothing behind it was dropped.
func (b *box) beyond(ctx context.Context) (list []Stored, there *Stored, err error) {
	from := max(b.anchor, 1)
	for {
		joined := len(list) == 0
		req := batchRequest{From: from, NextFor: b.subject, Batch: keptBatch, MaxBytes: keptBytes}
		var part []Stored
		var end page
		err := jet.Retry(ctx, func(ctx context.Context) (err error) {
			part = part[:0]
			end, err = b.store.directGet(ctx, b.stream, req, keptBatch, func(msg *nats.Msg, seq uint64) error {
				s := storedOf(msg, seq, storedAt(msg.Header))
				s.header = msg.Header
				part = append(part, s)
				return nil
			})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if !joined {
			if len(part) == 0 || part[0].Seq != from {
				return nil, nil, fmt.Errorf("%w: bus: room: messages were dropped while they were read", ErrUnconfirmed)
			}
			part = part[1:]
		} else if b.anchor != 0 && len(part) > 0 && part[0].Seq == b.anchor {
			first := part[0]
			there, part = &first, part[1:]
		}
		list = append(list, part...)
		if end.pending == 0 || len(list) == 0 {
			return list, there, nil
		}
		from = list[len(list)-1].Seq
	}
}

// noteLoss writes down that what followed in a mailbox is gone: neither what it is sure of
// is there, nor a seal.
func (m *mover) noteLoss(ctx context.Context, b *box, list []Stored) error {
	from, last := max(b.last, b.floor), uint64(0)
	var items []item
	b.count, b.bytes = 0, 0
	if err := b.readKept(ctx, b.sid, 1, 0, func(seq uint64, it item) {
		from, last = max(from, it.Seq, it.To), seq
		b.count, b.bytes = b.count+1, b.bytes+uint64(len(it.Msg.Payload))
		if it.Msg.Payload = nil; !it.Msg.TTL {
			items = append(items, it)
		}
	}); err != nil {
		return err
	}
	now, err := jet.PublishAcked(ctx, m.on.nc, briefMarker(scheme.NewSIDIn(m.node.PartitionOf(b.sid), m.on.cfg.Streams)))
	if err != nil {
		return err
	}
	st, err := jet.LeaderState(ctx, m.on.nc, b.stream)
	if err != nil || st.LastSeq < now {
		return cmp.Or(err, fmt.Errorf("%w: bus: room: %w", ErrUnconfirmed, errLags))
	}
	var has []uint64
	to := st.FirstSeq - min(1, st.FirstSeq)
	for i := range list {
		has = append(has, list[i].Seq)
	}
	if len(has) > 0 {
		to = has[0] - 1
	}
	shelf := kept.NewShelf(items)
	if shelf.Strange(max(b.last, b.floor), has, st.LastSeq) {
		return &errWentBack{Sighting{b.sid, b.anchor, b.at}}
	}
	b.from, b.to, b.link = min(1, last), last, max(from, to)
	if from >= to {
		return nil
	}
	m.count.lost.Add(1)
	return m.keep(ctx, b, &nats.Msg{Header: nats.Header{scheme.HeaderLost: []string{scheme.Pair(from+1, to)}}})
}

// copy sets one message aside, unless its time is over.
func (m *mover) copy(ctx context.Context, b *box, s *Stored) error {
	out := &nats.Msg{Data: s.Payload, Header: make(nats.Header, len(s.header)+3)}
	for name, values := range s.header {
		if !strings.HasPrefix(name, "Nats-") {
			out.Header[name] = values
		}
	}
	if s.TTL && s.Life > 0 {
		rest := s.Life - time.Since(time.Unix(0, s.Time))
		if rest <= 0 {
			return nil
		}
		out.Header[jet.HeaderTTL] = []string{jet.TTLSeconds(rest)}
	}
	out.Header[scheme.HeaderCopied] = []string{scheme.Pair(s.Seq, b.link)}
	out.Header[scheme.HeaderCopiedAt] = []string{strconv.FormatInt(s.Time, 10)}
	err := m.keep(ctx, b, out)
	if errors.Is(err, ErrTooLarge) { // with what tells where it is from
		m.count.lost.Add(1)
		err = m.keep(ctx, b, &nats.Msg{Header: nats.Header{scheme.HeaderLost: []string{scheme.Pair(s.Seq, s.Seq)}}})
	}
	if err != nil {
		return err
	}
	b.link = s.Seq
	b.count, b.bytes = b.count+1, b.bytes+uint64(len(s.Payload))
	m.count.copied.Add(1)
	return nil
}

// keep stores what is set aside until that is acknowledged. What is there twice does no
// harm.
func (m *mover) keep(ctx context.Context, b *box, out *nats.Msg) error {
	out.Subject = scheme.KeptSubject(b.sid)
	var seq uint64
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		seq, err = jet.PublishAcked(ctx, m.on.nc, out)
		return err
	})
	if errors.Is(err, ErrOverload) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	if err != nil {
		return err
	}
	if b.to = seq; b.from == 0 {
		b.from = seq
	}
	return nil
}

// tooMuch writes down which copies are more than may wait.
func (m *mover) tooMuch(ctx context.Context, b *box) error {
	low := b.floor
	sizes := make(map[uint64]int)
	if err := b.readKept(ctx, b.sid, b.from, b.to, func(_ uint64, it item) {
		if it.Seq == 0 && it.From == 0 {
			low = max(low, it.To)
		} else if it.Seq != 0 {
			sizes[it.Seq] = len(it.Msg.Payload)
		}
	}); err != nil {
		return err
	}
	b.count, b.bytes = 0, 0
	seqs := make([]uint64, 0, len(sizes))
	for seq := range sizes {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	for _, seq := range slices.Backward(seqs) {
		if seq <= low {
			break
		}
		if b.count+1 > uint64(m.on.cfg.QueueLimit) || b.bytes+uint64(sizes[seq]) > uint64(m.on.cfg.QueueBytes) {
			m.count.lost.Add(1)
			return m.keep(ctx, b, &nats.Msg{Header: nats.Header{scheme.HeaderLost: []string{scheme.Pair(0, seq)}}})
		}
		b.count, b.bytes = b.count+1, b.bytes+uint64(sizes[seq])
	}
	return nil
}
