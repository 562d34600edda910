package session

import "math"

// verdict is what the leader's answer about the anchor means.
type verdict uint8

const (
	intact     verdict = iota // nothing after the cursor was dropped
	dropped                   // something may have been
	rolledBack                // the log is not the one that was read
	askOther                  // the other position of a resume has to be asked for
)

// witness returns the message to ask for next, 0 if there is none: one that was
// seen in this mailbox, at or below the cursor. Any of them that is still there
// proves that nothing after the cursor was dropped. second: the one that was
// asked for is not there.
func (s *Session) witness(second bool) uint64 {
	if s.unsure {
		switch {
		case !second && s.floor != 0:
			return s.floor
		case !second || s.asked != s.safe:
			return s.safe
		}
		return 0
	}
	best, limit := uint64(0), uint64(math.MaxUint64)
	if second {
		limit = s.asked
	}
	consider := func(seq uint64) {
		if seq < limit && seq > best {
			best = seq
		}
	}
	if c := s.held.first(); s.verify && s.when != 0 && c != nil && c.Prev <= s.cursor {
		consider(c.Prev) // the last one that there is
	}
	consider(s.anchor)
	if s.weak { // else older ones are gone when it is
		consider(min(s.floor, s.anchor))
		consider(min(s.safe, s.anchor))
	}
	return best
}

// judge weighs the answer about the message that was asked for.
//
// The positions of a resume, unsure, are weighed with care: safe was chosen by
// a session of this package and was a message of this mailbox in the log that
// it knew. floor may be a client's claim, or the sequence of a gap, which can
// be anybody's.
func (s *Session) judge(b *Batch) verdict {
	switch b.Anchor {
	case Present:
		return s.present(b)
	case Foreign:
		if s.asked == s.safe || !s.unsure && s.asked >= s.anchor {
			return rolledBack
		}
		s.foreign = s.unsure && s.safe < s.floor
	case Gone:
		// An older message outlived one that has no time to live of its own.
		if c := s.held.first(); s.asked == s.anchor && !s.weak && c != nil && c.Prev > 0 && c.Prev < s.anchor {
			return rolledBack
		}
	default:
		return dropped // there was nothing to ask for
	}
	if s.witness(true) != 0 {
		s.second = true
		return askOther
	}
	return dropped
}

// present weighs a presence.
func (s *Session) present(b *Batch) verdict {
	switch {
	case s.foreign:
		return rolledBack // the newer one never was, though the older one is there
	case s.asked <= s.cursor && s.younger(b.AnchorTime):
		return rolledBack
	case s.asked < s.anchor:
		s.anchor, s.stamp = s.asked, b.AnchorTime
	case s.asked > s.anchor || b.AnchorTime == 0:
	case s.stamp != 0 && s.stamp != b.AnchorTime:
		return rolledBack // another message has taken its sequence
	default:
		s.stamp = b.AnchorTime
	}
	s.unsure = false
	return intact
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
		if s.cursor == 0 && s.origin == knownOrigin {
			s.origin = unknownOrigin // there was a position, but no floor
		}
	}
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
	s.verified()
	c := s.held.first()
	switch {
	case c == nil || c.Prev > s.cursor || s.proven(c.Prev) && v == intact:
	case v == intact:
		// The anchor is there, but was not when this copy was stored.
		fx.Count(RestartedAttach)
		s.seek(fx)
	case s.cursor > 0 && from <= s.cursor:
		s.lose(from, c, fx) // it is in doubt which log the resume came from
	}
}
