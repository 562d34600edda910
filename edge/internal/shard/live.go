package shard

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/takeover"
)

// bridge hands live copies, and what other nodes ask for, from NATS to the loop,
// in batches, until ctx ends. It blocks while the loop's inbox is full.
func (s *Shard) bridge(ctx context.Context) {
	Pump(ctx, s.live, func(batch []*nats.Msg) {
		epoch := s.node.Epoch()                                     // not older than the batch
		_ = s.loop.PostWait(ctx, func() { s.copies(batch, epoch) }) // fails only when the node stops
	})
}

// copies gives live copies to their sessions. The first ones of a new connection
// may come before nats.go reports it: while there was none, every session may
// have moved.
func (s *Shard) copies(batch []*nats.Msg, epoch uint64) {
	s.met(epoch)
	for _, msg := range batch {
		if s.isAnswer(msg) {
			continue
		}
		sid, _, err := scheme.ParseLiveSubject(msg.Subject)
		if err != nil {
			s.order(msg)
			continue
		}
		if h := s.held[sid]; h != nil && h.listening() {
			h.copy(msg)
		} else if l := s.lingering[sid]; l != nil {
			s.keepCopy(l, msg)
		}
	}
}

// copy takes one live copy.
func (h *held) copy(msg *nats.Msg) {
	s := h.s
	live, stored := store.ParseCopy(msg)
	if !stored {
		h.push(live.Payload, s.node.Tracing.of(msg.Header))
		return
	}
	if live.Mark != 0 && live.Holder == h.owner.Holder() {
		s.since.marked(live.Mark, live.Time)
		s.clock = storeClock{live.Time, s.loop.Now()}
	}
	if h.foreign(live.Holder, live.Seq) && h.rival() {
		return
	}
	if !h.served() {
		return // it is read when the doubt has ended
	}
	payload, ok := h.inspect(live.Seq, live.Mark != 0, live.Payload)
	if !ok || live.Mark != 0 && live.Holder != h.owner.Holder() { // its id may be one of this shard's
		live.Mark = junkMark
	}
	if live.Mark == 0 && !live.TTL {
		s.saw(h, live.Seq, live.Time)
	}
	if live.Time != 0 && live.Mark == 0 {
		s.tally.Stored.Observe(time.Duration(s.loop.Now().UnixNano() - live.Time))
	}
	h.core.Live(session.Copy{Seq: live.Seq, Prev: live.Prev, Mark: live.Mark, Time: live.Time, TTL: live.TTL,
		Payload: payload, Trace: s.node.Tracing.of(msg.Header)}, h.session())
	h.placed()
}

// order handles what another node asks for in its place among the live copies:
// what was stored after the session has gone elsewhere comes behind the request.
// The answer is the business of the request's other way, [Shard.HandOver].
func (s *Shard) order(msg *nats.Msg) {
	if takeover.LooksLikeTail(msg.Data) {
		return
	}
	if r, err := takeover.ParseRequest(msg.Reply, msg.Data); err == nil && !r.Bare { // that one hands nothing over by itself
		s.HandOver(&r, func(takeover.Answer) {})
	}
}

// Pump hands what arrives on a channel to handle, in batches, until ctx ends.
func Pump(ctx context.Context, ch <-chan *nats.Msg, handle func([]*nats.Msg)) {
	for {
		select {
		case msg := <-ch:
			handle(gather(msg, ch))
		case <-ctx.Done():
			return
		}
	}
}

// gather takes what waits in ch behind the first message, bounded.
func gather(first *nats.Msg, ch <-chan *nats.Msg) []*nats.Msg {
	batch := append(make([]*nats.Msg, 0, 8), first)
	for size := len(first.Data); len(batch) < liveBatch && size < liveBytes; {
		select {
		case msg := <-ch:
			batch = append(batch, msg)
			size += len(msg.Data)
		default:
			return batch
		}
	}
	return batch
}
