package session

import "math"

// verdict says what the leader's answer about the anchor means.
type verdict uint8

const (
	intact     verdict = iota // nothing after the cursor was dropped
	dropped                   // messages after the cursor may have been dropped
	rolledBack                // the log is not the one that was read
	askOther                  // the leader has to be asked for an older message
)

// witness returns the message to ask for next, 0 if there is none. It is one
// that was seen in this mailbox, at or below the cursor: if the leader still
// has it, nothing after the cursor was dropped. second: the message that was
// asked for before is not there.
func (s *Session) witness(second bool) uint64 {
	l := &s.log
	if l.claimed {
		switch {
		case !second && s.confirm.floor != 0:
			return s.confirm.floor
		case !second || s.reader.asked != s.confirm.seen:
			return s.confirm.seen
		}
		return 0
	}
	best, limit := uint64(0), uint64(math.MaxUint64)
	if second {
		limit = s.reader.asked
	}
	consider := func(seq uint64) {
		if seq < limit && seq > best {
			best = seq
		}
	}
	if c := l.held.first(); l.doubt && l.youngest != 0 && c != nil && c.Prev <= l.cursor {
		consider(c.Prev) // the last message that there is
	}
	consider(l.anchor)
	if l.weak { // else older ones are gone when the anchor is
		consider(min(s.confirm.floor, l.anchor))
		consider(min(s.confirm.seen, l.anchor))
	}
	return best
}

// judge weighs the answer about the message that was asked for.
//
// While the positions of a resume are only claimed, the two do not weigh the
// same. seen was chosen by a session of this package, and was a message of this
// mailbox in the log which that session knew. floor may come from a client, or
// be the sequence of a gap, and so may belong to any mailbox.
func (s *Session) judge(b *Batch) verdict {
	l := &s.log
	switch b.Anchor {
	case Present:
		return s.present(b)
	case Foreign:
		if s.reader.asked == s.confirm.seen || !l.claimed && s.reader.asked >= l.anchor {
			return rolledBack
		}
		l.foreign = l.claimed && s.confirm.seen < s.confirm.floor
	case Gone:
		// An older message outlived one that has no time to live of its own.
		if c := l.held.first(); s.reader.asked == l.anchor && !l.weak && c != nil && c.Prev > 0 && c.Prev < l.anchor {
			return rolledBack
		}
	default:
		return dropped // there was nothing to ask for
	}
	if s.witness(true) != 0 {
		s.reader.second = true
		return askOther
	}
	return dropped
}

// present weighs the answer that the message is there.
func (s *Session) present(b *Batch) verdict {
	l, asked := &s.log, s.reader.asked
	switch {
	case l.foreign:
		return rolledBack // the newer message never was, though the older one is there
	case asked <= l.cursor && l.younger(b.AnchorTime):
		return rolledBack
	case asked < l.anchor:
		l.anchor, l.anchorTime = asked, b.AnchorTime
	case asked > l.anchor || b.AnchorTime == 0:
	case l.anchorTime != 0 && l.anchorTime != b.AnchorTime:
		return rolledBack // another message has taken its sequence
	default:
		l.anchorTime = b.AnchorTime
	}
	l.claimed = false
	return intact
}

// judged acts on the verdict.
func (s *Session) judged(v verdict, b *Batch, fx Effects) {
	l := &s.log
	from := l.cursor + 1
	switch v {
	case askOther:
		return // advance asks again
	case rolledBack:
		s.rollback(fx)
		s.seek(fx)
		return
	case dropped:
		if l.foreign {
			from = min(s.confirm.floor, s.confirm.seen) + 1 // everything since then is in doubt
		}
		l.anchor, l.anchorTime, l.weak = 0, 0, true
		l.claimed, l.foreign = false, false
		if l.cursor == 0 && l.origin == knownOrigin {
			l.origin = unknownOrigin // there was a position, but no floor
		}
	}
	switch {
	case s.reader.aim == 0:
		s.checked(v, from, fx)
	case len(b.Msgs) == 0:
		s.nothing(v, from, b, fx)
	default:
		s.takeAll(v, from, b, fx)
	}
}

// checked handles the answer to a read that asked for the anchor only.
func (s *Session) checked(v verdict, from uint64, fx Effects) {
	s.reader.tries = 0
	s.log.believe()
	c := s.log.held.first()
	switch {
	case c == nil || c.Prev > s.log.cursor || s.proven(c.Prev) && v == intact:
	case v == intact:
		// The anchor is there now, but was not when this copy was stored.
		fx.Count(RestartedAttach)
		s.seek(fx)
	case s.log.cursor > 0 && from <= s.log.cursor:
		s.lose(from, c, fx) // the resume may come from another log
	}
}
