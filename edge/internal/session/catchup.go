package session

// advance does what can be done now: it writes held copies that follow the
// cursor, asks for what is missing before them, and decides between behind and
// live. Every event that may have opened the way ends with it.
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
			if s.verify || s.anchor != 0 || !s.open() {
				s.verify = s.verify || s.anchor != 0
				break
			}
			s.lose(s.cursor+1, c, fx) // nobody is left to ask
		}
		s.begin(c.Seq, s.fresh && c.Mark != 0 && (c.Prev == 0 || !c.TTL), fx)
		if c.Mark == 0 && !s.open() {
			break
		}
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.prune()
	}
	s.settle(fx)
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
	if s.reading || s.waiting || !s.open() {
		return
	}
	if s.unsure {
		s.cursor = s.floor // only markers were between floor and safe: read them again
	}
	t, n := s.target(), 0
	if t == 0 && !s.verify {
		return
	}
	if t != 0 {
		n = s.opts.batch()
		if s.class == Acked {
			n = min(n, s.opts.window()-s.sent.len())
		}
	}
	from := s.cursor + 1
	if s.verify && s.when != 0 && s.anchor != 0 && t != 0 {
		from = min(from, max(s.redo, s.anchor+1)) // also what was taken since, to compare
	}
	s.asked = s.witness(s.second)
	s.second = false
	s.reading, s.consumer, s.aim = true, true, t
	fx.Read(from, s.asked, n)
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
	case b.Err != nil || s.asked != 0 && b.Anchor == Unchecked:
		s.again(FailedRead, fx)
	default:
		s.judged(s.judge(&b), &b, fx)
	}
	s.advance(fx)
}

// again repeats the read after a while.
func (s *Session) again(why Event, fx Effects) {
	fx.Count(why)
	s.waiting = true
	fx.Timer(s.opts.readDelay(s.tries))
	s.tries = min(s.tries+1, 63)
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
	case s.origin != knownOrigin: // what is told there covers it
	case v == dropped:
		s.skip(from, s.aim, Expired, fx)
		fx.Mark(fx.NextMark(), true) // nothing is left that could be the anchor
	case s.unkept > s.cursor && s.unkept <= s.aim:
		s.skip(from, s.aim, s.unkeptWhy(), fx)
	default:
		fx.Count(SkippedExpired)
	}
	s.verified()
	s.cursor = max(s.cursor, s.aim)
	s.tries = 0
}

// verified notes that the log is the one that was read so far.
func (s *Session) verified() { s.verify, s.redo = false, 0 }

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
			if s.younger(m.Time) {
				s.rollback(fx)
				s.seek(fx)
				return
			}
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
			// Ends with a sequence of this mailbox: with the anchor still
			// there, a resume would take another's for another log.
			s.skip(from, s.unkept, s.unkeptWhy(), fx)
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
	last := b.Msgs[len(b.Msgs)-1].Seq
	s.missed = max(s.missed, last)
	switch {
	case n > 0:
		s.verified()
		s.tries = 0
	case s.verify && last > s.anchor && last >= s.redo && last <= s.cursor:
		s.redo = last + 1 // as it was taken; go on comparing
	case s.open():
		s.again(StaleRead, fx)
	}
}
