package session

// Live takes a copy of a stored message from the live subject.
func (s *Session) Live(c Copy, fx Effects) {
	l := &s.log
	if s.state == Live && c.Seq > l.cursor && c.Prev <= l.cursor && s.proven(c.Prev) && s.open() && l.origin == knownOrigin {
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.settle(fx)
		return
	}
	switch {
	case !s.active():
	case s.state == Attaching && c.Mark != 0 && c.Mark == s.mark:
		s.established(c, fx)
	case c.Seq <= l.cursor:
		fx.Count(DuplicateCopy)
		if s.state != Attaching && l.younger(c.Time) {
			// Another log, or a clock that jumped: the store has to tell.
			s.Reattach(false, fx)
		}
	default:
		if !s.hold(c, fx) {
			l.miss(&c)
		}
		s.advance(fx)
	}
}

// Writable reports that the socket's queue has room again.
func (s *Session) Writable(fx Effects) {
	s.full = false
	s.advance(fx)
}

// open reports whether a message may be written now.
func (s *Session) open() bool {
	return !s.full && (s.class == Plain || s.confirm.sent.len() < s.opts.window())
}

// proven reports whether a copy whose predecessor was prev, at or below the
// cursor, may be taken without asking the store. The mailbox drops its oldest
// message first, so a predecessor that was still there proves that nothing
// after the cursor was dropped. A predecessor older than the anchor means that
// the anchor is gone: impossible, unless it had a TTL or the log is another one.
func (s *Session) proven(prev uint64) bool {
	l := &s.log
	switch {
	case l.doubt:
		return false
	case l.cursor == 0 && l.origin != knownOrigin:
		return true // begin tells of a gap
	case prev >= l.anchor:
		return prev > 0
	case l.claimed:
		return prev > 0 && prev <= min(s.confirm.floor, s.confirm.seen)
	}
	return prev > 0 && l.weak
}

// take accounts for the message that follows the cursor, and writes it unless
// it is a marker. prev is 0 if unknown.
func (s *Session) take(m *Stored, prev uint64, fx Effects) {
	l, c := &s.log, &s.confirm
	l.cursor = m.Seq
	if m.Time == 0 {
		l.youngest = 0 // times are compared only where all are known
	} else {
		l.youngest = max(l.youngest, m.Time)
	}
	l.claimed = false
	switch {
	case !m.TTL:
		l.anchor, l.anchorTime, l.weak = m.Seq, m.Time, false
	case l.weak && prev > 0:
		if l.anchor != prev {
			l.anchor, l.anchorTime = prev, 0
		}
	case l.weak && l.anchor == 0:
		l.anchor, l.anchorTime = m.Seq, m.Time
	}
	if !m.Mark {
		s.fresh = false
		out := Out{Seq: m.Seq, Prev: c.written, Payload: m.Payload, Trace: m.Trace}
		c.written, c.loose = m.Seq, m.TTL
		if s.class == Acked {
			c.push(m.Seq, m.TTL)
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
		c.floor, c.written = m.Seq, m.Seq
	}
	if c.floor == c.written {
		c.seen = m.Seq
		fx.Dirty()
	}
}

// begin tells the client what it must know before its first message, of sequence
// seq, if the session began without a position. first: this is the first message
// that the mailbox ever had.
func (s *Session) begin(seq uint64, first bool, fx Effects) {
	was := s.log.origin
	s.log.origin = knownOrigin
	switch was {
	case knownOrigin:
	case otherOrigin:
		s.skip(1, seq-1, Rollback, fx)
		if s.class == Plain {
			s.confirm.written = 0
		}
	case unknownOrigin:
		if seq > 1 && !first {
			s.skip(1, seq-1, Overflow, fx)
		}
	}
}

// skip declares the messages between from and to, both included, as missing.
func (s *Session) skip(from, to uint64, why Why, fx Effects) {
	g := Gap{From: from, To: to, Why: why, Prev: s.confirm.written, Seq: to}
	s.log.cursor = max(s.log.cursor, to)
	s.fresh = false
	if s.class == Plain {
		fx.Gap(g)
		return
	}
	s.confirm.written, s.confirm.loose = to, true
	s.confirm.push(to, true)
	if !fx.Gap(g) {
		s.full = true
	}
}

// lose declares everything before a held copy as missing: the mailbox was empty
// when that was stored.
func (s *Session) lose(from uint64, c *Copy, fx Effects) {
	if from < c.Seq {
		s.skip(from, c.Seq-1, Expired, fx)
	}
	if c.TTL {
		fx.Mark(fx.NextMark(), true) // something to rely on
	}
}

// hold keeps a copy that cannot be written now. False: it does not fit, or is
// out of order, and has to be read from the store.
func (s *Session) hold(c Copy, fx Effects) bool {
	l := &s.log
	if c.Seq <= l.held.last() {
		fx.Count(DuplicateCopy)
		return false
	}
	if l.held == nil {
		l.held = heldPool.Get().(*held)
	}
	if l.held.len() >= s.opts.heldMessages() || l.held.bytes+len(c.Payload) > s.opts.heldBytes() {
		fx.Count(DroppedCopy)
		return false
	}
	l.held.push(c)
	return true
}
