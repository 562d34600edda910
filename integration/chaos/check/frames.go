package check

import "hydrant/integration/chaos/history"

// frame judges what a node writes to a managed client, which gives its program less of it.
// What came with the welcome of a fresh session is of a socket that is not known yet.
func (c *checker) frame(line int, e history.Event) {
	k := c.conns[e.Conn]
	if k == nil {
		return
	}
	s, m := c.session(k.sid), c.messages[e.Mid] // nil: a gap
	if !s.has(e.Conn) {
		if m != nil && s.resumed != 0 && m.sent > s.resumed && !c.undone(s.resumed) {
			c.violate("I5", line, "socket %d got message %s of session %s, sent (line %d) after socket %d was given the session (line %d)",
				e.Conn, e.Mid, k.sid, m.sent, s.owner, s.resumed)
		}
		return // late
	}
	c.follow(line, k, e)
	switch {
	case e.Why == rollback:
		k.given = 0 // it is of another log
		return
	case m == nil:
		return
	case c.repeatable(m) && len(m.seqs) > 1: // stored again, see Small mailboxes
	case k.seen[e.Mid] > k.restores:
		c.violate("I4", line, "message %s came twice over socket %d", e.Mid, e.Conn)
	case e.Seq <= k.given && k.restores == 0:
		c.violate(Repeated, line, "message %s, at %d, came over socket %d, though the client had said that it has %d", e.Mid, e.Seq, e.Conn, k.given)
	case s.first[e.Mid] != 0:
		c.report.Dropped++
	}
	k.seen[e.Mid]++
}
