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
func (m *mover) settle(ctx context.Context, o *opened) error {
	b := &box{source: source{mailbox: m.on.mailbox(o.sid), ctx: ctx, sid: o.sid, headers: true}, mover: m}
	err := kept.Settle(b, o.at, o.horizon, m.since, kept.Limits{Count: uint64(m.on.cfg.QueueLimit), Bytes: uint64(m.on.cfg.QueueBytes)})
	var back *kept.WentBack
	switch {
	case errors.As(err, &back):
		return &errWentBack{Sighting{o.sid, back.Seq, back.Time}}
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
	_, err := jet.PublishAcked(ctx, b.store.nc, sealMsg(b.subject, s, last))
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

// sealMsg is a seal that is stored only if the mailbox's last message is the given one.
func sealMsg(mailbox string, s kept.Seal, last uint64) *nats.Msg {
	return &nats.Msg{Subject: mailbox, Header: nats.Header{
		scheme.HeaderMark:     []string{scheme.MarkSeal},
		scheme.HeaderKept:     []string{scheme.Pair(s.From, s.To)},
		scheme.HeaderKeptSize: []string{scheme.Pair(s.Count, s.Bytes)},
		scheme.HeaderRound:    []string{s.Round},
		jet.HeaderExpected:    []string{strconv.FormatUint(last, 10)},
	}}
}

func (b *box) Mark() error {
	_, err := b.publish(&nats.Msg{Subject: b.subject, Header: nats.Header{scheme.HeaderMark: []string{"1"}}})
	return err
}

// keptOverhead is more than a stored message takes beside its payload, headers and subject.
const keptOverhead = 100

// copyBatch is how many copies of a mailbox are on their way at a time. They are sent in one
// go, so that they lie beside each other, and can be asked for one by one.
const copyBatch = 128

func (b *box) Copy(list []Stored, before uint64, told func(i int, place uint64, err error) error) error {
	for begin := 0; begin < len(list); begin += copyBatch {
		after, err := b.copySome(list, begin, min(begin+copyBatch, len(list)), before, told)
		if err != nil {
			return err
		}
		before = after
	}
	return nil
}

// copySome sets aside a part of a list, and returns what the next part comes after.
func (b *box) copySome(list []Stored, begin, end int, before uint64, told func(i int, place uint64, err error) error) (uint64, error) {
	type answer struct {
		i     int
		out   *nats.Msg
		place uint64
		err   error
	}
	answers := make(chan answer, end-begin)
	for i := begin; i < end; i++ {
		out := b.newCopy(&list[i], before)
		if out == nil {
			answers <- answer{i: i}
			continue
		}
		before = list[i].Seq
		err := b.mover.takes(b.partition(), int64(out.Size()+keptOverhead))
		if err == nil {
			err = b.mover.on.acks.Publish(out, func(place uint64, err error) { answers <- answer{i, out, place, err} })
		}
		if err != nil {
			answers <- answer{i, out, 0, err}
		}
	}
	for range end - begin {
		a := <-answers // each comes: see [jet.Acks]
		if jet.Temporary(a.err) {
			a.place, a.err = b.publish(&nats.Msg{Subject: a.out.Subject, Header: a.out.Header, Data: a.out.Data})
		}
		if a.place != 0 {
			b.mover.count.copied.Add(1)
		}
		if err := told(a.i, a.place, keptError(a.err)); err != nil {
			return 0, err
		}
	}
	return before, nil
}

// newCopy is a message as it is set aside; nil: its time is over.
func (b *box) newCopy(s *Stored, before uint64) *nats.Msg {
	out := &nats.Msg{Subject: scheme.KeptSubject(b.sid), Data: s.Payload, Header: make(nats.Header, len(s.header)+4)}
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
	out.Header[scheme.HeaderCopied] = []string{scheme.Pair(s.Seq, before)}
	out.Header[scheme.HeaderRound] = []string{b.mover.name}
	out.Header[scheme.HeaderCopiedAt] = []string{strconv.FormatInt(s.Time, 10)}
	return out
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

func (b *box) Hold() (place uint64, err error) { return b.keep(&nats.Msg{Header: nats.Header{}}) }

func (b *box) Round() string { return b.mover.name }

// keep stores what is set aside until that is acknowledged. What is there twice does no
// harm.
func (b *box) keep(out *nats.Msg) (place uint64, err error) {
	out.Subject = scheme.KeptSubject(b.sid)
	out.Header[scheme.HeaderRound] = []string{b.mover.name}
	if err := b.mover.takes(b.partition(), int64(out.Size()+keptOverhead)); err != nil {
		return 0, again(err)
	}
	place, err = b.publish(out)
	return place, keptError(err)
}

// keptError says what an answer of the stream of what is set aside means.
func keptError(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return kept.ErrTooLarge
	case errors.Is(err, ErrOverload) && !errors.Is(err, ErrNoRoom):
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return again(err)
}
