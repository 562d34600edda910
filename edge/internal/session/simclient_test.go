package session

// client is the far end of the socket, with what it has got so far.
type client struct {
	hasSeq  bool
	lastSeq uint64 // last x-seq handled
	seqLog  int    // in this log
	chained bool   // something arrived over this connection, or it resumed by sequence
	conn    int

	got       map[int]delivery // by record id
	newest    int              // highest record id first delivered; orders first deliveries
	newestLog int
	gaps      []toldGap
	rolls     int // rollback gaps told
	repeats   int
}

type delivery struct {
	conn, rolls, log int
}

// toldGap is a gap with the number of messages that existed when it was told.
type toldGap struct {
	Gap
	before int
}

// connect begins a new connection.
func (h *host) connect() {
	h.conn++
	h.chained = h.class == Acked && h.hasSeq
}

// told records a gap, on its arrival.
func (h *host) told(g Gap) {
	h.gaps = append(h.gaps, toldGap{g, len(h.w.st.all)})
}

// handle lets the client read n frames; answers: it can still answer.
func (h *host) handle(n int, answers bool) {
	for _, f := range h.sock[:n] {
		switch {
		case f.rec != nil:
			h.chain(f)
			h.deliver(f.rec, f.at)
		case f.gap != nil:
			if h.class == Acked {
				h.chain(f)
				h.told(*f.gap)
			}
			if f.gap.Why == Rollback {
				h.rolls++
				h.newest = -1
			}
		case answers && h.w.rng.IntN(100) >= h.w.lostPongs:
			h.pongs = append(h.pongs, f.ping)
		}
		if f.ping == 0 && answers && h.class == Acked && (h.w.rng.IntN(3) == 0 || h.w.draining) {
			h.acks = append(h.acks, h.lastSeq)
		}
	}
	h.sock = h.sock[n:]
}

// chain checks I3.
func (h *host) chain(f frame) {
	if h.class != Acked {
		return
	}
	if h.chained && f.prev != h.lastSeq {
		h.w.fail(h, "I3: x-prev %d after x-seq %d", f.prev, h.lastSeq)
	}
	// A resume in doubt may be told of a gap that ends where it began.
	if h.hasSeq && (f.gap == nil && f.seq <= h.lastSeq || f.gap != nil && f.seq < h.lastSeq && f.gap.Why != Rollback) {
		h.w.fail(h, "I3: x-seq %d after %d", f.seq, h.lastSeq)
	}
	h.chained, h.hasSeq, h.lastSeq, h.seqLog = true, true, f.seq, f.log
}

// deliver checks I2 and I4. at is the log that the session was reading.
func (h *host) deliver(r *record, at int) {
	d, again := h.got[r.id]
	if again {
		h.repeats++
		sameConn := d.conn == h.conn
		if h.rolls == d.rolls && (sameConn || h.class == Acked) {
			h.w.fail(h, "I4: message %d (seq %d) again", r.id, r.seq)
		}
	} else {
		if h.newestLog != at {
			h.newestLog, h.newest = at, -1 // what had been dropped may be back
		}
		// One that has expired, or was declared as gone, may still be on a
		// lagging replica.
		if r.id < h.newest && r.fate != expired && !h.covered(r) {
			h.w.fail(h, "I2: message %d after %d", r.id, h.newest)
		}
		h.newest = max(h.newest, r.id)
	}
	h.got[r.id] = delivery{h.conn, h.rolls, h.w.st.log}
}

// covered reports whether a gap that the client was told speaks of r.
func (h *host) covered(r *record) bool {
	for _, g := range h.gaps {
		if r.id >= g.before {
			continue // stored later
		}
		if g.From <= r.seq && r.seq <= g.To || g.Why == Rollback && r.fate == undone {
			return true
		}
	}
	return false
}
