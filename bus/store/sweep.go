package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

const (
	// sweepSubjects bounds one request; the server allows 1,024 results.
	sweepSubjects = 512
	// sweepBytes bounds one answer: it carries the messages themselves, the
	// API has no form without. What does not fit is asked for again.
	sweepBytes = 4 << 20
	// sweepSilence is how long an answer may pause.
	sweepSilence = 3 * time.Second
)

// LastSeqs asks for the sequence of the last message in the mailboxes of many
// sessions. Sessions whose mailbox is empty are missing from the result. Any
// replica answers, so a sequence may be older than the last write: it can show
// that something is there, never that nothing is.
func (s *Store) LastSeqs(ctx context.Context, sids []scheme.SID) (map[scheme.SID]uint64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	byStream := make(map[string][]string)
	for _, sid := range sids {
		stream := s.stream(sid)
		byStream[stream] = append(byStream[stream], scheme.MailboxSubject(sid))
	}
	found := make(map[scheme.SID]uint64, len(sids))
	for stream, subjects := range byStream {
		for len(subjects) > 0 {
			n := min(len(subjects), sweepSubjects)
			err := jet.Retry(ctx, func(ctx context.Context) error {
				return s.sweep(ctx, stream, subjects[:n], found)
			})
			if err != nil {
				return nil, err
			}
			subjects = subjects[n:]
		}
	}
	return found, nil
}

type multiRequest struct {
	Subjects []string `json:"multi_last"`
	From     uint64   `json:"seq,omitempty"`
	UpTo     uint64   `json:"up_to_seq,omitempty"`
	MaxBytes int      `json:"max_bytes"`
}

// sweep asks one stream about subjects, page by page, and adds what it learns
// to found.
func (s *Store) sweep(ctx context.Context, stream string, subjects []string, found map[scheme.SID]uint64) error {
	req := multiRequest{Subjects: subjects, MaxBytes: sweepBytes}
	got := make(map[scheme.SID]uint64, len(subjects))
	for {
		p, err := s.sweepPage(ctx, stream, req, got)
		if err != nil {
			return err
		}
		if p.pending == 0 || p.last < req.From {
			maps.Copy(found, got)
			return nil
		}
		req.From, req.UpTo = p.last+1, p.upTo
	}
}

// sweepPage sends one request and adds its answer to got.
func (s *Store) sweepPage(ctx context.Context, stream string, req multiRequest, got map[scheme.SID]uint64) (page, error) {
	return s.directGet(ctx, stream, req, len(req.Subjects), func(m *nats.Msg, seq uint64) error {
		sid, err := scheme.ParseMailboxSubject(jet.LastHeader(m.Header, jet.HeaderSubject))
		if err == nil {
			got[sid] = seq
		}
		return err
	})
}

// page is how one answer ended: what is left, the last sequence in it, and the
// sequence up to which the question was answered.
type page struct{ pending, last, upTo uint64 }

// directGet asks any replica of a stream for up to most messages and shows them
// to see. They are ended by an empty one with a status.
func (s *Store) directGet(ctx context.Context, stream string, req any, most int, see func(m *nats.Msg, seq uint64) error) (p page, err error) {
	c, err := s.replies.Open(most + 1)
	if err != nil {
		return p, err
	}
	defer s.replies.End(c)
	data, err := json.Marshal(req)
	if err != nil {
		return p, fmt.Errorf("bus: %s: %w", stream, err)
	}
	if err := s.nc.PublishRequest(scheme.APIDirectGet+stream, c.Reply, data); err != nil {
		return p, jet.SendError(err)
	}
	silence := time.NewTimer(sweepSilence)
	defer silence.Stop()
	for {
		select {
		case m := <-c.Msgs:
			seq, err := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderSeq), 10, 64)
			if status := jet.StatusOf(m); err != nil && status != "" { // with a sequence it is a message, whatever it looks like
				end, err := pageEnd(stream, status, m)
				if err == nil && end.last != p.last {
					err = fmt.Errorf("bus: %s: %w", stream, errOnTheWay)
				}
				return end, err
			}
			if err == nil && before(m) != p.last {
				err = errOnTheWay
			}
			if err == nil {
				p.last, err = seq, see(m, seq)
			}
			if err != nil {
				return p, fmt.Errorf("bus: %s: %w", stream, err)
			}
			silence.Reset(sweepSilence)
		case err := <-c.Lost:
			return p, err
		case <-silence.C:
			return p, fmt.Errorf("%w: bus: %s: no answer in %v", ErrUnconfirmed, stream, sweepSilence)
		case <-ctx.Done():
			return p, jet.RequestError(ctx.Err())
		}
	}
}

// errOnTheWay: each message of an answer names the one before, and so does the end.
var errOnTheWay = fmt.Errorf("%w: a message of an answer was lost on its way", ErrUnconfirmed)

// before is the sequence of the message before one in the same answer; 0: it is the
// first.
func before(m *nats.Msg) uint64 {
	seq, _ := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderLastSeq), 10, 64)
	return seq
}

// pageEnd reads the end of a page: 204 is its regular end, 404 says that
// there is no message.
func pageEnd(stream, status string, m *nats.Msg) (p page, err error) {
	switch status {
	case "204":
		p.pending, _ = strconv.ParseUint(m.Header.Get(jet.HeaderPending), 10, 64)
		p.last = before(m)
		p.upTo, _ = strconv.ParseUint(m.Header.Get(jet.HeaderUpTo), 10, 64)
		return p, nil
	case "404":
		return p, nil
	case "503":
		return p, fmt.Errorf("%w: bus: %s: nobody has the stream", ErrUnavailable, stream)
	}
	return p, fmt.Errorf("%w: bus: %s: %s %s", ErrRefused, stream, status, m.Header.Get("Description"))
}
