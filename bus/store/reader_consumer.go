package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

const (
	// readerIdle is when the server removes the consumer of a reader that
	// ended without Close.
	readerIdle = 5 * time.Minute
	// pullSilence is how long a pull waits for the next message before the
	// consumer counts as gone.
	pullSilence = 3 * time.Second
	// maxAbsent is how often in a row a consumer may not be found.
	maxAbsent = 4
)

// position makes sure that there is a consumer that delivers from next.
func (r *Reader) position(ctx context.Context, from uint64) error {
	if r.name != "" && !r.broken && r.next == from {
		return nil
	}
	if r.name != "" {
		if err := r.remove(ctx); err != nil {
			return err
		}
	}
	return r.create(ctx, from)
}

// consumerConfig is a pull consumer without acknowledgements on one mailbox.
type consumerConfig struct {
	Durable       string        `json:"durable_name"`
	Name          string        `json:"name"`
	DeliverPolicy string        `json:"deliver_policy"`
	OptStartSeq   uint64        `json:"opt_start_seq"`
	AckPolicy     string        `json:"ack_policy"`
	ReplayPolicy  string        `json:"replay_policy"`
	Filter        string        `json:"filter_subject"`
	MaxWaiting    int           `json:"max_waiting"`
	Inactive      time.Duration `json:"inactive_threshold"`
	Replicas      int           `json:"num_replicas"`
	Memory        bool          `json:"mem_storage"`
}

type consumerRequest struct {
	Stream string         `json:"stream_name"`
	Config consumerConfig `json:"config"`
	Action string         `json:"action"`
}

// create makes a consumer under a name that was never used before: late
// messages of another one cannot be taken for its own, and one that a former
// reader left behind cannot be taken for a new one.
//
// The first one begins before the few messages that were read without it, and
// one earlier still. The server counts what is pending for a new consumer: at
// once where the consumer begins with the first message that the mailbox has in
// a block of the store, as the last one that was delivered often is, and else by
// looking at every message of that block.
func (r *Reader) create(ctx context.Context, from uint64) error {
	r.name = scheme.ConsumerName(r.sid, r.holder, r.store.readers.Add(1))
	r.broken, r.next, r.cseq, r.absent = true, from, 0, 0
	start := from
	if r.early != 0 && r.early < from {
		start = r.early
	} else {
		r.skip = 0
	}
	r.early = 0
	req := consumerRequest{
		Stream: r.stream,
		Action: "create",
		Config: consumerConfig{
			Durable: r.name, Name: r.name,
			DeliverPolicy: "by_start_sequence", OptStartSeq: start,
			AckPolicy: "none", ReplayPolicy: "instant",
			Filter: r.subject, MaxWaiting: 8,
			Inactive: readerIdle, Replicas: 1, Memory: true,
		},
	}
	subject := scheme.APIConsumerCreate + r.stream + "." + r.name + "." + r.subject
	if err := jet.Ask(ctx, r.store.nc, subject, req, new(jet.Answer)); err != nil {
		return err
	}
	r.broken = false
	return nil
}

// remove deletes the consumer on the server.
func (r *Reader) remove(ctx context.Context) error {
	err := jet.IgnoreNotFound(jet.Ask(ctx, r.store.nc, scheme.APIConsumerDelete+r.stream+"."+r.name, nil, new(jet.Answer)))
	if err == nil {
		r.name = ""
	}
	return err
}

// pull fetches what the consumer has, up to the bounds. If nothing fits in
// maxBytes, it fetches one message of any size.
func (r *Reader) pull(ctx context.Context, limit, maxBytes int) ([]Stored, error) {
	msgs, tooBig, err := r.pullOnce(ctx, limit, maxBytes)
	if err == nil && tooBig && len(msgs) == 0 {
		msgs, _, err = r.pullOnce(ctx, 1, 0)
	}
	// More came than was asked for if one of those to skip was dropped meanwhile.
	// The next Read makes a consumer that begins where this one should have ended.
	return msgs[:min(len(msgs), limit)], err
}

