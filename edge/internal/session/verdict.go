package session

import "math"

// verdict says what the leader's answer about the anchor means.
type verdict uint8

const (
	intact     verdict = iota // nothing after the cursor was dropped
	dropped                   // messages after the cursor may have been dropped
	rolledBack                // the log is not the one that was read
	parted                    // … after the message that was asked for, which is there as it was
	askOther                  // the leader has to be asked for an older message
)

// witness returns the message to ask for next, 0 if there is none. It is one
// that was seen in this mailbox, at or below the cursor: if the leader still
// has it, nothing after the cursor was dropped. second: the message that was
// asked for before is not there.
func (s *Session) witness(second bool) uint64 {
	l := &s.log
	switch {
	case l.claimed && l.lost:
		if s.confirm.seen != 0 {
			return s.confirm.seen
		}
		return s.confirm.floor
	case l.claimed && l.missing == gone:
		return s.confirm.seen
	case l.claimed:
		switch {
		case !second && s.confirm.floor != 0:
			return s.confirm.floor
		case !second || s.reader.asked != s.confirm.seen:
			return s.confirm.seen
		}
		return 0
	case l.lost:
		return l.anchor
	}
	ahead := l.weak && s.confirm.seen > l.cursor // of a directory, and not reached yet
	best, limit := uint64(0), uint64(math.MaxUint64)
	if second {
		limit = s.reader.asked
		if ahead && limit == s.confirm.seen {
			return 0
		}
	}
	consider := func(seq uint64) {
		if seq < limit && seq > best {
			best = seq
		}
	}
	if c := l.held.first(); l.doubt && l.youngest != 0 && c != nil && c.Prev == l.cursor {
		consider(l.cursor) // was the last one, and is the same one if its time says so
	}
	consider(l.anchor)
	if l.weak { // else older ones are gone when the anchor is
		consider(min(s.confirm.floor, l.anchor))
		consider(min(s.confirm.seen, l.anchor))
	}
	if best == 0 && ahead {
		return s.confirm.seen
	}
	return best
}

// trusted reports whether the position that was asked for is that of a message of
// this mailbox, in the log that was read so far. A client's word, or the sequence
// of a gap, may be anything.
func (s *Session) trusted() bool {
	c, asked := &s.confirm, s.reader.asked
	return asked == c.seen || !s.log.claimed && asked == s.log.anchor || asked == c.floor && c.floorTime != 0
}

// strong reports whether the message that was asked for has no time to live.
func (s *Session) strong() bool {
	return s.reader.asked == s.confirm.seen || !s.log.claimed && s.reader.asked == s.log.anchor && !s.log.weak
}

// judge weighs the answer about the message that was asked for.
func (s *Session) judge(b *Batch) verdict {
	l := &s.log
	switch b.Anchor {
	case Present:
		if b.Back && s.Unproved() {
			return rolledBack
		}
		return s.present(b)
	case Foreign:
		if s.trusted() {
			return rolledBack
		}
		if l.claimed && s.confirm.seen < s.confirm.floor {
			l.missing = foreign
		}
	case Gone:
		// An older message outlived one that has no time to live of its own.
		if c := l.held.first(); s.strong() && c != nil && c.Prev > 0 && c.Prev < s.reader.asked {
			return rolledBack
		}
		switch c := &s.confirm; {
		case l.missing == gone: // neither is there
			l.missing = notMissing
		case l.aged() && l.claimed && l.missing == notMissing && s.reader.asked == c.floor && c.floorTime == 0 && 0 < c.seen && c.seen < c.floor:
			l.missing = gone
		}
	}
	if l.lost {
		return s.place(b)
	}
	if s.reader.asked != 0 && s.witness(true) != 0 {
		s.reader.second = true
		return askOther
	}
	if l.aged() && l.cursor > 0 {
		l.lost, l.doubt = true, true
		return askOther
	}
	return dropped
}

