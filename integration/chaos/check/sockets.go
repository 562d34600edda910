package check

import (
	"strings"

	"hydrant/integration/chaos/history"
)

// denied: a session that lives was not given back. One that began after the copy
// that the stores were restored from is gone.
func (c *checker) denied(line int, e history.Event) {
	s := c.session(e.SID)
	switch {
	case c.undone(s.opened), c.wentBack(s.dialed, s.opened):
		s.gone = true
	case strings.Contains(e.Why, "expired"):
		c.violate(Expired, line, "session %s was told expired though it lives: %s", e.SID, e.Why)
	default:
		c.violate("I1", line, "session %s was not given back: %s", e.SID, e.Why)
	}
}

// resuming notes who asks for a session.
func (c *checker) resuming(e history.Event) {
	s := c.session(e.SID)
	// What it has is where the chain goes on, if it has anything.
	k := &conn{sid: e.SID, node: e.Node, dialed: e.Dialed, calm: e.Calm, seen: make(map[string]int), given: e.Seq, last: e.Seq, chain: e.Seq != 0, after: e.Why, attempt: e.Attempt, late: e.Late}
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
// unanswered may have made the rival itself. Where it was given the session between a copy
// of the stores and their return to that, the directory names the socket before again, and
// nobody can know better while the new one's node stands still.
func (c *checker) taken(line, number int, k *conn) {
	s := c.session(k.sid)
	switch {
	case k.attempt != 0 && k.attempt < s.attempt, k.attempt == 0 && s.attempt != 0:
	case k.attempt != 0:
		c.violate(Taken, line, "socket %d, the %d. of session %s, was closed with %d without a rival", number, k.attempt, k.sid, closedTaken)
	case s.owner == number && s.rival == 0 && !c.rivalled(k, number) && !c.undone(k.taken):
		c.violate(Taken, line, "socket %d, the only one of session %s, was closed with %d", number, k.sid, closedTaken)
	}
}

// rivalled reports whether another socket of the session ended before it was
// answered, unless its end was in the same segment as its request; or was given the session
// later than this one, which hears of that when it reads, also when the other one has ended.
func (c *checker) rivalled(k *conn, number int) bool {
	for other, o := range c.conns {
		if other != number && o.sid == k.sid && (!o.answered && !o.late || o.answered && o.taken > k.taken) {
			return true
		}
	}
	return false
}
