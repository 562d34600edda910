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
)

const (
	// keptBatch and keptBytes bound one page of a mailbox, or of what was set aside of it.
	keptBatch = 512
	keptBytes = 1 << 20
	// keptProbeTTL is how long a probe stays, which shows that an answer is recent.
	keptProbeTTL = 5 * time.Second
)

// source is a mailbox for the time of one question; it implements [kept.Reader].
type source struct {
	mailbox
	ctx     context.Context
	sid     scheme.SID
	headers bool // messages are to be copied, with theirs

	nobody scheme.SID    // see probe
	pause  time.Duration // the next one
}

// again says of an error that asking again can help.
func again(err error) error {
	if jet.Temporary(err) {
		return fmt.Errorf("%w: %w", kept.ErrAgain, err)
	}
	return err
}

// partition is the mailbox's.
func (s *source) partition() int { return s.store.PartitionOf(s.sid) }

func (s *source) Page(from uint64, limit, maxBytes int) (list []Stored, more bool, err error) {
	if limit <= 0 {
		limit = keptBatch
	}
	if maxBytes <= 0 {
		maxBytes = keptBytes
	}
	req := batchRequest{From: from, NextFor: s.subject, Batch: limit, MaxBytes: maxBytes}
	var end page
	err = jet.Retry(s.ctx, func(ctx context.Context) (err error) {
		list = list[:0]
		end, err = s.store.directGet(ctx, s.stream, req, limit, func(m *nats.Msg, seq uint64) error {
			it := storedOf(m, seq, storedAt(m.Header))
			if s.headers {
				it.header = m.Header
			}
			list = append(list, it)
			return nil
		})
		return err
	})
	return list, end.pending != 0, again(err)
}

func (s *source) Bounds() (first, last uint64, err error) {
	st, err := s.store.ends.ask(s.ctx, s.stream)
	if err == nil {
		s.store.begins[s.partition()].Store(st.FirstSeq)
	}
	return st.FirstSeq, st.LastSeq, again(err)
}

func (s *source) Probe() (uint64, error) {
	return s.publish(briefMarker(s.probe()))
}

// probe is a mailbox of nobody in the same stream, the same one as long as the question
// lasts.
func (s *source) probe() scheme.SID {
	if s.nobody == "" {
		s.nobody = scheme.NewSIDIn(s.partition(), s.store.cfg.Streams)
	}
	return s.nobody
}

// publish stores something that does no harm if it is there twice.
func (s *source) publish(m *nats.Msg) (seq uint64, err error) {
	err = jet.Retry(s.ctx, func(ctx context.Context) (err error) {
		seq, err = jet.PublishAcked(ctx, s.store.nc, m)
		return err
	})
	return seq, again(err)
}

func (s *source) AsidePage(from uint64, show func(place uint64, it *item)) (more bool, err error) {
	req := batchRequest{From: from, NextFor: scheme.KeptSubject(s.sid), Batch: keptBatch, MaxBytes: keptBytes}
	end, err := s.store.directGet(s.ctx, scheme.KeptStream(s.partition()), req, keptBatch, func(m *nats.Msg, seq uint64) error {
		if it, ok := itemOf(m); ok {
			show(seq, &it)
		} else {
			show(seq, nil)
		}
		return nil
	})
	return end.pending != 0, again(err)
}

const (
	// asideEach is how many places are asked for one by one, and asideLoose how many may be
	// there that are not wanted.
	asideEach  = 64
	asideLoose = 8
)

// AsideSealed asks for places one by one, where they lie close together, and else for all
// of the mailbox's from the first on, if not much of that is too old. For an answer of several
// messages a server counts how many are left, and looks at all of a block for that, up to
// 30,000, unless it begins with the first.
func (s *source) AsideSealed(seal *kept.Seal, show func(place uint64, it *item)) (all bool, err error) {
	if n := seal.To - seal.From + 1; n <= asideEach && n <= 2*seal.Count+asideLoose {
		return s.asideEach(seal.From, int(n), show), nil
	}
	req := batchRequest{From: 1, NextFor: scheme.KeptSubject(s.sid), Batch: int(min(seal.Count+asideLoose, keptBatch)), MaxBytes: keptBytes}
	last := uint64(0)
	_, err = s.store.directGet(s.ctx, scheme.KeptStream(s.partition()), req, req.Batch, func(m *nats.Msg, seq uint64) error {
		last = seq
		if it, ok := itemOf(m); ok {
			show(seq, &it)
		}
		return nil
	})
	return err == nil && last >= seal.To, nil
}

// asideEach asks for so many places, all at once. What is there is as it was stored, whoever
// answers. False: one is not there, or not yet.
func (s *source) asideEach(from uint64, n int, show func(place uint64, it *item)) (all bool) {
	c, err := s.store.replies.Open(n)
	if err != nil {
		return false
	}
	defer s.store.replies.End(c)
	stream, subject := scheme.KeptStream(s.partition()), scheme.KeptSubject(s.sid)
	for i := range n {
		req := append(strconv.AppendUint([]byte(`{"seq":`), from+uint64(i), 10), '}')
		if s.store.nc.PublishRequest(scheme.APIDirectGet+stream, c.Reply, req) != nil {
			return false
		}
	}
	silence := time.NewTimer(sweepSilence)
	defer silence.Stop()
	for range n {
		select {
		case m := <-c.Msgs:
			seq, err := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderSeq), 10, 64)
			if err != nil {
				return false
			}
			if it, ok := itemOf(m); ok && jet.LastHeader(m.Header, jet.HeaderSubject) == subject {
				show(seq, &it)
			}
		case <-c.Lost:
			return false
		case <-silence.C:
			return false
		case <-s.ctx.Done():
			return false
		}
	}
	return true
}

func (s *source) AsideProbe() (uint64, error) {
	return s.publish(&nats.Msg{Subject: scheme.KeptSubject(s.sid), Header: nats.Header{
		scheme.HeaderMark: []string{"1"}, jet.HeaderTTL: []string{jet.TTLSeconds(keptProbeTTL)},
	}})
}

func (s *source) Pause() error {
	s.pause = min(max(2*s.pause, sureFirstPause), sureMostPause)
	return jet.RequestError(jet.Pause(s.ctx, s.pause))
}

func (s *source) Read(from, anchor uint64, limit, maxBytes int) (Batch, error) {
	b, err := s.store.Read(s.ctx, s.sid, from, anchor, limit, maxBytes)
	return b, again(err)
}

func (s *source) End(probe uint64) (last uint64, shown bool, err error) {
	nobody := scheme.MailboxSubject(s.probe())
	_, err = s.store.directGet(s.ctx, s.stream, multiRequest{Subjects: []string{s.subject, nobody}, MaxBytes: sweepBytes}, 2, func(m *nats.Msg, seq uint64) error {
		if jet.LastHeader(m.Header, jet.HeaderSubject) == nobody {
			shown = seq >= probe
		} else {
			last = seq
		}
		return nil
	})
	return last, shown, again(err)
}

func (s *source) WentBack() (bool, error) {
	note, err := s.store.directory.LastBack(s.ctx, s.partition())
	return note.Rev != 0, again(err)
}
