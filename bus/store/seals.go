package store

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

// sealBatch is how many mailboxes are sealed at a time. A seal that is not waited for takes
// node and NATS a third of one that is.
const sealBatch = 512

// opened is a mailbox that a round begins with.
type opened struct {
	sid     scheme.SID
	subject string
	at      kept.Position
	horizon uint64
	seal    kept.Seal
	last    uint64 // what the seal is compared with
}

// sealing seals mailboxes of which nothing has to be read, as most are, many at a time, and
// hands the others over. It belongs to one goroutine.
type sealing struct {
	m       *mover
	ctx     context.Context
	closely chan<- *opened

	ready  []*opened
	purged map[int]map[string]*opened // by partition and subject
}

// add takes a mailbox.
func (s *sealing) add(sid scheme.SID, e *scheme.Entry, horizon uint64) error {
	partition := s.m.on.PartitionOf(sid)
	o := &opened{sid: sid, subject: scheme.MailboxSubject(sid), horizon: horizon, at: kept.Position{
		Floor: e.Floor, FloorTime: e.FloorTime, Seen: e.Seen, SeenTime: e.SeenTime, Back: e.Back, Unsure: e.Unsure,
	}}
	switch kept.Open(&o.at, horizon, s.m.first[partition], s.m.since) {
	case kept.Sealable:
		o.last, _ = o.at.Last()
		if s.ready = append(s.ready, o); len(s.ready) >= sealBatch {
			return s.seal()
		}
	case kept.Purged:
		if s.purged == nil {
			s.purged = make(map[int]map[string]*opened)
		}
		of := s.purged[partition]
		if of == nil {
			of = make(map[string]*opened)
			s.purged[partition] = of
		}
		if of[o.subject] = o; len(of) >= sealBatch {
			return s.ask(partition)
		}
	case kept.Closely:
		return s.later(o)
	}
	return nil
}

// later has a mailbox looked at by itself.
func (s *sealing) later(o *opened) error {
	select {
	case s.closely <- o:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// flush deals with all that was added.
func (s *sealing) flush() error {
	for partition := range s.purged {
		if err := s.ask(partition); err != nil {
			return err
		}
	}
	return s.seal()
}

// ask asks for the last messages of mailboxes of a partition.
func (s *sealing) ask(partition int) error {
	of := s.purged[partition]
	delete(s.purged, partition)
	req := multiRequest{MaxBytes: sweepBytes}
	for subject := range of {
		req.Subjects = append(req.Subjects, subject)
	}
	for len(req.Subjects) > 0 {
		var end page
		err := jet.Retry(s.ctx, func(ctx context.Context) (err error) {
			end, err = s.m.on.directGet(ctx, scheme.OutStream(partition), req, len(req.Subjects), func(msg *nats.Msg, seq uint64) error {
				s.shown(of, msg, seq)
				return nil
			})
			return err
		})
		if err != nil {
			return err
		}
		if end.pending == 0 || end.last < req.From {
			break
		}
		req.From, req.UpTo = end.last+1, end.upTo
	}
	for _, o := range of {
		if err := s.later(o); err != nil {
			return err
		}
	}
	if len(s.ready) >= sealBatch {
		return s.seal()
	}
	return nil
}

// shown takes the last message of a mailbox.
func (s *sealing) shown(of map[string]*opened, msg *nats.Msg, seq uint64) {
	o := of[jet.LastHeader(msg.Header, jet.HeaderSubject)]
	if o == nil { // it was shown before
		return
	}
	if seal := sealOf(msg.Header, seq, storedAt(msg.Header)); o.at.GoOn(seal, s.m.since) {
		o.seal, o.last = *seal, seq
		s.ready = append(s.ready, o)
		delete(of, o.subject)
	}
}

// seal stores seals, and hands over the mailboxes that have more than is settled.
func (s *sealing) seal() error {
	type answer struct {
		o   *opened
		err error
	}
	for len(s.ready) > 0 {
		some := s.ready[:min(len(s.ready), sealBatch)]
		s.ready = s.ready[len(some):]
		answers := make(chan answer, len(some))
		for _, o := range some {
			if err := s.m.on.acks.Publish(sealMsg(o.subject, o.seal, o.last), func(_ uint64, err error) { answers <- answer{o, err} }); err != nil {
				return err
			}
		}
		for range some {
			a := <-answers // each comes: see [jet.Acks]
			switch {
			case a.err == nil:
				s.m.count.sealed.Add(1)
				continue
			case errors.Is(a.err, ErrFenced), errors.Is(a.err, ErrBusy):
				s.m.count.refused.Add(1)
			case jet.Temporary(a.err):
				s.m.count.unsure.Add(1)
			default:
				return a.err
			}
			a.o.at.Moved = true
			if err := s.later(a.o); err != nil {
				return err
			}
		}
	}
	s.ready = nil
	return nil
}
