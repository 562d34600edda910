package session

import mailbox "hydrant/bus/kept"

// seal says that all before it in its box was delivered, or lies in what was set aside
// from one place to another; 0 and 0: all was delivered.
type seal struct{ from, to int }

// aside is an item of what was set aside; its place is its index + 1.
type aside struct {
	box  int
	item mailbox.Item[*record]
}

// room is how the world makes room in its stream.
type room struct {
	aside  []aside
	movers [2]mover
	bound  int // copies of a box that count

	// How often each thing happened.
	purges, accepted, refused, unknown, copied, read, unsealed, lost, over int
}

// all names what is counted.
func (r *room) all() map[string]*int {
	return map[string]*int{"purges": &r.purges, "seals accepted": &r.accepted, "seals refused": &r.refused, "seals unknown": &r.unknown,
		"copied": &r.copied, "read by a seal": &r.read, "read without one": &r.unsealed, "lost": &r.lost, "too much": &r.over}
}

func (r *room) add(other *room) {
	from := other.all()
	for name, n := range r.all() {
		*n += *from[name]
	}
}

// mover is a node that makes room.
type mover struct {
	busy  bool
	to    uint64    // the horizon
	boxes []boxMove // that are still to be sealed
}

// boxMove is what a mover knows of one box.
type boxMove struct {
	host   *host
	floor  uint64
	last   uint64 // the mailbox's, up to which all is made sure
	anchor uint64 // one up to there that has no time to live
	link   uint64 // the last one that was copied, or what it began with
	read   bool   // it is to be read
	seal   seal
	todo   []*record
}

// makeRoom takes one step of some mover.
func (w *world) makeRoom() {
	m := &w.room.movers[w.rng.IntN(len(w.room.movers))]
	switch {
	case w.st.log > 0: // nobody makes room in a log that went back
	case !m.busy:
		w.beginRound(m)
	case w.rng.IntN(60) == 0:
		*m = mover{} // its node dies
	case len(m.boxes) == 0:
		w.purge(m.to)
		*m = mover{}
	default:
		i := w.rng.IntN(len(m.boxes))
		if w.move(&m.boxes[i]) {
			m.boxes = append(m.boxes[:i:i], m.boxes[i+1:]...)
		}
	}
}

// beginRound chooses a horizon, and then reads the entries.
func (w *world) beginRound(m *mover) {
	if w.st.now.last == 0 {
		return
	}
	for _, h := range w.hosts {
		if h.born && (h.entryFloor == 0 || h.entering) {
			return // who has no entry has mail above the horizon only
		}
	}
	*m = mover{busy: true, to: w.st.now.last - uint64(w.rng.Int64N(int64(min(w.st.now.last, 12))))}
	w.log("mover: a round up to %d", m.to)
	for _, h := range w.hosts {
		at := h.entrySeen // the floor may have a time to live
		if at == 0 {
			at = h.entryFloor
		}
		if h.born && at <= m.to {
			m.boxes = append(m.boxes, boxMove{host: h, floor: h.entryFloor, last: at, anchor: at, link: max(at, h.entryFloor)})
		}
	}
}

// move takes a step with one box, and reports whether it is sealed.
func (w *world) move(b *boxMove) bool {
	box := b.host.box
	switch {
	case b.read:
		w.readBox(b, w.st.replica(w.rng.IntN(4) == 0))
	case len(b.todo) > 0:
		r := b.todo[0]
		w.setAside(b, r)
		if w.rng.IntN(8) > 0 { // else nobody answers, and it is copied again
			b.todo = b.todo[1:]
		}
		if len(b.todo) == 0 {
			w.tooMuch(b)
		}
	case w.st.now.lastOf(box) != b.last:
		w.room.refused++
		b.read = true
	case b.last == 0:
		w.st.put(box, 1<<62, 0) // something to compare with
		b.read = true
	default:
		w.room.accepted++
		w.log("mover: seal of box %d, %v", box, b.seal)
		w.st.put(box, 1<<62, 0).seal = &seal{b.seal.from, b.seal.to}
		if b.read = w.rng.IntN(8) == 0; b.read {
			w.room.unknown++
			return false
		}
		return true
	}
	return false
}

// readBox reads what is in a box beyond that which is made sure.
func (w *world) readBox(b *boxMove, v view) {
	box := b.host.box
	list := v.from(box, b.anchor+1, 1<<30)
	at := v.at(b.anchor)
	there := at != nil && at.box == box
	sealed := false
	for i := len(list) - 1; i >= 0 && !sealed; i-- {
		if r := list[i]; r.seal != nil && r.seq > b.last {
			b.seal, b.link, sealed = *r.seal, r.seq, true
			list = list[i:]
		}
	}
	if !there && !sealed {
		w.noteLoss(b, list, v)
	}
	for _, r := range list {
		if r.mark == 0 && r.seq > max(b.floor, b.last) {
			b.todo = append(b.todo, r)
		}
		if !r.ttl {
			b.anchor = r.seq
		}
	}
	b.last, b.read = v.lastOf(box), false
}

// noteLoss writes down that what followed in a box is gone.
func (w *world) noteLoss(b *boxMove, list []*record, v view) {
	from, to := max(b.last, b.floor), v.cut
	for _, a := range w.room.aside {
		if a.box == b.host.box {
			from = max(from, a.item.Seq, a.item.To)
		}
	}
	if len(list) > 0 {
		to = list[0].seq - 1
	}
	b.seal.from, b.seal.to = min(1, len(w.room.aside)), len(w.room.aside)
	if b.link = max(from, to); from < to {
		w.room.lost++
		w.keep(b, mailbox.Item[*record]{From: from + 1, To: to})
	}
}

