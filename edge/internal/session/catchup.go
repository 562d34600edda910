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
		if !s.proven(c.Prev) {
			if s.log.doubt || s.log.anchor != 0 || !s.open() {
				s.log.doubt = s.log.doubt || s.log.anchor != 0
				break
			}
			s.lose(s.log.cursor+1, c, fx) // there is no older message to ask for
		}
		s.begin(c.Seq, s.fresh && c.Mark != 0 && (c.Prev == 0 || !c.TTL), fx)
		if c.Mark == 0 && !s.open() {
			break
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
	s.reader.tries = 0
	if s.reader.consumer {
		s.reader.consumer = false
		fx.StopReading()
	}
	s.setState(Live, fx)
	if s.fresh {
		fx.Mark(fx.NextMark(), true) // the first one was lost
	}
}

// nothing handles an empty answer: it is stale, or the messages are gone for good.
func (s *Session) nothing(v verdict, from uint64, b *Batch, fx Effects) {
	switch {
	case b.Next != 0 && b.Next <= s.reader.aim:
		s.pause(pausing, StaleRead, fx)
		return
	case b.Last != 0 && b.Last < s.reader.aim:
		// The whole log ends below what the session has seen of it.
		s.pause(pausingToAttach, StaleRead, fx)
		return
	case s.log.origin != knownOrigin: // begin will tell of it
	case v == dropped:
		s.skip(from, s.reader.aim, Expired, fx)
		fx.Mark(fx.NextMark(), true) // nothing is left that could be the anchor
	case s.log.missedMessage > s.log.cursor && s.log.missedMessage <= s.reader.aim:
		s.skip(from, s.reader.aim, s.log.missedWhy(), fx)
	default:
		fx.Count(SkippedExpired)
	}
	s.log.believe()
	s.log.cursor = max(s.log.cursor, s.reader.aim)
	s.reader.tries = 0
}

// takeAll writes a batch. If messages were dropped, the mailbox may have dropped
// more of them while the batch was being read: up to the oldest one that the
// leader still has, any message may have lost its neighbour.
func (s *Session) takeAll(v verdict, from uint64, b *Batch, fx Effects) {
	n := 0
	for i := range b.Msgs {
		m := &b.Msgs[i]
		if m.Seq <= s.log.cursor {
			if s.log.younger(m.Time) {
				s.rollback(fx)
				s.seek(fx)
				return
			}
			continue
		}
		if s.class == Acked && s.confirm.sent.len() >= s.opts.window() {
			break
		}
		switch {
		case s.log.origin != knownOrigin:
			s.begin(m.Seq, s.fresh && m.Mark && !m.TTL, fx)
		case v == dropped && from < m.Seq:
			s.skip(from, m.Seq-1, Overflow, fx)
		case v != dropped && s.log.missedMessage > s.log.cursor && s.log.missedMessage < m.Seq:
			// Ends with a sequence of this mailbox: with the anchor still
			// there, a resume would take another's for another log.
			s.skip(from, s.log.missedMessage, s.log.missedWhy(), fx)
		}
		if s.class == Acked && !m.Mark && s.confirm.sent.len() >= s.opts.window() {
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
	s.log.missed = max(s.log.missed, last)
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
