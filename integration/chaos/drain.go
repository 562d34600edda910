package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// drain sends every session a last message, and waits until it came. A client may only then
// hear that its session has gone with the stores, and begin another one.
func (r *run) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	type message struct{ sid, mid string }
	last := make(map[*client]message)
	send := func(c *client) {
		for ctx.Err() == nil {
			m := message{c.session(), r.newMid("last")}
			if r.store(m.sid, m.mid, body{For: m.sid}) {
				last[c] = m
				return
			}
		}
	}
	stuck := false
	for _, c := range r.clients {
		send(c)
	}
	for _, c := range r.clients {
		err := harness.Until(ctx, func() error {
			m := last[c]
			if m.mid != "" && r.seen.has(m.mid) {
				return nil
			}
			if m.sid != c.session() {
				send(c)
			}
			return fmt.Errorf("its last message, %q, has not come", m.mid)
		})
		if err != nil {
			stuck = true
			r.h.Add(history.Event{Kind: history.Stuck, SID: c.session(), Why: c.name + ": " + err.Error()})
		}
	}
	if !stuck {
		r.h.Add(history.Event{Kind: history.Drained})
	}
}

// settle waits for what was stored after a session's last message: another
// client's that was on its way. If something does not come, the checker says so.
func (r *run) settle(ctx context.Context, held []string) {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	_ = harness.Until(ctx, func() error {
		for len(held) > 0 {
			if !r.seen.has(held[0]) {
				return fmt.Errorf("%s has not come", held[0])
			}
			held = held[1:]
		}
		return nil
	})
}

// dump writes down what the mailboxes hold, and returns the mids that are to come. A cluster
// that has just been healed may need several attempts; what is written twice
// says the same.
func (r *run) dump(ctx context.Context) (mids []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*harness.Patience)
	defer cancel()
	err = harness.Until(ctx, func() error {
		mids = mids[:0]
		return r.dumpStreams(ctx, &mids)
	})
	return mids, err
}

func (r *run) dumpStreams(ctx context.Context, mids *[]string) error {
	names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject("umf.v1.out.*.*"))
	for name := range names.Name() {
		if err := r.dumpStream(ctx, name, mids); err != nil {
			return err
		}
	}
	return names.Err()
}

func (r *run) dumpStream(ctx context.Context, name string, mids *[]string) error {
	stream, err := r.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	left := stream.CachedInfo().State.Msgs
	if left == 0 {
		return nil
	}
	sessions := make(map[string]bool)
	for _, c := range r.clients {
		sessions[c.session()] = true
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"umf.v1.out.*.*"}})
	if err != nil {
		return err
	}
	for left > 0 {
		taken := 0
		// What is asked for is there, but for markers that have just expired.
		// Each fetch of an ordered consumer makes a new one: few large ones.
		batch, err := consumer.Fetch(int(min(left, 20_000)), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			taken, left = taken+1, meta.NumPending
			if m.Headers().Get("Umf-Mark") != "" {
				continue
			}
			parsed, err := harness.Parse(m.Data())
			if err != nil {
				return err
			}
			sid := m.Subject()[bytes.LastIndexByte([]byte(m.Subject()), '.')+1:]
			if sessions[sid] { // nobody gets what is for one that is gone
				*mids = append(*mids, parsed.Mid())
			}
			r.h.Add(history.Event{Kind: history.Mailbox, SID: sid, Mid: parsed.Mid(), Seq: meta.Sequence.Stream})
		}
		if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if taken == 0 && left > 0 { // markers, that have expired since: look again how much there is
			return fmt.Errorf("chaos: %s does not hold the %d messages more that it told of", name, left)
		}
	}
	return nil
}

// sampleEvery is how often the nodes are measured.
const sampleEvery = 500 * time.Millisecond

// sample measures the nodes until ctx ends. A node that is away at the moment
// has no numbers.
func (r *run) sample(ctx context.Context) {
	for ctx.Err() == nil {
		nap(ctx, sampleEvery)
		for _, n := range r.nodes {
			if !n.claim() { // it may be gone, or frozen
				continue
			}
			e, err := n.measure()
			n.release()
			if err == nil {
				r.h.Add(e)
			}
		}
	}
}

func (n *node) measure() (history.Event, error) {
	e := history.Event{Kind: history.Sample, Node: n.name}
	var err error
	if e.RSS, err = harness.ResidentBytes(n.process.PID()); err != nil {
		return e, err
	}
	if e.Descriptors, err = harness.Descriptors(n.process.PID()); err != nil {
		return e, err
	}
	page, err := harness.Get(n.process.AdminHTTP("/metrics"))
	if err != nil {
		return e, err
	}
	for line := range bytes.Lines(page) {
		if value, ok := bytes.CutPrefix(line, []byte("go_goroutines ")); ok {
			e.Goroutines, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	return e, err
}
