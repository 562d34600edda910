package session

// Live takes a copy of a stored message from the live subject.
func (s *Session) Live(c Copy, fx Effects) {
	if s.state == Live && c.Seq > s.cursor && c.Prev <= s.cursor && s.proven(c.Prev) && s.open() && s.origin == knownOrigin {
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.settle(fx)
		return
	}
	switch {
	case !s.active():
	case s.state == Attaching && c.Mark != 0 && c.Mark == s.mark:
		s.established(c, fx)
	case c.Seq <= s.cursor:
		fx.Count(DuplicateCopy)
		if s.state != Attaching && s.younger(c.Time) {
			// Is this another log? Where clocks jump it is not, so the store
			// has to tell.
			s.Reattach(fx)
		}
	default:
		if !s.hold(c, fx) {
			s.miss(&c)
		}
		s.advance(fx)
	}
}

// Writable reports that the socket's queue has room again.
func (s *Session) Writable(fx Effects) {
	s.full = false
	s.advance(fx)
}

// younger reports whether something at or below the cursor that was stored at t
// came later than all that the session has taken: then it is of another log.
func (s *Session) younger(t int64) bool { return s.when != 0 && t > s.when }

// open reports whether a message may be written now.
func (s *Session) open() bool {
	return !s.full && (s.class == Plain || s.sent.len() < s.opts.window())
}

// proven reports whether a copy whose predecessor was prev, at or below the
// cursor, may be taken without asking the store. The mailbox drops its oldest
// first, so a predecessor that still was there proves that nothing after the
// cursor was dropped. One that is older than the anchor means that the anchor
// is gone: impossible, unless it has a TTL or the log is another one.
func (s *Session) proven(prev uint64) bool {
	switch {
	case s.verify:
		return false
	case s.cursor == 0 && s.origin != knownOrigin:
		return true // a gap is told
	case prev >= s.anchor:
		return prev > 0
	case s.unsure:
		return prev > 0 && prev <= min(s.floor, s.safe)
	}
	return prev > 0 && s.weak
}

// take accounts for the message that follows the cursor, and writes it if it is
// not a marker. prev is 0 if unknown.
func (s *Session) take(m *Stored, prev uint64, fx Effects) {
	s.cursor = m.Seq
	if m.Time == 0 {
		s.when = 0 // times are compared only where all are known
	} else {
		s.when = max(s.when, m.Time)
	}
	s.unsure = false
	switch {
	case !m.TTL:
		s.anchor, s.stamp, s.weak = m.Seq, m.Time, false
	case s.weak && prev > 0:
		if s.anchor != prev {
			s.anchor, s.stamp = prev, 0
		}
	case s.weak && s.anchor == 0:
		s.anchor, s.stamp = m.Seq, m.Time
	}
	if !m.Mark {
		s.fresh = false
		out := Out{Seq: m.Seq, Prev: s.written, Payload: m.Payload, Trace: m.Trace}
		s.written, s.loose = m.Seq, m.TTL
		if s.class == Acked {
			s.push(m.Seq, m.TTL)
		}
		if !fx.Write(out) {
			s.full = true
		}
		return
	}
	if m.TTL {
		return
	}
	if s.fresh {
		s.fresh = false
		s.floor, s.written = m.Seq, m.Seq
	}
	if s.floor == s.written {
		s.safe = m.Seq
		fx.Dirty()
	}
}

// begin tells what is to be told before the first message, of sequence seq,
// after a start without a position. first: it is known to be the first one
// that the mailbox ever had.
func (s *Session) begin(seq uint64, first bool, fx Effects) {
	switch o := s.origin; {
	case o == knownOrigin:
	case o == otherOrigin:
		s.origin = knownOrigin
		s.skip(1, seq-1, Rollback, fx)
		if s.class == Plain {
			s.written = 0
		}
	default:
		s.origin = knownOrigin
		if seq > 1 && !first {
			s.skip(1, seq-1, Overflow, fx)
		}
	}
}

// skip declares everything from from up to and including to as missing.
func (s *Session) skip(from, to uint64, why Why, fx Effects) {
	g := Gap{From: from, To: to, Why: why, Prev: s.written, Seq: to}
	s.cursor = max(s.cursor, to)
	s.fresh = false
	if s.class == Plain {
		fx.Gap(g)
		return
	}
	s.written, s.loose = to, true
	s.push(to, true)
	if !fx.Gap(g) {
		s.full = true
	}
}

// lose declares what was before a held copy as missing: the mailbox was empty
// when it was stored.
func (s *Session) lose(from uint64, c *Copy, fx Effects) {
	if from < c.Seq {
		s.skip(from, c.Seq-1, Expired, fx)
	}
	if c.TTL {
		fx.Mark(fx.NextMark(), true) // something to rely on
	}
}

// push counts a sequence as unconfirmed.
func (s *Session) push(seq uint64, loose bool) {
	if s.sent == nil {
		s.sent = sentPool.Get().(*sent)
	}
	s.sent.push(seq, loose)
}

// hold keeps a copy that cannot be written now; false: it does not fit, or is
// out of order, and the store has to be read for it.
func (s *Session) hold(c Copy, fx Effects) bool {
	if c.Seq <= s.held.last() {
		fx.Count(DuplicateCopy)
		return false
	}
	if s.held == nil {
		s.held = heldPool.Get().(*held)
	}
	if s.held.len() >= s.opts.heldMessages() || s.held.bytes+len(c.Payload) > s.opts.heldBytes() {
		fx.Count(DroppedCopy)
		return false
	}
	s.held.push(c)
	return true
}

// miss remembers that a copy exists which was not kept.
func (s *Session) miss(c *Copy) {
	s.missed = max(s.missed, c.Seq)
	if c.Mark == 0 && c.Seq > s.unkept {
		s.unkept, s.unkeptTTL = c.Seq, c.TTL
	}
}

// dropHeld forgets the held copies, but not that they exist.
func (s *Session) dropHeld() {
	for c := s.held.first(); c != nil; c = s.held.first() {
		s.miss(c)
		s.held.pop()
	}
	s.held.free()
	s.held = nil
}

// prune lets go of what the cursor has passed.
func (s *Session) prune() {
	for c := s.held.first(); c != nil && c.Seq <= s.cursor; c = s.held.first() {
		s.held.pop()
	}
	if s.held != nil && s.held.len() == 0 {
		s.held.free()
		s.held = nil
	}
}
