package session

// advance does all that is possible now: it writes held copies that follow the
// cursor, reads what is missing before them, and decides between Behind and
// Live. Every event that may have opened the way ends with it.
func (s *Session) advance(fx Effects) {
	if s.state != Behind && s.state != Live {
		return
	}
	s.log.prune()
	for s.reader.state == notReading {
		c := s.log.held.first()
		if c == nil || c.Prev > s.log.cursor {
			break
		}
		if !s.proven(c.Seq, c.Prev) {
			s.log.doubt = true
			break
		}
		first := s.fresh && c.Mark != 0 && (c.Prev == 0 || !c.TTL)
		if !s.open() && (c.Mark == 0 || s.tells(c.Seq, first)) {
			break
		}
		s.begin(c.Seq, first, fx)
		if !s.open() && c.Mark == 0 {
			break // the gap took the last place
		}
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.log.prune()
	}
	s.settle(fx)
	if s.log.held == nil && s.log.missed <= s.log.cursor && !s.log.doubt && s.reader.state == notReading {
		s.goLive(fx)
		return
	}
	s.setState(Behind, fx)
	s.read(fx)
}

// goLive ends the catching up.
func (s *Session) goLive(fx Effects) {
	if s.state == Live {
		return
	}
	s.reader.tries, s.reader.tail = 0, false
	s.setState(Live, fx)
	if s.fresh {
		fx.Mark(fx.NextMark(), true) // the first one was lost
	}
}

// stale repeats a read whose answer came from a server that lags, or from a log
// that ends below what the session has seen of it. The latter, if it goes on, is
// for a marker to prove or disprove.
func (s *Session) stale(fx Effects) {
	to := pausing
	if s.reader.tries >= staleTries {
		to = pausingToAttach
	}
	s.pause(to, StaleRead, fx)
}

// staleTries is how often a read is repeated before the session attaches anew.
const staleTries = 4

// nothing handles an empty answer: it is stale, or the messages are gone for good.
func (s *Session) nothing(v verdict, from uint64, b *Batch, fx Effects) {
	l, aim := &s.log, s.reader.aim
	c := l.held.first()
	switch {
	case b.Next != 0 && b.Next <= aim:
		s.pause(pausing, StaleRead, fx)
		return
	case b.HasLast && b.Last < aim:
		// The whole log ends below what the session has seen of it.
		s.pause(pausingToAttach, StaleRead, fx)
		return
	case l.origin != knownOrigin: // begin will tell of it
	case v == dropped && c != nil && c.Prev <= l.cursor:
		s.lose(from, c, fx)
		aim = min(aim, c.Seq-1) // it came while the store was asked, and is there still
	case v == dropped:
		if from <= aim {
			why := Overflow
			if b.Next == 0 { // it never takes the last message
				why = Expired
			}
			s.skip(Gap{From: from, To: aim, Why: why}, fx)
		}
		fx.Mark(fx.NextMark(), true) // nothing is left that could be the anchor
	case l.missedMessage > l.cursor && l.missedMessage <= aim:
		s.skip(s.missedGap(from, aim), fx)
	case aim > l.cursor:
		fx.Count(SkippedExpired)
	}
	l.believe()
	l.pass(aim)
	s.reader.tries = 0
}

// missedGap is the gap for a message that was seen and not kept, and that the store
// does not have any more, though it has an older one.
func (s *Session) missedGap(from, to uint64) Gap {
	g := Gap{From: from, To: to, Why: s.log.missedWhy()}
	if from == s.log.missedMessage && to == from {
		g.Lost = 1
	}
	return g
}

// takeAll writes a batch. If messages were dropped, the mailbox may have dropped
// more of them while the batch was being read: up to the oldest one that the
// leader still has, any message may have lost its neighbour.
func (s *Session) takeAll(v verdict, from uint64, b *Batch, fx Effects) {
	n := 0
	for i := range b.Msgs {
		m := &b.Msgs[i]
		if m.Seq <= s.log.cursor {
			if s.log.younger(m.Time) && (v != dropped || m.Seq >= b.Oldest) {
				s.rollback(fx)
				s.seek(fx)
				return
			}
			continue
		}
		if !s.room() {
			break
		}
		s.before(m, v, from, fx)
		if !m.Mark && !s.room() {
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
	last := b.Msgs[len(b.Msgs)-1].Seq
	if last > s.log.missed {
		s.log.missed, s.log.missedTime = last, b.Msgs[len(b.Msgs)-1].Time
	}
	switch {
	case n > 0:
		s.log.believe()
		s.reader.tries = 0
	case s.log.doubt && last > s.log.anchor && last >= s.log.recheck && last <= s.log.cursor:
		s.log.recheck = last + 1 // as it was taken; go on comparing
	case s.open():
		s.pause(pausing, StaleRead, fx)
	}
}

// room reports whether an acked client's window has room.
func (s *Session) room() bool {
	return s.class == Plain || s.confirm.sent.len() < s.opts.window()
}

// before tells what is missing before a message of a batch.
func (s *Session) before(m *Stored, v verdict, from uint64, fx Effects) {
	l := &s.log
	switch {
	case l.origin != knownOrigin:
		s.begin(m.Seq, s.fresh && m.Mark && !m.TTL, fx)
	case v == dropped && from < m.Seq:
		why := Overflow
		if c := l.held.first(); c != nil && c.Seq == m.Seq {
			why = whyEmpty(c)
		}
		s.skip(Gap{From: from, To: m.Seq - 1, Why: why}, fx)
		l.believe() // whatever the log is, this is where it goes on
	case v != dropped && l.missedMessage > l.cursor && l.missedMessage < m.Seq:
		// Ends with a sequence of this mailbox: with the anchor still
		// there, a resume would take another's for another log.
		s.skip(s.missedGap(from, l.missedMessage), fx)
	}
}
