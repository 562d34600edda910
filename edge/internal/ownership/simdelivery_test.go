package ownership

import (
	"slices"

	"hydrant/bus/scheme"
)

// How a holder delivers its mailbox: attach with a marker, then write copies that
// continue, and read the store where one does not.

// Attach begins to listen.
func (h *holder) Attach(at scheme.Position, lasting bool) {
	h.only("attach at %d lasting %v", at.Floor, lasting)
	if at != (scheme.Position{}) && at != position(at.Floor) {
		h.w.fail("holder %d attaches at %+v, of two positions", h.id, at)
	}
	h.cursor, h.written, h.floor = at.Floor, at.Floor, at.Floor
	h.listening = true
	h.attach(lasting)
	for _, o := range slices.Clone(h.node.holders) {
		if o != h && o.loop == h.loop {
			o.event("replaced", func() { o.m.Replaced(o) })
		}
	}
}

// Reattach sends another marker.
func (h *holder) Reattach(lasting bool) {
	h.only("reattach lasting %v", lasting)
	h.source = nil
	h.attach(lasting)
}

func (h *holder) attach(lasting bool) {
	h.w.ids++
	h.mark, h.lasting, h.attaching, h.reading = h.w.ids, lasting, true, 0
	h.sendMark(h.mark)
}

// sendMark stores the marker, and again until it is back.
func (h *holder) sendMark(mark uint64) {
	w := h.w
	if h.over || h.mark != mark || !h.attaching {
		return
	}
	lasting := h.lasting
	if w.calm || !w.percent(w.lostMarks) {
		h.node.leave(func() {
			if !w.calm && w.client.known && w.percent(40) {
				w.box.store(&item{message: true})
			}
			w.box.store(&item{holder: h.id, mark: mark, lasting: lasting})
		})
	}
	h.node.after(w.between(150, 400), func() { h.sendMark(mark) })
}

// copy takes a live copy.
func (h *holder) copy(it *item) {
	if !h.listening {
		h.node.keeps(h.id, it)
		return
	}
	h.newest = max(h.newest, it.seq)
	h.scan([]*item{it})
	if h.over {
		return
	}
	if h.attaching && it.mark == h.mark {
		h.attaching = false
		if h.m.phase == Opening {
			h.cursor, h.written, h.floor = it.seq, it.seq, it.seq
			h.event("placed", func() { h.m.Placed(h.node.time(), h) })
			return
		}
		begin := false
		h.event("marker", func() { begin = h.m.Marker(h.node.time(), h) })
		if begin != (h.begun && !h.leaving) {
			h.w.fail("holder %d: delivery may begin: %v, welcomed: %v", h.id, begin, h.begun)
		}
	}
	if h.delivering() && h.reading == 0 && it.prev <= h.cursor && it.seq > h.cursor {
		h.take(it)
	}
	h.pump()
}

// delivering reports whether messages may be written.
func (h *holder) delivering() bool {
	return h.begun && h.listening && !h.frozen && !h.leaving && !h.attaching && !h.blocked && !h.over
}

// scan reports markers that are neither this holder's nor of the one before.
func (h *holder) scan(items []*item) {
	last := max(h.rival, h.cursor)
	for _, it := range items {
		if !it.message && it.holder != h.id && it.holder != h.m.Former() {
			last = max(last, it.seq)
		}
	}
	if last > max(h.rival, h.cursor) {
		h.rival = last
		h.event("another's marker", func() { h.m.Rival(h.node.time(), h) })
	}
}

// take accounts for an item that follows the cursor.
func (h *holder) take(it *item) {
	h.cursor = it.seq
	if it.message {
		h.push(frame{seq: it.seq, prev: h.written})
		h.written = it.seq
		h.block()
	}
}

// pump reads what is missing.
func (h *holder) pump() {
	switch {
	case !h.delivering() || h.reading != 0:
		return
	case h.newest <= h.cursor:
		h.source = nil // it has all
		return
	case h.inherit():
		return
	}
	h.reads++
	number, w, sent, from := h.reads, h.w, h.w.now, h.cursor
	h.reading = number
	h.node.request(w.lostReads, func() func() {
		items, end := w.box.after(from)
		return func() { h.batch(number, sent, items, end) }
	}, func() { h.batch(number, 0, nil, 0) })
}

// batch takes what the store has. It counts if it is young, and reaches beyond
// all that was seen.
func (h *holder) batch(number int, sent int64, items []*item, end uint64) {
	if h.over || number != h.reading || !h.delivering() {
		return
	}
	h.reading = 0
	if sent == 0 || h.w.now-sent > 150 || end < h.newest {
		h.reading = -1
		h.node.after(20, func() {
			if h.reading == -1 {
				h.reading = 0
				h.pump()
			}
		})
		return
	}
	h.scan(items)
	for _, it := range items {
		if h.delivering() {
			h.take(it)
		}
	}
	if h.delivering() {
		h.cursor = max(h.cursor, end)
	}
	h.pump()
}

// Freeze keeps messages from the socket.
func (h *holder) Freeze(hold bool) {
	h.only("freeze, hold %v", hold)
	h.frozen, h.reading = true, 0
	h.held = h.held || hold
}

// Thaw ends Freeze.
func (h *holder) Thaw() {
	h.only("thaw")
	h.frozen, h.held = false, false
	h.flush()
	h.source = nil
	h.attach(false)
}

// Unsettled closes the socket if something is held back from it.
func (h *holder) Unsettled() {
	h.only("unsettled")
	if h.held && len(h.out) > 0 && h.w.percent(30) {
		h.out = nil
		h.node.after(0, h.sock.closed)
	}
}

// Settle sends the last barrier.
func (h *holder) Settle() bool {
	h.only("settle")
	wait := h.floor < h.written
	h.leaving = wait
	if wait && h.w.percent(50) {
		h.node.after(h.w.between(1, 140), func() { h.event("quiet", func() { h.m.Quiet(h) }) })
	}
	return wait
}
