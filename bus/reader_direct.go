package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// directRequest asks any replica of a stream for messages of one mailbox, from
// a sequence on (ADR-31, batched direct get).
type directRequest struct {
	Seq      uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// direct reads the first batch of a queue without a consumer, which is all that
// most queues need. It notes whether the queue goes on behind the batch.
//
// It begins one message early. The server counts what there is: at once where
// the request begins with the first message that the mailbox has in a block of
// the store, as the one before often is, and else by looking at every message
// of that block.
func (r *Reader) direct(ctx context.Context, from uint64, limit, maxBytes int) ([]Stored, error) {
	if from > 1 {
		msgs, more, err := r.directOnce(ctx, from-1, from, limit+1, maxBytes)
		if err != nil || len(msgs) > 0 || !more {
			r.long = more || len(msgs) > limit
			return msgs[:min(len(msgs), limit)], err
		}
		// The message before has filled the batch.
	}
	msgs, more, err := r.directOnce(ctx, from, from, limit, maxBytes)
	r.long = more
	return msgs, err
}

// directOnce sends one request and collects what is not before from. What it
// returns is contiguous; more: there is, or may be, something behind it.
func (r *Reader) directOnce(ctx context.Context, start, from uint64, most, maxBytes int) (msgs []Stored, more bool, err error) {
	data, err := json.Marshal(directRequest{Seq: start, NextFor: r.subject, Batch: most, MaxBytes: maxBytes})
	if err != nil {
		return nil, false, fmt.Errorf("bus: read: %w", err)
	}
	c, err := r.store.inbox.open("", most+1) // and the status at the end
	if err != nil {
		return nil, false, err
	}
	defer r.store.inbox.end(c)
	if err := r.store.nc.PublishRequest(apiDirectGet+r.stream, c.reply, data); err != nil {
		return nil, false, sendError(err)
	}
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()
	for prev := uint64(0); ; {
		select {
		case m := <-c.msgs:
			seq, before, ok := directPlace(m)
			if !ok {
				more, err := directEnd(m, prev)
				return msgs, more, keepWhatCame(msgs, err)
			}
			if before != prev {
				return msgs, true, keepWhatCame(msgs, fmt.Errorf("%w: %w: a message was lost on its way", ErrUnconfirmed, errPull))
			}
			if prev = seq; seq >= from {
				msgs = append(msgs, directStored(m, seq))
			}
			silence.Reset(pullSilence)
			continue
		case err = <-c.lost:
		case <-silence.C:
			err = fmt.Errorf("%w: %w: no answer in %v", ErrUnconfirmed, errPull, pullSilence)
		case <-ctx.Done():
			err = requestError(ctx.Err())
		}
		return msgs, true, keepWhatCame(msgs, err)
	}
}

// directPlace is a message's sequence, and that of the message before it in the
// same answer, 0 for the first. ok is false for the status at the end: whatever
// a publisher put into a message, the server adds its place behind it.
func directPlace(m *nats.Msg) (seq, before uint64, ok bool) {
	seq, err := strconv.ParseUint(last(m.Header, headerSeq), 10, 64)
	if err != nil || seq == 0 {
		return 0, 0, false
	}
	before, err = strconv.ParseUint(last(m.Header, headerLastSeq), 10, 64)
	return seq, before, err == nil
}

func directStored(m *nats.Msg, seq uint64) Stored {
	s := Stored{Seq: seq, Mark: markOf(m.Header) != 0, TTL: one(m.Header, headerTTL) != "", Payload: m.Data}
	if at, err := time.Parse(time.RFC3339Nano, last(m.Header, headerTime)); err == nil {
		s.Time = at.UnixNano()
	}
	return s
}

// directEnd reads the end of an answer: 204 is its regular end, and names the
// last message before it; 404 says that there is none.
func directEnd(m *nats.Msg, prev uint64) (more bool, err error) {
	switch status := statusOf(m); status {
	case "204":
		final, err := strconv.ParseUint(one(m.Header, headerLastSeq), 10, 64)
		return one(m.Header, headerPending) != "0" || err != nil || final != prev, nil
	case "404":
		return false, nil
	case "503":
		return true, fmt.Errorf("%w: %w: nobody has the stream", ErrUnavailable, errPull)
	default:
		return true, fmt.Errorf("%w: %w: %s %s", ErrRefused, errPull, status, one(m.Header, "Description"))
	}
}
