package session

import "fmt"

// tail is what the holder before has kept since it parked the session: copies as they
// came to it, as long as each follows the one before.
type tail struct {
	node   int // whose connection it lives by
	end    uint64
	items  []item
	closed bool // a link is missing, or it is full: what there is stays good
}

// pendingTail is a question for the copies of another holder.
type pendingTail struct {
	after uint64
	conn  int  // over which the answer came
	known bool // it has come
	items []item
}

// linger begins to keep what comes, as a holder does that parks a session with nothing
// missing.
func (h *host) linger() {
	h.tail = nil
	if s := h.s; s.state == Live && !h.on().offline && h.owed == 0 && h.reached == h.on().conn {
		h.tail = &tail{node: h.node, end: s.log.cursor}
	}
	for _, it := range h.pipe {
		if it.lost {
			h.tail = nil
			return
		}
		h.keep(it)
	}
}

// keep takes a copy that comes to whoever has parked the session.
func (h *host) keep(it item) {
	t := h.tail
	switch {
	case t == nil || t.closed:
	case it.rec.seq <= t.end: // the log went back, or it comes again
		h.tail = nil
	case it.prev > t.end, len(t.items) >= 6:
		t.closed = true
	default:
		t.items = append(t.items, it)
		t.end = it.rec.seq
	}
}

// Tail implements [Effects].
func (h *host) Tail(after, to uint64) bool {
	h.w.log("  box %d: tail after %d to %d", h.box, after, to)
	if h.read != nil || h.asks != nil {
		h.w.fail(h, "second outstanding question")
	}
	if after != h.s.Cursor() || to <= after || h.slow {
		h.w.fail(h, "tail after %d to %d, cursor %d", after, to, h.s.Cursor())
	}
	h.step()
	if h.tails--; h.tails < 0 || h.tail == nil && h.w.rng.IntN(3) > 0 {
		return false
	}
	h.asks = &pendingTail{after: after}
	return true
}

// serveTail moves the question on: the answer is given, in parts, or there is none;
// then it comes.
func (h *host) serveTail(lost bool) {
	p := h.asks
	switch {
	case p.known && p.conn > h.reached:
		return // see serveRead
	case p.known:
		h.asks = nil
		var list []Copy
		log := h.w.st.log
		for _, it := range p.items {
			list = append(list, h.copyOf(it))
			log = it.rec.log
		}
		h.eventAt(log, fmt.Sprintf("%d copies of the holder before", len(list)), func() { h.s.Copies(list, h) })
	case lost || h.on().offline:
		p.known = true
	default:
		p.known, p.conn = true, h.on().conn
		if h.tail == nil {
			return
		}
		most := 1 + h.w.rng.IntN(6)
		for _, it := range h.tail.items {
			if it.rec.seq > p.after && len(p.items) < most {
				if it.gone = it.rec.ttl && it.rec.until <= h.w.st.tick; it.gone && it.rec.fate != kept {
					it.rec.fate = expired // what took it was only faster
				}
				p.items = append(p.items, it)
			}
		}
	}
}

// copyOf is an item as the session gets it.
func (h *host) copyOf(it item) Copy {
	r := it.rec
	c := Copy{Seq: r.seq, Prev: it.prev, Mark: r.mark, Time: h.w.time(r), TTL: r.ttl}
	switch {
	case it.gone:
		c.Mark = 1 << 62 // a place, and nothing there
	case r.mark == 0:
		c.Payload = payload(r)
	}
	return c
}

// dropTails is the end of what a node keeps, with its connection.
func (w *world) dropTails(node int) {
	for _, h := range w.hosts {
		if h.tail != nil && h.tail.node == node {
			h.tail = nil
		}
	}
}
