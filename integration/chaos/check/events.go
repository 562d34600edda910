package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hydrant/integration/chaos/history"
)

// event takes the next line. The error is about a history that makes no
// sense, not about a broken promise.
func (c *checker) event(line int, e history.Event) error {
	c.now = e.At
	switch e.Kind {
	case history.Start:
		c.report.Seed, c.bounds, c.limit = e.Seed, e.Bounds, e.Limit
	case history.Fault:
		c.report.Faults[e.What]++
		c.report.Bitten[e.What] += 0
		if e.What == history.KillNode {
			c.killed[e.Node] = line
		}
	case history.Bit:
		c.report.Bitten[e.What]++
	case history.Missed:
		c.violate(Bite, line, "%s of %s had no effect: %s", e.What, e.Node, e.Why)
	case history.Copied:
		c.copied = line
	case history.Restored:
		c.restored = append(c.restored, restore{from: c.copied, line: line})
		for _, k := range c.conns { // a socket that lives may get everything once more
			clear(k.seen)
		}
	case history.Open:
		c.report.Sessions++
		c.conns[e.Conn] = &conn{sid: e.SID, node: e.Node, calm: e.Calm, seen: make(map[string]bool), taken: line, answered: true}
		s := c.session(e.SID)
		s.class, s.owner, s.opened, s.known = e.Class, e.Conn, line, true
	case history.Resuming:
		c.resuming(e)
	case history.Resumed:
		c.resumed(line, e)
	case history.Denied:
		c.denied(line, e)
	case history.Send:
		return c.send(line, e)
	case history.Stored:
		return c.known(line, e, func(m *message) {
			m.stored = true
			if m.confirmed == 0 {
				m.confirmed = line
			}
			m.learn(e.Seq)
		})
	case history.Failed:
		return c.known(line, e, func(m *message) { m.failed, m.told, m.toldAt = true, e.Told, line })
	case history.Mailbox:
		c.mailbox(e)
	case history.Receive:
		return c.receive(line, e)
	case history.Gap:
		return c.gap(line, e)
	case history.Close:
		c.close(line, e)
	case history.Sample:
		c.sample(line, e)
	case history.Drained:
		c.drained = true
	case history.Stuck:
		c.violate("L", line, "session %s does not drain: %s", e.SID, e.Why)
	case history.Broken:
		c.violate("L", line, "%s: %s", e.Node, e.Why)
	case history.End:
		c.ended = true
	case history.Heal:
	default:
		return fmt.Errorf("check: line %d: unknown event %q", line, e.Kind)
	}
	return nil
}

// denied: a session that lives was not given back. One that began after the copy
// that the stores were restored from is gone.
func (c *checker) denied(line int, e history.Event) {
	s := c.session(e.SID)
	switch {
	case c.undone(s.opened):
		s.gone = true
	case strings.Contains(e.Why, "expired"):
		c.violate(Expired, line, "session %s was told expired though it lives: %s", e.SID, e.Why)
	default:
		c.violate("I1", line, "session %s was not given back: %s", e.SID, e.Why)
	}
}

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

// resuming notes who asks for a session.
func (c *checker) resuming(e history.Event) {
	s := c.session(e.SID)
	// What it has is where the chain goes on, if it has anything.
	k := &conn{sid: e.SID, node: e.Node, calm: e.Calm, seen: make(map[string]bool), given: e.Seq, last: e.Seq, chain: e.Seq != 0, after: e.Why, attempt: e.Attempt, late: e.Late}
	if last := c.conns[s.owner]; e.Why == history.EndLost && last != nil && c.killed[last.node] > last.taken {
		k.after = history.KillNode
	}
	c.conns[e.Conn] = k
	s.attempt = max(s.attempt, e.Attempt)
	if e.Late { // the client is elsewhere when this one arrives
		return
	}
	if e.Twin != 0 && s.owner == e.Twin {
		c.report.Contests++
		k.after, k.twin = c.conns[e.Twin].after, true
		c.conns[e.Twin].twin = true
		s.owner, s.rival = e.Conn, e.Twin
		return
	}
	s.owner, s.rival, s.resumed, s.both, s.won = e.Conn, 0, 0, 0, 0
}

