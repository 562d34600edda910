package ownership

import (
	"slices"

	"hydrant/bus/scheme"
)

// Ask takes the question to the node that the entry names.
func (h *holder) Ask(number uint32, e *scheme.Entry, attempt uint64) {
	h.only("ask holder %d on %s, attempt %d", e.Holder, e.Node, attempt)
	w, target, asked := h.w, h.w.nodeOf(e.Node), e.Holder
	reply := func(r Reply, a scheme.Position) {
		if r == Given {
			h.given(number, a, target, asked)
		}
		h.event("answered: "+r.String(), func() { h.m.HandedOver(number, r, a, h.node.time(), h) })
	}
	patience, wait := Patience.Milliseconds(), int64(0)
	if !w.calm && w.percent(10) { // a claim that shows nothing but the id: the holder asks its client
		switch patience, wait = 4000, 2000; {
		case w.percent(30):
			h.node.after(w.between(1, 2000), func() { reply(Live, scheme.Position{}) })
			return
		case w.percent(5):
			h.node.after(0, func() { reply(Unasked, scheme.Position{}) })
			return
		}
	}
	h.node.after(patience, func() { reply(Silence, scheme.Position{}) })
	if target == h.node {
		h.node.after(1+wait, func() {
			target.asked(asked, attempt, func(r Reply, a scheme.Position) { h.node.after(0, func() { reply(r, a) }) })
		})
		return
	}
	if !w.calm && w.percent(w.lostAsks) {
		return
	}
	late := int64(0)
	if !w.calm && w.percent(w.lostAsks/3) {
		late = w.between(1, 3000)
	}
	h.node.leave(func() {
		w.later(late, func() {
			if target.dead || target.cut {
				if w.calm || w.percent(60) {
					h.node.arrive(w.delay(), func() { reply(Nobody, scheme.Position{}) })
				}
				return
			}
			target.arrive(w.delay()+wait, func() {
				target.asked(asked, attempt, func(r Reply, a scheme.Position) {
					if !w.calm && w.percent(w.lostAsks/2) {
						return // the answer is lost
					}
					target.leave(func() { h.node.arrive(w.delay(), func() { reply(r, a) }) })
				})
			})
		})
	})
}

// given notes the floor of an answer that counts, and who keeps what follows.
func (h *holder) given(number uint32, a scheme.Position, by *node, id uint64) {
	if h.m.phase == Asking && number == h.m.awaited {
		h.answered = a.Floor
		if by.keptOf(id) != nil {
			h.source = &source{node: by, id: id}
		}
	}
}

// asked answers another holder's question.
func (n *node) asked(id, attempt uint64, reply func(Reply, scheme.Position)) {
	i := slices.IndexFunc(n.holders, func(h *holder) bool { return h.id == id })
	if i < 0 {
		if a, known := n.given[id]; known {
			reply(Given, a)
		} else {
			reply(Stranger, scheme.Position{})
		}
		return
	}
	h := n.holders[i]
	h.askers = append(h.askers, func(a scheme.Position) { reply(Given, a) })
	given := false
	h.event("asked", func() {
		if given = h.m.Asked(attempt, h); !given {
			h.askers = h.askers[:len(h.askers)-1]
		}
	})
	if !given {
		reply(Declined, scheme.Position{})
	}
}