// pullOnce sends one pull request and collects its answer. Whatever it returns
// is contiguous; after anything unusual the consumer counts as broken, so that
// the next Read makes it anew where this one ended.
func (r *Reader) pullOnce(ctx context.Context, limit, maxBytes int) (msgs []Stored, tooBig bool, err error) {
	most := limit + r.skip
	c, err := r.store.replies.Open(r.name, most+1) // and the status at the end
	if err != nil {
		return nil, false, err
	}
	defer r.store.replies.End(c)
	if err := r.request(c.Reply, most, maxBytes); err != nil {
		return nil, false, err
	}
	silence := time.NewTimer(pullSilence)
	defer silence.Stop()
	for range most {
		select {
		case m := <-c.Msgs:
			if status := jet.StatusOf(m); status != "" && m.Reply == "" { // with one it is a message, whatever it looks like
				tooBig, err = r.pullStatus(status, m)
				return msgs, tooBig, keepWhatCame(msgs, err)
			}
			if !r.take(m, &msgs) {
				return msgs, false, keepWhatCame(msgs, fmt.Errorf("%w: %w: a message was lost on its way", ErrUnconfirmed, errPull))
			}
			silence.Reset(pullSilence)
			continue
		case err = <-c.Lost:
		case <-silence.C:
			err = fmt.Errorf("%w: %w: no answer in %v", ErrUnconfirmed, errPull, pullSilence)
		case <-ctx.Done():
			err = jet.RequestError(ctx.Err())
		}
		r.broken = true
		return msgs, false, keepWhatCame(msgs, err)
	}
	return msgs, false, nil
}

// keepWhatCame drops an error that came after messages: they are good, and
// the next Read meets the error again if it lasts.
func keepWhatCame(msgs []Stored, err error) error {
	if len(msgs) > 0 {
		return nil
	}
	return err
}

// request publishes a pull request.
func (r *Reader) request(reply string, limit, maxBytes int) error {
	b := make([]byte, 0, 64)
	b = append(b, `{"batch":`...)
	b = strconv.AppendInt(b, int64(limit), 10)
	if maxBytes > 0 {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, int64(maxBytes), 10)
	}
	b = append(b, `,"no_wait":true}`...)
	return jet.SendError(r.store.nc.PublishRequest(scheme.APIConsumerNext+r.stream+"."+r.name, reply, b))
}

// pullStatus handles the end of a pull: 404 is the end of what the consumer's
// server has; 409 is a size limit or the end of the consumer; 503 means that
// the consumer is not there (yet).
func (r *Reader) pullStatus(status string, m *nats.Msg) (tooBig bool, err error) {
	why := m.Header.Get("Description")
	switch {
	case status == "404" || status == "408":
		return false, nil
	case status == "409" && strings.Contains(why, "MaxBytes"):
		return true, nil
	}
	// A consumer that was just made may not be reachable from here yet. One
	// that stays away is gone: only a new one is sure to answer.
	r.absent++
	r.broken = status != "503" || r.absent > maxAbsent
	return false, fmt.Errorf("%w: %w: %s %s", ErrUnavailable, errPull, status, why)
}

// take appends a message of the consumer. It refuses one that does not follow
// the last: consumer sequences are dense, so one was lost on its way here.
func (r *Reader) take(m *nats.Msg, msgs *[]Stored) bool {
	d, ok := jet.ParseDelivery(m.Reply)
	if !ok || d.ConsumerSeq != r.cseq+1 {
		r.broken = true
		return false
	}
	r.cseq, r.absent = d.ConsumerSeq, 0
	if d.Seq < r.next {
		r.skip = max(r.skip-1, 0)
		return true // the caller has it
	}
	r.skip = 0
	r.next = d.Seq + 1
	*msgs = append(*msgs, storedOf(m, d.Seq, d.Stored))
	return true
}