func (c *checker) resumed(line int, e history.Event) {
	c.report.Resumes++
	if k := c.conns[e.Conn]; k != nil {
		k.taken, k.answered = line, true
	}
	s := c.session(e.SID)
	switch {
	case !s.has(e.Conn):
	case s.resumed == 0:
		s.resumed = line
	case s.rival != 0:
		s.both = line
	}
}

func (c *checker) send(line int, e history.Event) error {
	if c.messages[e.Mid] != nil {
		return fmt.Errorf("check: line %d: mid %s was sent before", line, e.Mid)
	}
	c.report.Sent++
	c.messages[e.Mid] = &message{sid: e.SID, source: e.Source, conn: e.Conn, sent: line, at: e.At}
	return nil
}

func (c *checker) known(line int, e history.Event, f func(*message)) error {
	m := c.messages[e.Mid]
	if m == nil {
		return fmt.Errorf("check: line %d: mid %s was never sent", line, e.Mid)
	}
	f(m)
	return nil
}

// mailbox notes what the store holds in the end, however it came there.
func (c *checker) mailbox(e history.Event) {
	if m := c.messages[e.Mid]; m != nil {
		m.stored, m.kept = true, true
		m.learn(e.Seq)
	}
}

func (c *checker) receive(line int, e history.Event) error {
	k := c.conns[e.Conn]
	if k == nil {
		return fmt.Errorf("check: line %d: socket %d was never opened", line, e.Conn)
	}
	if e.For != e.SID {
		c.violate("I8", line, "message %s for %s came to session %s", e.Mid, e.For, e.SID)
		return nil
	}
	m := c.messages[e.Mid]
	if m == nil {
		c.violate("I8", line, "message %s to %s was sent by nobody", e.Mid, e.SID)
		return nil
	}
	s := c.session(e.SID)
	if s.both != 0 && m.sent > s.both && s.has(e.Conn) {
		if s.won == 0 {
			s.won = e.Conn
		}
		if s.won != e.Conn {
			c.violate("I5", line, "sockets %d and %d both got messages of session %s that were sent after both had been given it (line %d)",
				s.won, e.Conn, e.SID, s.both)
		}
	}
	if !s.has(e.Conn) {
		if s.resumed != 0 && m.sent > s.resumed {
			c.violate("I5", line, "socket %d got message %s of session %s, sent (line %d) after socket %d was given the session (line %d)",
				e.Conn, e.Mid, e.SID, m.sent, s.owner, s.resumed)
		}
		if s.class == history.Acked {
			return nil // late
		}
	}
	if s.class == history.Acked {
		c.follow(line, k, e)
		m.learn(e.Seq)
	}
	c.deliver(line, s, k, m, e)
	return nil
}

// follow checks the chain of one socket (I3).
func (c *checker) follow(line int, k *conn, e history.Event) {
	switch {
	case k.chain && e.Prev != k.last:
		c.violate("I3", line, "socket %d: x-prev %d after x-seq %d (%s)", e.Conn, e.Prev, k.last, e.Kind)
	case e.Seq == 0:
		c.violate("I3", line, "socket %d: no x-seq (%s)", e.Conn, e.Kind)
	}
	k.chain, k.last = true, e.Seq
}

// deliver tells first deliveries from repeats.
func (c *checker) deliver(line int, s *session, k *conn, m *message, e history.Event) {
	before, again := s.first[e.Mid]
	m.came++
	switch {
	case c.storedAgain(s, k, m, e):
		return
	case k.seen[e.Mid]:
		c.violate("I4", line, "message %s came twice over socket %d", e.Mid, e.Conn)
	case again && s.class == history.Acked && k.twin && e.Seq > k.given:
		c.report.Twice++
	case again && s.class == history.Acked && s.rolled > c.lastRestore():
		c.report.Repeated["rollback"]++
	case again && s.class == history.Acked:
		c.violate(Repeated, line, "message %s came again (first line %d), though the client had said that it has %d", e.Mid, before, k.given)
	case again:
		c.report.Repeated[c.conns[s.owner].after]++ // k may be the old one
	default:
		s.first[e.Mid] = line
		late := k.twin || !s.has(e.Conn)
		s.firsts = append(s.firsts, delivery{e.Mid, line, e.Conn, late})
		c.report.Delivered++
	}
	k.seen[e.Mid] = true
	if len(m.seqs) > 1 && m.sent > c.lastRestore() {
		c.violate("I4", line, "message %s stands in the mailbox at %v", e.Mid, m.seqs)
	}
}

