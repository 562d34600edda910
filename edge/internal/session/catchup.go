package session

// advance does what can be done now: it writes held copies that follow the
// cursor, asks for what is missing before them, and decides between behind and
// live.
func (s *Session) advance(fx Effects) {
	if s.state != Behind && s.state != Live {
		return
	}
	s.prune()
	for !s.reading && !s.waiting {
		c := s.held.first()
		if c == nil || c.Prev > s.cursor {
			break
		}
		if !s.proven(c.Prev) {
			s.verify = true
			break
		}
		s.begin(c.Seq, s.fresh && c.Mark != 0 && (c.Prev == 0 || !c.TTL), fx)
		if c.Mark == 0 && !s.open() {
			break
		}
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload}
		s.take(&m, c.Prev, fx)
		s.prune()
	}
	if s.held == nil && s.missed <= s.cursor && !s.verify && !s.reading && !s.waiting {
		s.goLive(fx)
		return
	}
	s.setState(Behind, fx)
	s.read(fx)
}

// goLive ends catching up.
func (s *Session) goLive(fx Effects) {
	if s.state == Live {
		return
	}
	s.tries = 0
	if s.consumer {
		s.consumer = false
		fx.StopReading()
	}
	s.setState(Live, fx)
	if s.fresh {
		fx.Mark(fx.NextMark(), true) // the first one was lost
	}
}

// target returns the sequence that has to be read up to, 0 if nothing is known
// to be missing before the first held copy.
func (s *Session) target() uint64 {
	t := s.missed
	if c := s.held.first(); c != nil {
		t = c.Prev
	}
	if t <= s.cursor {
		return 0
	}
	return t
}

// read asks for what is missing, or for the anchor alone.
func (s *Session) read(fx Effects) {
	t, n := s.target(), 0
	if s.reading || s.waiting || !s.open() || t == 0 && !s.verify {
		return
	}
	if t != 0 {
		n = s.opts.batch()
		if s.class == Acked {
			n = min(n, s.opts.window()-s.sent.len())
		}
	}
	s.reading, s.consumer, s.aim = true, true, t
	fx.Read(s.cursor+1, s.asked(), n)
}

// asked is the sequence whose presence is asked for.
func (s *Session) asked() uint64 {
	if s.second {
		return min(s.floor, s.safe)
	}
	return s.anchor
}

// Batch takes the answer to a Read.
func (s *Session) Batch(b Batch, fx Effects) {
	if !s.reading || !s.active() {
		return
	}
	s.reading = false
	switch {
	case s.void:
		s.void = false
	case b.Err != nil || s.asked() != 0 && b.Anchor == Unchecked:
		s.again(FailedRead, fx)
	default:
		s.judged(s.judge(&b), &b, fx)
	}
	s.advance(fx)
	s.settle(fx)
}

// again repeats the read after a while.
func (s *Session) again(why Event, fx Effects) {
	fx.Count(why)
	s.waiting = true
	fx.Timer(s.opts.readDelay(s.tries))
	s.tries = min(s.tries+1, 63)
}

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
		if s.stamp != 0 && b.AnchorTime != 0 && s.stamp != b.AnchorTime {
			return rolledBack // another message has taken its sequence
		}
		s.stamp = max(s.stamp, b.AnchorTime)
		return intact
	case Foreign:
		return rolledBack
	case Gone:
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
		s.anchor, s.stamp = s.asked(), b.AnchorTime
		s.unsure, s.second = false, false
		return intact
	}
	if b.Anchor == Foreign && s.asked() == s.safe {
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
		s.unsure, s.second, s.foreign = false, false, false
	}
	s.verify = false
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

// nothing handles an empty answer: stale, or gone for good.
func (s *Session) nothing(v verdict, from uint64, b *Batch, fx Effects) {
	switch {
	case b.Next != 0 && b.Next <= s.aim:
		s.again(StaleRead, fx)
		return
	case b.Last != 0 && b.Last < s.aim:
		// The whole log ends below what was seen of it: a marker will prove it.
		s.remark = true
		s.again(StaleRead, fx)
		return
	case v == dropped && s.cursor > 0:
		s.skip(from, s.aim, Expired, fx)
		fx.Mark(fx.NextMark(), true) // nothing is left that could be the anchor
	case s.unkept > s.cursor && s.unkept <= s.aim:
		s.skip(from, s.aim, s.unkeptWhy(), fx)
	default:
		fx.Count(SkippedExpired)
	}
	s.cursor = max(s.cursor, s.aim)
	s.tries = 0
}

// unkeptWhy explains why a copy was seen whose message is not in the store,
// though an older one is.
func (s *Session) unkeptWhy() Why {
	if s.unkeptTTL {
		return Expired
	}
	return Rollback
}

// takeAll writes a batch. If messages were dropped, more may have been while
// the batch was being read: up to the first one that the leader still has,
// every message may have lost its neighbour.
func (s *Session) takeAll(v verdict, from uint64, b *Batch, fx Effects) {
	n := 0
	for i := range b.Msgs {
		m := &b.Msgs[i]
		if m.Seq <= s.cursor {
			continue
		}
		if s.class == Acked && s.sent.len() >= s.opts.window() {
			break
		}
		switch {
		case s.origin != knownOrigin:
			s.begin(m.Seq, s.fresh && m.Mark && !m.TTL, fx)
		case v == dropped && from < m.Seq:
			s.skip(from, m.Seq-1, Overflow, fx)
		case v != dropped && s.unkept > s.cursor && s.unkept < m.Seq:
			s.skip(from, m.Seq-1, s.unkeptWhy(), fx)
		}
		if s.class == Acked && !m.Mark && s.sent.len() >= s.opts.window() {
			break
		}
		s.take(m, 0, fx)
		from = m.Seq + 1
		n++
		if v == dropped {
			if b.Oldest == 0 {
				break
			}
			if m.Seq >= b.Oldest {
				v = intact
			}
		}
	}
	if n == 0 && s.open() {
		s.again(StaleRead, fx)
		return
	}
	s.tries = 0
	s.missed = max(s.missed, b.Msgs[len(b.Msgs)-1].Seq)
}
