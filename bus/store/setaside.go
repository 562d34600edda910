package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

// box is one mailbox that a round is busy with; it implements [kept.Box].
type box struct {
	source
	mover *mover
}

// settle sees to it that a mailbox says by a seal that all before it is delivered or set
// aside, unless it has nothing up to the horizon.
func (m *mover) settle(ctx context.Context, sid scheme.SID, e *scheme.Entry, horizon uint64) error {
	b := &box{source: source{mailbox: m.on.mailbox(sid), ctx: ctx, sid: sid, headers: true}, mover: m}
	at := kept.Position{Floor: e.Floor, FloorTime: e.FloorTime, Seen: e.Seen, SeenTime: e.SeenTime, Back: e.Back, Unsure: e.Unsure}
	err := kept.Settle(b, at, horizon, m.since, kept.Limits{Count: uint64(m.on.cfg.QueueLimit), Bytes: uint64(m.on.cfg.QueueBytes)})
	var back *kept.WentBack
	switch {
	case errors.As(err, &back):
		return &errWentBack{Sighting{sid, back.Seq, back.Time}}
	case errors.Is(err, kept.ErrAgain) && !jet.Temporary(err):
		return fmt.Errorf("%w: bus: room: %w", ErrUnconfirmed, err)
	}
	return err
}

func (b *box) Look(seq uint64) (at int64, found, mine bool, err error) {
	m, found, err := jet.LeaderGet(b.ctx, b.store.nc, b.stream, jet.GetRequest{Seq: seq})
	return m.Time.UnixNano(), found, m.Subject == b.subject, again(err)
}

func (b *box) Seal(s kept.Seal, last uint64) error {
	ctx, cancel := context.WithTimeout(b.ctx, jet.AttemptTimeout)
	defer cancel()
	_, err := jet.PublishAcked(ctx, b.store.nc, &nats.Msg{Subject: b.subject, Header: nats.Header{
		scheme.HeaderMark:     []string{scheme.MarkSeal},
		scheme.HeaderKept:     []string{scheme.Pair(s.From, s.To)},
		scheme.HeaderKeptSize: []string{scheme.Pair(s.Count, s.Bytes)},
		jet.HeaderExpected:    []string{strconv.FormatUint(last, 10)},
	}})
	switch {
	case err == nil:
		b.mover.count.sealed.Add(1)
	case errors.Is(err, ErrFenced), errors.Is(err, ErrBusy):
		b.mover.count.refused.Add(1)
		return kept.ErrMoved
	case jet.Temporary(err):
		b.mover.count.unsure.Add(1)
	}
	return again(err)
}

func (b *box) Mark() error {
	_, err := b.publish(&nats.Msg{Subject: b.subject, Header: nats.Header{scheme.HeaderMark: []string{"1"}}})
	return err
}

// keptOverhead is more than a stored message takes beside its payload, headers and subject.
const keptOverhead = 100

// Copy sets one message aside, unless its time is over.
func (b *box) Copy(s Stored, before uint64) (place uint64, err error) {
	out := &nats.Msg{Data: s.Payload, Header: make(nats.Header, len(s.header)+3)}
	for name, values := range s.header {
		if !strings.HasPrefix(name, "Nats-") {
			out.Header[name] = values
		}
	}
	if s.TTL && s.Life > 0 {
		rest := s.Life - time.Since(time.Unix(0, s.Time))
		if rest <= 0 {
			return 0, nil
		}
		out.Header[jet.HeaderTTL] = []string{jet.TTLSeconds(rest)}
	}
	out.Header[scheme.HeaderCopied] = []string{scheme.Pair(s.Seq, before)}
	out.Header[scheme.HeaderCopiedAt] = []string{strconv.FormatInt(s.Time, 10)}
	if place, err = b.keep(out); err == nil {
		b.mover.count.copied.Add(1)
	}
	return place, err
}

// AsideProbe leaves the last room to readers.
func (b *box) AsideProbe() (uint64, error) {
	if err := b.mover.takes(b.partition(), 2*keptOverhead); err != nil {
		return 0, again(err)
	}
	return b.source.AsideProbe()
}

func (b *box) Lose(from, to uint64) (place uint64, err error) {
	b.mover.count.lost.Add(1)
	return b.keep(&nats.Msg{Header: nats.Header{scheme.HeaderLost: []string{scheme.Pair(from, to)}}})
}

// keep stores what is set aside until that is acknowledged. What is there twice does no
// harm.
func (b *box) keep(out *nats.Msg) (place uint64, err error) {
	out.Subject = scheme.KeptSubject(b.sid)
	if err := b.mover.takes(b.partition(), int64(out.Size()+keptOverhead)); err != nil {
		return 0, again(err)
	}
	place, err = b.publish(out)
	switch {
	case errors.Is(err, ErrTooLarge):
		return 0, kept.ErrTooLarge
	case errors.Is(err, ErrOverload):
		return 0, fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return place, err
}