// setAside copies a message.
func (w *world) setAside(b *boxMove, r *record) {
	if r.ttl && r.until <= w.st.tick {
		return
	}
	w.room.copied++
	w.keep(b, mailbox.Item[*record]{Seq: r.seq, Time: w.time(r), Prev: b.link, Msg: r})
	b.link = r.seq
}

func (w *world) keep(b *boxMove, it mailbox.Item[*record]) {
	w.log("mover: box %d: aside %+v", b.host.box, it)
	w.room.aside = append(w.room.aside, aside{b.host.box, it})
	b.seal.to = len(w.room.aside)
	if b.seal.from == 0 {
		b.seal.from = b.seal.to
	}
}

// tooMuch writes down that more was copied than counts.
func (w *world) tooMuch(b *boxMove) {
	shelf := map[uint64]bool{}
	low := b.floor
	for _, a := range w.room.aside {
		if a.box == b.host.box && a.item.Seq == 0 && a.item.From == 0 {
			low = max(low, a.item.To)
		}
	}
	for _, a := range w.room.aside {
		if a.box == b.host.box && a.item.Seq > low && !lapsed(a.item.Msg, w) {
			shelf[a.item.Seq] = true
		}
	}
	for n, seq := 0, w.st.now.last; seq > low; seq-- {
		if shelf[seq] {
			if n++; n > w.room.bound {
				w.room.over++
				w.st.lossy[b.host.box] = true
				w.keep(b, mailbox.Item[*record]{To: seq})
				return
			}
		}
	}
}

// lapsed reports whether a copy's time to live is over.
func lapsed(r *record, w *world) bool { return r.ttl && r.until <= w.st.tick }

// purge removes the beginning of the stream.
func (w *world) purge(to uint64) {
	w.room.purges++
	w.log("PURGE to %d", to)
	w.st.remember()
	for _, r := range append([]*record(nil), w.st.now.recs...) {
		if r.seq <= to {
			lossy := w.st.lossy[r.box]
			w.st.remove(r, purged)
			w.st.lossy[r.box] = lossy
		}
	}
	w.st.now.cut = max(w.st.now.cut, to)
}

// together adds to an answer what was set aside.
func (h *host) together(p *pendingRead, v view) {
	b, w := &p.b, h.w
	if b.Anchor == Present || b.Anchor == Foreign || p.anchor == 0 && v.cut < p.from {
		return
	}
	q := mailbox.Question{From: p.from, Place: p.place, Anchor: p.anchor, Known: p.known, Settled: p.settled}
	begin := p.from
	if p.anchor != 0 {
		begin = min(begin, p.anchor+1)
	}
	list := v.from(h.box, begin, 1<<30)
	if len(list) > 0 && list[0].seq <= p.anchor {
		return // what is older is there
	}
	for i, r := range list {
		if r.seal == nil {
			continue
		}
		w.room.read++
		if r.seq < p.from { // it stands for the anchor: nothing behind it was dropped
			if p.known && p.place >= p.settled {
				b.Anchor, b.AnchorTime = Present, 0
			}
			return
		}
		shelf := mailbox.NewShelf(h.asideOf(r.seal.from, r.seal.to))
		a := shelf.Sealed(q, r.seq)
		h.answer(p, a, list[i:])
		return
	}
	if v.cut < p.anchor || w.st.log > 0 { // it is noted that copies may be of a log that is gone
		return
	}
	items := h.asideOf(1, len(w.room.aside))
	if len(items) == 0 {
		return
	}
	w.room.unsealed++
	shelf := mailbox.NewShelf(items)
	v = w.st.now // whoever compares the two asks a server that has what was stored since
	list = v.from(h.box, p.from, 1<<30)
	first := v.last + 1
	for _, r := range list {
		first = min(first, r.seq)
	}
	if a := shelf.Unsealed(q, first); len(a.Msgs) > 0 {
		h.answer(p, a, nil)
	}
}

// answer is what was set aside, and else what follows in the log.
func (h *host) answer(p *pendingRead, a mailbox.Answer[*record], log []*record) {
	b := &p.b
	if p.anchor != 0 {
		b.Anchor, b.AnchorTime, b.Oldest = Gone, 0, a.Oldest
		if a.There {
			b.Anchor, b.AnchorTime, b.Oldest = Present, a.AnchorTime, 0
		}
	} else {
		b.Oldest = a.Oldest
	}
	b.Msgs, b.Next = nil, 0
	for _, it := range a.Msgs {
		log = nil
		if b.Next == 0 {
			b.Next = it.Seq
		}
		if len(b.Msgs) < p.max {
			b.Msgs = append(b.Msgs, Stored{Seq: it.Seq, Time: it.Time, TTL: it.Msg.ttl, Payload: payload(it.Msg)})
		}
	}
	for _, r := range log {
		if b.Next == 0 {
			b.Next = r.seq
		}
		if len(b.Msgs) < p.max {
			m := Stored{Seq: r.seq, Time: h.w.time(r), Mark: r.mark != 0, TTL: r.ttl}
			if r.mark == 0 {
				m.Payload = payload(r)
			}
			b.Msgs = append(b.Msgs, m)
		}
	}
	if !a.There && b.Oldest != 0 && p.anchor == 0 {
		b.Oldest = b.Next
	}
}

// asideOf is what was set aside of the host's box, from one place to another.
func (h *host) asideOf(from, to int) (items []mailbox.Item[*record]) {
	for i := max(from, 1); i <= to; i++ {
		if a := h.w.room.aside[i-1]; a.box == h.box && !(a.item.Seq != 0 && lapsed(a.item.Msg, h.w)) {
			items = append(items, a.item)
		}
	}
	return items
}
