package check

import (
	"maps"
	"slices"
	"time"

	"hydrant/integration/chaos/history"
)

// undone reports whether what happened at a line fell between a copy of the
// stores and its restoration.
func (c *checker) undone(line int) bool {
	for _, r := range c.restored {
		if r.from < line && line < r.line {
			return true
		}
	}
	return false
}

// finish judges what only the end can show.
func (c *checker) finish() {
	if !c.ended {
		c.violate("L", 0, "the history has no end")
	}
	if !c.drained {
		c.violate("L", 0, "not everything drained")
	}
	for _, what := range slices.Sorted(maps.Keys(c.report.Bitten)) {
		if c.report.Bitten[what] == 0 {
			c.violate(Bite, 0, "%s had no effect, %d times", what, c.report.Faults[what])
		}
	}
	for sid, s := range c.sessions {
		c.order(sid, s)
	}
	c.untold()
	for mid, m := range c.messages {
		c.told(mid, m)
		if !c.accepted(m) || c.lostByRestore(m) {
			continue
		}
		c.report.Accepted++
		s := c.session(m.sid)
		if c.limit > 0 && !m.kept && (s.class == history.Plain || len(m.seqs) == 0) {
			continue // dropped, perhaps
		}
		if _, delivered := s.first[mid]; !delivered && !s.covered(m.seqs) && !c.settled(s, m) {
			c.violate("I1", m.sent, "message %s (%s) to %s session %s, at %v, was accepted and never came", mid, m.source, s.class, m.sid, m.seqs)
		}
	}
}

// told judges what a sender was told of a message.
func (c *checker) told(mid string, m *message) {
	switch s := c.session(m.sid); {
	case m.told == "" || m.told == history.ToldTimeout || m.told == history.ToldUnknown:
	case m.stored || s.first[mid] != 0:
		c.violate(Failed, m.toldAt, "the sender of message %s was told %s, though it is stored", mid, m.told)
	case m.told == unknownSession && s.known && !s.gone && !c.undone(s.opened):
		c.violate(Expired, m.toldAt, "the sender of message %s was told %s of session %s, which lives", mid, m.told, m.sid)
	}
}

// lostByRestore reports whether a message may be lost because the stores went
// back: unless it was confirmed before the copy was made, or the store has it in
// the end. What a session that is gone was sent, is gone as well.
func (c *checker) lostByRestore(m *message) bool {
	if c.session(m.sid).gone {
		return true
	}
	for _, r := range c.restored {
		if m.sent < r.line && (m.confirmed == 0 || m.confirmed > r.from) && !m.kept {
			return true
		}
	}
	return false
}

// wentBack reports whether the stores went back between a time and a line. What a node
// begins for a socket may be gone before the client hears of it.
func (c *checker) wentBack(since time.Duration, line int) bool {
	return since != 0 && slices.ContainsFunc(c.restored, func(r restore) bool { return since < r.at && r.line < line })
}

// lastRestore is the line at which the stores went back last, 0 if they never did.
func (c *checker) lastRestore() int {
	if len(c.restored) == 0 {
		return 0
	}
	return c.restored[len(c.restored)-1].line
}

// restoreBefore is the last such line before another line.
func (c *checker) restoreBefore(line int) (last int) {
	for _, r := range c.restored {
		if r.line < line {
			last = r.line
		}
	}
	return last
}

// accepted is explained in the package comment.
func (c *checker) accepted(m *message) bool {
	if m.stored {
		return true
	}
	if m.failed || m.source != history.ByClient {
		return false
	}
	k := c.conns[m.conn]
	if k == nil {
		return false
	}
	end := c.now
	if k.closed {
		end = k.at
	}
	return end-m.at > Grace
}

// order checks first deliveries against the mailbox (I2). Messages whose
// sequence nobody knows are left out.
func (c *checker) order(sid string, s *session) {
	var last uint64                // of all sockets
	socket := make(map[int]uint64) // the last of each
	log := 0                       // where it began
	for _, d := range s.firsts {
		m := c.messages[d.mid]
		if begin := c.restoreBefore(d.line); begin != log {
			log, last = begin, 0
			clear(socket)
		}
		if m.sent < log { // its sequence is of another log, perhaps
			continue
		}
		if c.storedLater(m, d.line) {
			continue
		}
		if len(m.seqs) != 1 || s.class == history.Plain && m.came > 1 && c.repeatable(m) { // stored again, perhaps
			continue
		}
		seq := m.seqs[0]
		before := last
		if c.limit > 0 && d.late && !m.kept && (s.class == history.Plain || s.covered(m.seqs)) {
			before = socket[d.conn] // dropped before another socket came to it, perhaps
		}
		if seq < before {
			c.violate("I2", d.line, "session %s: message %s, at %d, came over socket %d after the one at %d", sid, d.mid, seq, d.conn, before)
		}
		last = max(last, seq)
		socket[d.conn] = max(socket[d.conn], seq)
	}
}

// storedLater reports whether a message that came at a line may have its sequence in a log
// that took the place of the one that it came from: its sender was told nothing by then, and
// may have repeated it; or what it was told was undone, and a repetition that was under way
// was stored after that.
func (c *checker) storedLater(m *message, line int) bool {
	if !m.repeated() || c.lastRestore() < line {
		return false
	}
	return m.confirmed == 0 || c.restoreBefore(m.confirmed) != c.restoreBefore(line) || c.undone(m.confirmed)
}

// forgives notes that a message came, and reports whether it was told of a rollback since
// it came last.
func (s *session) forgives(line int, mid string) bool {
	last := s.last[mid]
	s.last[mid] = line
	return s.rolled > last
}

// has reports whether a socket has the session, alone or as one of two.
func (s *session) has(conn int) bool { return s.owner == conn || s.rival == conn }

func (s *session) covered(seqs []uint64) bool {
	for _, seq := range seqs {
		for _, g := range s.gaps {
			if g.from <= seq && seq <= g.to {
				return true
			}
		}
	}
	return false
}
