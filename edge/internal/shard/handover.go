package shard

import (
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// HandOver gives a session to another node, if this shard has it, or says that it
// has not. answer is called on the loop, at once or a little later.
func (s *Shard) HandOver(r *takeover.Request, answer func(takeover.Answer)) {
	key := r.Key()
	h := s.claims[key]
	if h == nil {
		if h = s.held[key.SID]; h == nil || h.key() != key {
			given := s.given.Get(key)
			if given.Found && r.Bare {
				given = isAlive // another one has it, or is about to; this one must not be faster
			}
			answer(given)
			return
		}
	}
	if r.Bare {
		h.inquire(r, answer)
		return
	}
	h.give(r.Attempt, answer)
}

// give hands the session over, at once or a little later, unless the claimant is an
// older socket of the same client.
func (h *held) give(attempt uint64, answer func(takeover.Answer)) {
	w := h.wait()
	w.answers = append(w.answers, answer)
	if !h.owner.Asked(attempt, h.ownership()) {
		w.answers = w.answers[:len(w.answers)-1]
		answer(takeover.Answer{Found: true, Declined: true})
	}
}

// foreign reports whether a marker of this holder, at this place in the mailbox,
// is a rival's, and was not noted before: neither this holder's own nor of the one
// that the session came from. A marker of no known form has no holder and says
// nothing.
func (h *held) foreign(holder, seq uint64) bool {
	if holder == 0 || holder == h.owner.Holder() || holder == h.owner.Former() || seq <= h.rivals {
		return false
	}
	h.rivals = seq
	return true
}

// rival notes another holder's marker, and reports whether that puts the session
// in doubt: what follows may be that holder's to deliver.
func (h *held) rival() bool {
	before := h.owner.Phase()
	h.owner.Rival(h.s.uptime(), h.ownership())
	if after := h.owner.Phase(); after == ownership.Doubted {
		if before != after {
			h.s.node.Metrics.Lifecycle.Inc(stats.Doubted)
		}
		return true
	}
	return false
}

// Reply publishes an answer to another node.
func (s *Shard) Reply(subject string, data []byte) {
	s.out.Push(egress.Op{Kind: stats.OpPublish, Subject: subject, Data: data})
}
