package check

import (
	"fmt"

	"hydrant/integration/chaos/history"
)

// ask is what a program said to a service.
type ask struct {
	line     int
	outcomes int
}

// managed takes an event that only managed clients have.
func (c *checker) managed(line int, e history.Event) error {
	switch e.Kind {
	case history.Frame:
		c.frame(line, e)
	case history.Began:
		c.session(e.SID).programs++
	case history.Ended:
		c.violate(Taken, line, "socket %d: the program of session %s was told that it is over (%d %s), and no other one had it", e.Conn, e.SID, e.Code, e.Why)
	case history.Ask:
		c.report.Calls++
		c.asks[e.Mid] = &ask{line: line}
	case history.Answered:
		return c.answered(line, e)
	default:
		return fmt.Errorf("check: line %d: unknown event %q", line, e.Kind)
	}
	return nil
}

// failed notes what a sender was told.
func (c *checker) failed(line int, e history.Event) error {
	if e.Told == history.ToldUnknown {
		c.report.Unknown++
	}
	if a := c.asks[e.Mid]; a != nil {
		a.outcomes++
		return nil
	}
	return c.known(line, e, func(m *message) { m.failed, m.told, m.toldAt, m.outcomes = true, e.Told, line, m.outcomes+1 })
}

// answered notes the outcome of an ask, and what it brought.
func (c *checker) answered(line int, e history.Event) error {
	a := c.asks[e.Rmid]
	if a == nil {
		return fmt.Errorf("check: line %d: %s was never asked", line, e.Rmid)
	}
	a.outcomes++
	if e.Mid == "" {
		return nil
	}
	m := c.theirs(line, e)
	if m == nil {
		return nil
	}
	s := c.session(e.SID)
	if before, again := s.first[e.Mid]; again {
		c.violate(Repeated, line, "the answer %s came to a program again (first line %d)", e.Mid, before)
		return nil
	}
	m.came++
	s.first[e.Mid], s.last[e.Mid], s.answers[e.Mid] = line, line, s.programs
	c.report.Delivered++
	c.report.Given++
	return nil
}

// given judges what a program is given.
func (c *checker) given(line int, e history.Event) {
	m := c.theirs(line, e)
	if m == nil {
		return
	}
	s := c.session(e.SID)
	m.learn(e.Seq)
	m.came++
	before, again := s.first[e.Mid]
	forgiven := s.forgives(line, e.Mid)
	asker, answer := s.answers[e.Mid]
	switch {
	case !again:
		s.first[e.Mid] = line
		s.firsts = append(s.firsts, delivery{mid: e.Mid, line: line})
		c.report.Delivered++
		c.report.Given++
	case c.repeatable(m) && len(m.seqs) > 1: // stored again, see Small mailboxes
	case forgiven:
		c.report.Repeated["rollback"]++
	case answer && asker < s.programs: // behind what the program before was not done with
		c.report.Repeated["program"]++
	default:
		c.violate(Repeated, line, "message %s was given to a program again (first line %d)", e.Mid, before)
	}
}

// givenGap notes that a program was told of a gap.
func (c *checker) givenGap(line int, e history.Event) {
	s, who := c.session(e.SID), "session "+e.SID
	c.toldGap(line, who, s, e)
	if e.From <= e.To && e.Why == overflow && c.limit == 0 {
		c.violate("I3", line, "%s: gap from %d to %d for a bound that the mailbox does not reach", who, e.From, e.To)
		return
	}
	s.gaps = append(s.gaps, span{e.From, e.To})
}

// untold: each call has one outcome.
func (c *checker) untold() {
	for mid, a := range c.asks {
		if a.outcomes != 1 {
			c.violate(Told, a.line, "what became of %s, which a program asked, was told %d times", mid, a.outcomes)
		}
	}
	for mid, m := range c.messages {
		if m.source == history.ByManaged && m.outcomes != 1 {
			c.violate(Told, m.sent, "what became of message %s of a program was told %d times", mid, m.outcomes)
		}
	}
}

// settled reports whether a message is an answer that a program need not be given, since
// what it asked has its outcome: a question that is asked again may be answered twice.
func (c *checker) settled(s *session, m *message) bool {
	a := c.asks[m.rmid]
	return s.class == history.Managed && a != nil && a.outcomes > 0
}
