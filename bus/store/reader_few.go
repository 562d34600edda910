package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

var errPull = errors.New("bus: pull")

// fewMessages is how many messages a reader asks for one by one before it makes
// a consumer. Queues that are longer pay for both, so it is not many. Where those
// few have brought it so far that the whole queue is likely to have no more than
// shortQueue, it goes on asking.
const (
	fewMessages = 4
	shortQueue  = 16
)

// short reports whether the queue is likely to be short: n of its messages lie
// between from and next, and its last one is at aim.
func short(n int, from, next, aim uint64) bool {
	return next > from && aim >= from && float64(n)*float64(aim+1-from) <= shortQueue*float64(next-from)
}

// few asks any replica of the stream for the first messages of a queue, up to
// the bounds, without a consumer. It sets r.long if the queue may go on behind
// them.
func (r *Reader) few(ctx context.Context, from uint64, limit, maxBytes int) ([]Stored, error) {
	r.early, r.skip = from, 0
	if from > 1 {
		r.early, r.skip = from-1, 1
	}
	var msgs []Stored
	for next, bytes := from, 0; len(msgs) < min(limit, shortQueue) && bytes < maxBytes; {
		if n := len(msgs); n >= fewMessages && !short(n, from, next, r.aim) {
			break
		}
		s, found, err := r.directGet(ctx, next)
		if errors.Is(err, nats.ErrNoResponders) {
			r.long = true // or it is an entry that looks like this to nats.go, but not to a consumer's reader
		}
		if err != nil || !found {
			return msgs, keepWhatCame(msgs, err)
		}
		msgs = append(msgs, s)
		r.skip++
		next, bytes = s.Seq+1, bytes+len(s.Payload)
		if r.aim != 0 && s.Seq >= r.aim {
			return msgs, nil // more may have come, which is for another Read
		}
	}
	r.long = true
	return msgs, nil
}

// directGet asks for the mailbox's next message from a sequence on (ADR-31). If
// it is not found, the replica that answered has none.
func (r *Reader) directGet(ctx context.Context, from uint64) (s Stored, found bool, err error) {
	req := make([]byte, 0, 96)
	req = append(req, `{"seq":`...)
	req = strconv.AppendUint(req, from, 10)
	req = append(req, `,"next_by_subj":"`...)
	req = append(req, r.subject...) // a subject that MailboxSubject made needs no escapes
	req = append(req, `"}`...)
	m, err := r.store.nc.RequestWithContext(ctx, scheme.APIDirectGet+r.stream, req)
	if err != nil {
		return s, false, fmt.Errorf("%s: %w", scheme.APIDirectGet+r.stream, jet.RequestError(err))
	}
	// Whatever a publisher put into the headers: what the server adds, to a
	// message only, comes behind it.
	seq, err := strconv.ParseUint(jet.LastHeader(m.Header, jet.HeaderSeq), 10, 64)
	if err == nil && seq >= from {
		return storedOf(m, seq, storedAt(m.Header)), true, nil
	}
	if status := jet.StatusOf(m); status != "404" {
		return s, false, fmt.Errorf("%w: %w: %s %s", ErrRefused, errPull, status, m.Header.Get("Description"))
	}
	return s, false, nil
}
