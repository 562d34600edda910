package ownership

import (
	"slices"
	"time"

	"hydrant/edge/internal/tail"
)

// What a holder has kept for the next one: copies that came since it let go of the
// session, packed and given in parts as package tail has it.

// kept is the tail of a session on the node of its former holder.
type kept struct {
	node  *node
	id    uint64 // of that holder
	tail  *tail.Tail
	asked []*tailQuestion // that wait for a copy
}

// tailQuestion is one for the next part.
type tailQuestion struct {
	from, to uint64
	reply    func(part []byte)
}

// source is where a holder asks for what it missed.
type source struct {
	node  *node
	id    uint64        // of the holder before
	until time.Duration // on the node's clock; from then on the store is asked
	rest  []*item       // that came and could not be written yet
	over  bool          // there is no more than that
}

const (
	tailWait     = 50  // ms that a question waits for copies
	tailPatience = 100 // ms that the answer is waited for
	// tailUse is for how long after the welcome a tail is used: what of it waits for longer
	// may be another's to send, whose marker is not known here.
	tailUse = time.Second
)

// endless is room for any tail.
func endless(int) bool { return true }

// complete reports whether a holder has written all up to its cursor and listens to what
// follows.
func (h *holder) complete() bool {
	return h.m.phase == Served && h.delivering() && h.reading == 0 && h.newest <= h.cursor
}

// linger keeps what comes after the cursor. The next holder begins at the floor: where the
// client has confirmed all, there is nothing between the two but markers.
func (h *holder) linger() {
	h.w.log("%s keeps what follows %d for holder %d", h.node.id, h.cursor, h.id)
	t := tail.New(h.cursor)
	if (h.floor == h.written || !h.w.keeps(tailsFollowAll)) && h.floor < h.cursor {
		t = tail.New(h.floor)
		t.Add(&tail.Copy{Seq: h.cursor, Prev: h.floor, Place: true}, time.Time{}, endless)
	}
	h.node.kept = append(h.node.kept, &kept{node: h.node, id: h.id, tail: t})
}

// keeps takes a copy that came for a holder which has let go of the session.
func (n *node) keeps(id uint64, it *item) {
	if k := n.keptOf(id); k != nil {
		k.keep(it)
	}
}

// keptOf is what is kept for a holder; nil: nothing.
func (n *node) keptOf(id uint64) *kept {
	for _, k := range n.kept {
		if k.id == id {
			return k
		}
	}
	return nil
}

// keep takes a copy.
func (k *kept) keep(it *item) {
	w := k.node.w
	c := tail.Copy{Seq: it.seq, Prev: it.prev, Place: !it.message, Holder: it.holder, TTL: !it.message && !it.lasting}
	if k.tail.Add(&c, time.Time{}, endless) == tail.Back {
		k.end() // it may be of another log
	}
	if !w.calm && w.percent(2) {
		k.tail.Close() // there is no more room
	}
	k.answer(false)
}

// end drops the tail. Who has asked gets nothing.
func (k *kept) end() {
	k.tail = tail.New(k.tail.End())
	k.tail.Close()
	k.node.kept = slices.DeleteFunc(k.node.kept, func(o *kept) bool { return o == k })
	k.answer(true)
}

// answer gives their parts to those who need not wait.
func (k *kept) answer(all bool) {
	k.asked = slices.DeleteFunc(k.asked, func(q *tailQuestion) bool {
		if !all && q.to > k.tail.End() && !k.tail.Closed() {
			return false
		}
		most := len(tail.None) + int(k.node.w.between(5, 60))
		q.reply(k.tail.Part(k.id, q.from, most, time.Time{}))
		return true
	})
}

// askedTail is the question of a holder on another node, or on this.
func (n *node) askedTail(id uint64, q *tailQuestion) {
	k := n.keptOf(id)
	if k == nil {
		q.reply(tail.None)
		return
	}
	k.asked = append(k.asked, q)
	k.answer(false)
	n.after(tailWait, func() { k.answer(true) })
}

