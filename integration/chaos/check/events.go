package check

import (
	"fmt"
	"time"

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
		c.fault(line, e)
	case history.Bit:
		c.report.Bitten[e.What]++
	case history.Missed:
		c.violate(Bite, line, "%s of %s had no effect: %s", e.What, e.Node, e.Why)
	case history.Copied:
		c.copied = line
	case history.Restored:
		c.restore(line, e.At)
	case history.Open:
		c.open(line, e)
	case history.Resuming:
		c.resuming(e)
	case history.Resumed:
		c.resumed(line, e)
	case history.Denied:
		c.denied(line, e)
	case history.Send:
		return c.send(line, e)
	case history.Stored:
		return c.known(line, e, func(m *message) { m.confirm(line, e.Seq) })
	case history.Failed:
		return c.failed(line, e)
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
	case history.Well:
		c.well = e.At
	case history.Back:
		if after := e.At - c.well; after > Promptly {
			c.violate(Slow, line, "%s was back only %v after the servers", e.Node, after.Round(time.Millisecond))
		}
	case history.Heal:
	default:
		return c.managed(line, e)
	}
	return nil
}

func (c *checker) fault(line int, e history.Event) {
	c.report.Faults[e.What]++
	c.report.Bitten[e.What] += 0
	if e.What == history.KillNode {
		c.killed[e.Node] = line
	}
}

func (c *checker) open(line int, e history.Event) {
	c.report.Sessions++
	c.conns[e.Conn] = &conn{sid: e.SID, node: e.Node, dialed: e.Dialed, calm: e.Calm, seen: make(map[string]int), taken: line, answered: true}
	s := c.session(e.SID)
	s.class, s.owner, s.opened, s.dialed, s.known = e.Class, e.Conn, line, e.Dialed, true
}

// restore: the stores have gone back to the last copy. A socket that lives may get
// everything once more. What is on its way just then may come after this.
func (c *checker) restore(line int, at time.Duration) {
	c.restored = append(c.restored, restore{from: c.copied, line: line, at: at})
	for _, k := range c.conns {
		k.restores++
	}
}

// confirm notes that the store has acknowledged a message.
func (m *message) confirm(line int, seq uint64) {
	m.stored = true
	m.outcomes++
	if m.confirmed == 0 {
		m.confirmed = line
	}
	m.learn(seq)
}

func (c *checker) send(line int, e history.Event) error {
	if c.messages[e.Mid] != nil {
		return fmt.Errorf("check: line %d: mid %s was sent before", line, e.Mid)
	}
	c.report.Sent++
	c.messages[e.Mid] = &message{sid: e.SID, source: e.Source, conn: e.Conn, sent: line, at: e.At, rmid: e.Rmid}
	if e.Source == history.ByManaged {
		c.report.Calls++
	}
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
	if c.session(e.SID).class == history.Managed {
		c.given(line, e)
		return nil
	}
	k := c.conns[e.Conn]
	if k == nil {
		return fmt.Errorf("check: line %d: socket %d was never opened", line, e.Conn)
	}
	m := c.theirs(line, e)
	if m == nil {
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
		if s.resumed != 0 && m.sent > s.resumed && !c.undone(s.resumed) {
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

// theirs is the message that came, if it is one of the session's (I8).
func (c *checker) theirs(line int, e history.Event) *message {
	m := c.messages[e.Mid]
	switch {
	case e.For != e.SID:
		c.violate("I8", line, "message %s for %s came to session %s", e.Mid, e.For, e.SID)
		return nil
	case m == nil:
		c.violate("I8", line, "message %s to %s was sent by nobody", e.Mid, e.SID)
	}
	return m
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
	forgiven := s.forgives(line, e.Mid)
	m.came++
	switch {
	case c.storedAgain(s, k, m, e):
		return
	case k.seen[e.Mid] > k.restores:
		c.violate("I4", line, "message %s came twice over socket %d", e.Mid, e.Conn)
	case again && s.class == history.Acked && k.twin && e.Seq > k.given:
		c.report.Twice++
	case again && s.class == history.Acked && forgiven:
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
	k.seen[e.Mid]++
	if len(m.seqs) > 1 && m.sent > c.lastRestore() {
		c.violate("I4", line, "message %s stands in the mailbox at %v", e.Mid, m.seqs)
	}
}

// storedAgain: the store took a repetition for a message of its own, and may
// have, since the first was dropped (see Small mailboxes). What an old client
// gets has no sequence, so that a second one over the same socket has to do.
func (c *checker) storedAgain(s *session, k *conn, m *message, e history.Event) bool {
	return c.repeatable(m) && (len(m.seqs) > 1 || s.class == history.Plain && k.seen[e.Mid] > 0)
}

// repeated reports whether its sender repeats it where it is told nothing.
func (m *message) repeated() bool {
	return m.source != history.ByNATS && m.source != history.ByRespond
}

func (c *checker) repeatable(m *message) bool {
	return c.limit > 0 && m.repeated()
}

func (c *checker) gap(line int, e history.Event) error {
	if c.session(e.SID).class == history.Managed {
		c.givenGap(line, e)
		return nil
	}
	k := c.conns[e.Conn]
	if k == nil {
		return fmt.Errorf("check: line %d: socket %d was never opened", line, e.Conn)
	}
	if e.SID != k.sid {
		if e.Why == rollback && c.wentBack(k.dialed, line) {
			return nil // there was something to tell
		}
		c.violate("I3", line, "socket %d: gap from %d to %d (%s) of session %s, which has just begun", e.Conn, e.From, e.To, e.Why, e.SID)
		return nil
	}
	s := c.session(e.SID)
	if !s.has(e.Conn) {
		return nil
	}
	c.follow(line, k, e)
	c.toldGap(line, fmt.Sprintf("socket %d", e.Conn), s, e)
	if e.Why == overflow && c.limit == 0 { // such a mailbox never is over its bound
		return nil
	}
	s.gaps = append(s.gaps, span{e.From, e.To})
	return nil
}

// toldGap judges what somebody was told of a gap.
func (c *checker) toldGap(line int, who string, s *session, e history.Event) {
	c.report.Gaps++
	switch {
	case e.Why == rollback && len(c.restored) == 0:
		c.violate("I3", line, "%s: the store did not go back, but a gap says rollback", who)
	case e.Why == rollback:
		s.rolled = line
	case e.From > e.To:
		c.violate("I3", line, "%s: gap from %d to %d", who, e.From, e.To)
	}
}

func (c *checker) sample(line int, e history.Event) {
	c.report.MaxRSS = max(c.report.MaxRSS, e.RSS)
	if b := c.bounds; b != nil && (e.RSS > b.RSS || e.Descriptors > b.Descriptors || e.Goroutines > b.Goroutines) {
		c.violate("I6", line, "node %s: %d bytes, %d descriptors, %d goroutines; bounds %+v", e.Node, e.RSS, e.Descriptors, e.Goroutines, *b)
	}
}
