package shard

import (
	"context"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/crowd"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
)

// storeClock is the clock of the store, as it was seen last.
type storeClock struct {
	at   int64     // Unix ns; 0: unknown
	seen time.Time // by this node's clock
}

// witnessPatience is for how long messages that were dealt out may wait for a witness:
// another holder's marker may be stored meanwhile.
const witnessPatience = 200 * time.Millisecond

// now is the time on that clock; 0: unknown.
func (c *storeClock) now(t time.Time) int64 {
	if c.at == 0 {
		return 0
	}
	return c.at + int64(t.Sub(c.seen))
}

func (h *held) partition() int { return h.s.node.Mailboxes.PartitionOf(h.sid) }

// mayJoin reports whether it is worthwhile for a session to ask the crowd before it
// reads. One whose position is old has to ask the store first.
func (h *held) mayJoin(old bool) bool {
	return h.resumed && (!old || h.s.node.Crowd.Has(h.partition()))
}

// question is one to the crowd. It is asked once: what a session cannot take at once it
// reads, so that it is given nothing that has waited here.
func (h *held) question(after, to uint64) crowd.Question {
	orphan := h.returns == orphaned
	h.returns = joined
	return crowd.Question{SID: h.sid, Orphan: orphan, Partition: h.partition(), Epoch: h.s.epoch, After: after, To: to, Now: h.s.uptime()}
}

// mayAsk reports whether the session has returned and not asked the crowd yet.
func (h *held) mayAsk() bool { return h.returns == returning || h.returns == orphaned }

// join asks for what was read for many sessions, and reports whether there is such a
// thing, or will be.
func (h *held) join(after, to uint64) bool {
	if !h.mayAsk() {
		return false
	}
	s, clock := h.s, h.s.clock
	q := h.question(after, to)
	q.Answer = func(found crowd.Found) {
		s.post(func() {
			if !h.takePass(&found, to, clock.now(s.loop.Now())) {
				h.deliverPass(nil)
			}
		})
	}
	reply, found := s.node.Crowd.Ask(q)
	if reply == crowd.Here {
		return h.takePass(&found, to, clock.now(s.loop.Now()))
	}
	return reply == crowd.Later
}

// takePass delivers what was read for many sessions, now or after a look for a witness,
// and reports whether there is anything that can be. now is as copiesOf has it.
func (h *held) takePass(found *crowd.Found, to uint64, now int64) bool {
	copies := h.copiesOf(found.Msgs, to, now)
	if len(copies) == 0 {
		return false
	}
	if !h.witnessed(found, copies) {
		h.deliverPass(copies)
	}
	return true
}

// witnessed asks the store for a message that has to be there before any of these is
// delivered, and reports whether there is one. If it is not there, none is.
func (h *held) witnessed(found *crowd.Found, copies []session.Copy) bool {
	if found.Witness == 0 {
		return false
	}
	s, dealt := h.s, h.s.uptime()
	var epoch uint64 // not older than the answer
	job := func(ctx context.Context) (store.Batch, error) {
		batch, err := s.node.Mailboxes.Read(ctx, h.sid, found.Witness+1, found.Witness, 0, 0)
		epoch = s.node.Epoch()
		return batch, err
	}
	submit(s, job, func(batch store.Batch, err error) {
		s.met(epoch)
		if err != nil || s.uptime()-dealt > witnessPatience || batch.Anchor != store.AnchorPresent || batch.AnchorTime != found.WitnessTime {
			copies = nil
		}
		h.deliverPass(copies)
	})
	return true
}

// readsAlone has a session counted that reads its mailbox by itself, and was not yet.
func (h *held) readsAlone(from uint64, most int) {
	if to := h.core.Target(); h.mayAsk() && most > 0 && to >= from {
		h.s.node.Crowd.Ask(h.question(from-1, to))
	}
}

// deliverPass gives the core what was read for many sessions.
func (h *held) deliverPass(copies []session.Copy) {
	h.whenServed(answered, func() {
		h.s.source = stats.FromPass
		h.core.Copies(copies, h.session())
		h.s.source = stats.FromLive
	})
}

// copiesOf makes copies of what was read of a mailbox: each follows the one before it.
// now is the time on the store's clock; 0: unknown. None: the session has to read.
func (h *held) copiesOf(msgs []store.Stored, to uint64, now int64) (copies []session.Copy) {
	if len(msgs) == 0 || !h.isPosition(&msgs[0]) {
		return nil
	}
	for i := range msgs {
		if m := &msgs[i]; m.Holder != 0 && m.Holder != h.owner.Holder() && m.Holder != h.owner.Former() && m.Seq > h.rivals {
			return nil // the store has the rest of that
		}
	}
	copies = make([]session.Copy, 0, len(msgs)-1)
	for i := 1; i < len(msgs) && msgs[i].Seq <= to; i++ {
		m := &msgs[i]
		c := session.Copy{Seq: m.Seq, Prev: msgs[i-1].Seq, Time: m.Time, TTL: m.TTL, Trace: m.Trace}
		payload, ok := h.inspect(m.Seq, m.Mark, m.Payload)
		switch over, known := isOver(m, now); {
		case !known:
			return nil
		case m.Mark, !ok, over:
			c.Mark = junkMark
		default:
			c.Payload = payload
		}
		copies = append(copies, c)
	}
	return copies
}

// isPosition reports whether a message that was read can be the one at the position that
// the session knows, or is another.
func (h *held) isPosition(m *store.Stored) bool {
	for _, at := range [][2]int64{{int64(h.core.Floor()), h.core.FloorTime()}, {int64(h.core.Seen()), h.core.SeenTime()}} {
		if int64(m.Seq) == at[0] && m.Time != 0 && at[1] != 0 && m.Time != at[1] {
			return false
		}
	}
	return true
}

// isOver reports whether the time of a message is over, if that can be known.
func isOver(m *store.Stored, now int64) (over, known bool) {
	if !m.TTL || m.Mark {
		return false, true
	}
	return now >= m.Time+int64(m.Life), m.Life > 0 && m.Time != 0 && now != 0
}