// inherit asks the holder before for what follows the cursor, or writes what of it is
// here, and reports whether there may be any.
func (h *holder) inherit() bool {
	src, w := h.source, h.w
	if src == nil {
		return false
	}
	if w.keeps(tailsAreYoung) && h.node.time() > src.until {
		w.counts.tooLate++
		h.source = nil
		return false
	}
	h.takeTail(src.rest)
	switch {
	case !h.delivering() || h.newest <= h.cursor:
		return true
	case src.over:
		h.source = nil
		return false
	}
	h.reads++
	number := h.reads
	h.reading = number
	h.node.after(tailPatience, func() { h.part(number, nil) })
	q := &tailQuestion{from: h.cursor, to: h.newest, reply: func(part []byte) {
		late := int64(0)
		if !w.calm && w.percent(w.lostReads) {
			late = w.between(50, 2500)
		}
		src.node.leave(func() { w.later(late, func() { h.node.arrive(w.delay(), func() { h.part(number, w.lie(part)) }) }) })
	}}
	h.node.leave(func() {
		if w.calm || !w.percent(w.lostReads) {
			src.node.arrive(w.delay(), func() { src.node.askedTail(src.id, q) })
		}
	})
	return true
}

// lie is what a node makes of a part that is not as it should be: another holder's, half
// of it, another form, or one without a copy in the middle, whose loss it has not noticed.
func (w *world) lie(part []byte) []byte {
	if w.calm || !w.percent(w.lies) {
		return part
	}
	w.counts.untrue++
	part = slices.Clone(part)
	switch w.rng.IntN(6) {
	case 0:
		part[8]++
	case 1:
		return part[:w.rng.IntN(len(part))]
	case 2:
		part[0]++
	case 3:
		return nil
	default:
		p, err := tail.ParsePart(part, nil)
		if err != nil || len(p.Copies) == 0 {
			return part
		}
		lost := w.rng.IntN(len(p.Copies))
		out := part[:len(tail.None)]
		for i := range p.Copies {
			if c := &p.Copies[i]; i != lost {
				alone := tail.New(c.Prev)
				alone.Add(c, time.Time{}, endless)
				out = append(out, alone.Part(0, 0, tail.MaxPart, time.Time{})[len(tail.None):]...)
			}
		}
		return out
	}
	return part
}

// part takes the answer to the question of a number; nil: there is none.
func (h *holder) part(number int, answer []byte) {
	src := h.source
	if src == nil || h.over || number != h.reading || !h.delivering() {
		return
	}
	h.reading = 0
	part, err := tail.ParsePart(answer, nil)
	if err != nil || part.Holder != src.id {
		part = tail.Part{}
	}
	items := make([]*item, len(part.Copies))
	for i, c := range part.Copies {
		items[i] = h.w.box.at(c.Seq)
		if items[i].prev != c.Prev { // the first, which stands for all up to it
			first := *items[i]
			first.prev, items[i] = c.Prev, &first
		}
	}
	n := len(items)
	src.over = n == 0 || items[n-1].seq >= part.End
	h.scan(items)
	h.takeTail(items)
	h.pump()
}

// takeTail writes what follows the cursor; the rest waits.
func (h *holder) takeTail(items []*item) {
	src := h.source
	src.rest = nil
	for i, it := range items {
		switch {
		case it.seq <= h.cursor:
		case h.blocked:
			h.w.counts.waited++
			src.rest = items[i:]
			return
		case !h.delivering():
			return
		case h.w.keeps(tailsHaveLinks) && it.prev > h.cursor:
			src.over = true // the store has what is missing
			return
		default:
			if it.message {
				h.w.counts.tails++
			}
			h.take(it)
		}
	}
}

// block is a socket that takes nothing for a while.
func (h *holder) block() {
	if h.w.calm || h.blocked || !h.w.percent(h.w.narrow) {
		return
	}
	h.blocked = true
	h.node.after(h.w.between(1, 5000), func() {
		h.blocked = false
		h.pump()
	})
}