// storedAgain: the store took a repetition for a message of its own, and may
// have, since the first was dropped (see Small mailboxes). What an old client
// gets has no sequence, so that a second one over the same socket has to do.
func (c *checker) storedAgain(s *session, k *conn, m *message, e history.Event) bool {
	return c.repeatable(m) && (len(m.seqs) > 1 || s.class == history.Plain && k.seen[e.Mid])
}

func (c *checker) repeatable(m *message) bool {
	return c.limit > 0 && m.source != history.ByNATS && m.source != history.ByRespond // nobody repeats those
}

func (c *checker) gap(line int, e history.Event) error {
	k := c.conns[e.Conn]
	if k == nil {
		return fmt.Errorf("check: line %d: socket %d was never opened", line, e.Conn)
	}
	if e.SID != k.sid {
		c.violate("I3", line, "socket %d: gap from %d to %d (%s) of session %s, which has just begun", e.Conn, e.From, e.To, e.Why, e.SID)
		return nil
	}
	s := c.session(e.SID)
	if !s.has(e.Conn) {
		return nil
	}
	c.report.Gaps++
	c.follow(line, k, e)
	switch {
	case e.Why == rollback && len(c.restored) == 0:
		c.violate("I3", line, "socket %d: the store did not go back, but a gap says rollback", e.Conn)
	case e.Why == rollback:
		s.rolled = line
	case e.From > e.To:
		c.violate("I3", line, "gap from %d to %d", e.From, e.To)
	}
	if e.Why == overflow && c.limit == 0 { // such a mailbox never is over its bound
		return nil
	}
	s.gaps = append(s.gaps, span{e.From, e.To})
	return nil
}

func (c *checker) close(line int, e history.Event) {
	k := c.conns[e.Conn]
	if k == nil {
		return
	}
	k.closed, k.at = true, e.At
	if e.Code == closedTaken {
		c.taken(line, e.Conn, k)
	}
	if s := c.session(k.sid); s.rival != 0 && s.has(e.Conn) {
		s.owner, s.rival = s.owner+s.rival-e.Conn, 0 // the other one
		s.both, s.won = 0, 0
	}
	if k.calm && !c.drained {
		c.violate("I7", line, "socket %d, on a node that nobody harmed, was closed with %d %s", e.Conn, e.Code, e.Why)
	}
}

// taken: a socket was told that another one has the session. There is one if the
// client has asked for it over another since, and where its sockets have numbers,
// over one of a higher number. An old client whose earlier request went
// unanswered may have made the rival itself.
func (c *checker) taken(line, number int, k *conn) {
	s := c.session(k.sid)
	switch {
	case k.attempt != 0 && k.attempt < s.attempt, k.attempt == 0 && s.attempt != 0:
	case k.attempt != 0:
		c.violate(Taken, line, "socket %d, the %d. of session %s, was closed with %d without a rival", number, k.attempt, k.sid, closedTaken)
	case s.owner == number && s.rival == 0 && !c.unanswered(k, number):
		c.violate(Taken, line, "socket %d, the only one of session %s, was closed with %d", number, k.sid, closedTaken)
	}
}

// unanswered reports whether another socket of the session ended before it was
// answered, unless its end was in the same segment as its request.
func (c *checker) unanswered(k *conn, number int) bool {
	for other, o := range c.conns {
		if other != number && o.sid == k.sid && !o.answered && !o.late {
			return true
		}
	}
	return false
}

func (c *checker) sample(line int, e history.Event) {
	c.report.MaxRSS = max(c.report.MaxRSS, e.RSS)
	if b := c.bounds; b != nil && (e.RSS > b.RSS || e.Descriptors > b.Descriptors || e.Goroutines > b.Goroutines) {
		c.violate("I6", line, "node %s: %d bytes, %d descriptors, %d goroutines; bounds %+v", e.Node, e.RSS, e.Descriptors, e.Goroutines, *b)
	}
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
		if _, delivered := s.first[mid]; !delivered && !s.covered(m.seqs) {
			c.violate("I1", m.sent, "message %s (%s) to %s session %s, at %v, was accepted and never came", mid, m.source, s.class, m.sid, m.seqs)
		}
	}
}

// told judges what a sender was told of a message.
func (c *checker) told(mid string, m *message) {
	switch s := c.session(m.sid); {
	case m.told == "" || m.told == history.ToldTimeout:
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