// between looks at what lies before a position that a client has named, of which nobody
// knows the time, and where nothing is any more. In the log that was read so far the
// client has had all of it. In another one, where something with a time to live was
// stored under that sequence, it has had none. Nothing tells these two apart, so where
// something is there, the session goes on behind the position that is known, as in
// another log.
func (s *Session) between(b *Batch) verdict {
	if s.log.missing != gone || s.reader.asked != s.confirm.seen || len(b.Msgs) == 0 {
		return intact
	}
	for i := range b.Msgs {
		m := &b.Msgs[i]
		if m.Seq > s.confirm.floor {
			return intact
		}
		if !m.Mark {
			return parted
		}
		s.log.recheck = m.Seq + 1
	}
	return askOther // for what follows
}

// place weighs the oldest message that the mailbox has, since no position is there.
func (s *Session) place(b *Batch) verdict {
	l := &s.log
	oldest := b.Oldest
	if oldest == 0 && s.reader.asked == 0 && len(b.Msgs) > 0 { // the leader was not asked
		oldest = b.Msgs[0].Seq
	}
	switch {
	case oldest == 0 || oldest > l.cursor:
		return dropped
	case l.missing == foreign, l.claimed && l.youngest == 0, s.reader.asked != 0 && s.strong() && oldest < s.reader.asked:
		return rolledBack
	case l.youngest == 0: // the log went back, or had this message all the time: nothing tells
		return dropped
	}
	// What had a time to live is gone, and this older message proves that nothing
	// was dropped; unless it is of another log, which its time will tell.
	l.anchor, l.anchorTime, l.weak = oldest, 0, true
	l.lost = false
	l.accept()
	return intact
}

// present weighs the answer that the message is there.
func (s *Session) present(b *Batch) verdict {
	l, asked := &s.log, s.reader.asked
	c, want := &s.confirm, int64(0)
	switch {
	case asked == l.anchor && !l.claimed:
		want = l.anchorTime
	case asked == c.floor:
		want = c.floorTime
	case asked == c.seen:
		want = c.seenTime
	}
	switch {
	case l.missing == foreign:
		return rolledBack // the newer message never was, though the older one is there
	case asked <= l.cursor && !s.reader.place && l.younger(b.AnchorTime):
		return rolledBack
	case want != 0 && b.AnchorTime != 0 && want != b.AnchorTime:
		return rolledBack // another message has taken its sequence
	}
	if v := s.between(b); v != intact {
		return v
	}
	if asked < l.anchor || l.claimed || asked == l.anchor && b.AnchorTime != 0 {
		l.anchor, l.anchorTime = asked, b.AnchorTime // else it may have a time to live
	}
	if l.claimed && asked == c.floor && c.floorTime == 0 {
		c.floorTime, c.writtenTime, l.youngest = b.AnchorTime, b.AnchorTime, b.AnchorTime // a client's word, so far
	}
	if s.reader.place && l.youngest != 0 {
		l.youngest = max(l.youngest, b.AnchorTime)
	}
	l.lost = false
	l.accept()
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
	case parted:
		seen, at := s.confirm.seen, s.confirm.seenTime
		s.rollback(fx)
		l.cursor, l.anchor, l.anchorTime, l.youngest, l.weak = seen, seen, at, at, at == 0
		s.seek(fx)
		return
	case dropped:
		if l.missing == foreign {
			from = min(s.confirm.floor, s.confirm.seen) + 1 // everything since then is in doubt
		}
		if l.aged() && l.cursor > 0 {
			from = 1 // the log may have gone back as well, and what came then is gone too
		}
		l.anchor, l.anchorTime, l.weak = 0, 0, true
		l.accept()
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
	case c == nil || c.Prev > s.log.cursor:
	case v == dropped:
		s.lose(from, c, fx)
	case !s.proven(c.Seq, c.Prev):
		// The anchor is there now, but was not when this copy was stored.
		fx.Count(RestartedAttach)
		s.seek(fx)
	}
}
