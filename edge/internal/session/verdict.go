package session

// verdict is what the leader's answer about the anchor means.
type verdict uint8

const (
	intact     verdict = iota // nothing after the cursor was dropped
	dropped                   // something may have been
	rolledBack                // the log is not the one that was read
	askOther                  // the other position of a resume has to be asked for
)

// judge weighs the answer about the anchor.
func (s *Session) judge(b *Batch) verdict {
	if s.unsure {
		return s.judgeResume(b)
	}
	switch b.Anchor {
	case Present:
		if s.younger(b.AnchorTime) {
			return rolledBack
		}
		if s.asked == s.anchor && s.stamp != b.AnchorTime && b.AnchorTime != 0 {
			if s.stamp != 0 {
				return rolledBack // another message has taken its sequence
			}
			s.stamp = b.AnchorTime
		}
		return intact
	case Foreign:
		return rolledBack
	case Gone:
		if s.asked != s.anchor {
			s.second = true // it had a time to live
			return askOther
		}
		// An older message outlived one that has no time to live of its own.
		if c := s.held.first(); !s.weak && c != nil && c.Prev > 0 && c.Prev < s.anchor {
			return rolledBack
		}
	}
	return dropped
}

// judgeResume weighs the answer about a position that a resume has brought.
// The higher one is asked for first. safe was chosen by a session of this
// package and was a message of this mailbox in the log that it knew; floor may
// be a client's claim, or the sequence of a gap, which can be anybody's.
func (s *Session) judgeResume(b *Batch) verdict {
	low, high := min(s.floor, s.safe), max(s.floor, s.safe)
	if b.Anchor == Present {
		if s.foreign {
			return rolledBack // an older message is there, the newer one never was
		}
		s.anchor, s.stamp = s.asked, b.AnchorTime
		s.unsure = false
		return intact
	}
	if b.Anchor == Foreign && s.asked == s.safe {
		return rolledBack
	}
	s.foreign = s.foreign || b.Anchor == Foreign && !s.second
	if !s.second && low != 0 && low != high {
		s.second = true
		return askOther
	}
	return dropped
}

// judged acts on the verdict.
func (s *Session) judged(v verdict, b *Batch, fx Effects) {
	from := s.cursor + 1
	switch v {
	case askOther:
		return // advance asks again
	case rolledBack:
		s.rollback(fx)
		s.seek(fx)
		return
	case dropped:
		if s.foreign {
			from = min(s.floor, s.safe) + 1 // everything since then is in doubt
		}
		s.anchor, s.stamp, s.weak = 0, 0, true
		s.unsure, s.foreign = false, false
	}
	s.verify, s.second = false, false
	switch {
	case s.aim == 0:
		s.checked(v, from, fx)
	case len(b.Msgs) == 0:
		s.nothing(v, from, b, fx)
	default:
		s.takeAll(v, from, b, fx)
	}
}

// checked handles the answer to a read that asked for the anchor only.
func (s *Session) checked(v verdict, from uint64, fx Effects) {
	s.tries = 0
	c := s.held.first()
	switch {
	case c == nil || c.Prev > s.cursor || s.proven(c.Prev) && v == intact:
	case v == intact:
		// The anchor is there, but was not when this copy was stored.
		fx.Count(RestartedAttach)
		s.seek(fx)
	case s.cursor > 0 && from < c.Seq && (c.Prev == 0 || from <= s.cursor):
		// The mailbox was empty when the copy was stored, so what was before
		// it may be lost; or it is in doubt which log a resume came from.
		s.skip(from, c.Seq-1, Expired, fx)
		fx.Mark(fx.NextMark(), true)
	}
}
