package session

// Live takes a copy of a stored message from the live subject.
func (s *Session) Live(c Copy, fx Effects) {
	l := &s.log
	if s.state == Live && c.Seq > l.cursor && c.Prev <= l.cursor && s.proven(c.Seq, c.Prev) && s.open() && l.origin == knownOrigin {
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.settle(fx)
		return
	}
	switch {
	case !s.active():
	case s.offline, s.renewed && (c.Mark == 0 || c.Mark != s.mark):
		l.miss(&c) // it existed, at least
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

// proven reports whether a copy of sequence seq, whose predecessor prev is at or
// below the cursor, may be taken without asking the store. The mailbox drops its
// oldest message first, so a predecessor that was still there proves that nothing
// after the cursor was dropped. A predecessor older than the anchor means that
// the anchor is gone: impossible, unless it had a TTL or the log is another one.
// Without an anchor, as behind a gap, a predecessor proves nothing.
func (s *Session) proven(seq, prev uint64) bool {
	l := &s.log
	switch {
	case l.doubt:
		return false
	case l.origin != knownOrigin:
		return true // begin tells of a gap
	case seq == l.cursor+1:
		return true // nothing can be between
	case l.anchor == 0:
		return false
	case prev >= l.anchor:
		return true
	case l.claimed:
		return prev > 0 && (prev == s.confirm.floor || prev == s.confirm.seen)
	}
	return prev > 0 && l.weak
}

// take accounts for the message that follows the cursor, and writes it unless
// it is a marker. prev is 0 if unknown.
func (s *Session) take(m *Stored, prev uint64, fx Effects) {
	l, c := &s.log, &s.confirm
	if l.cursor < c.seen && c.seen <= m.Seq && (m.Seq != c.seen || m.Time != c.seenTime) {
		c.seen, c.seenTime = 0, 0 // of another log: the floor before it is there, and it is not
	}
	l.cursor = m.Seq
	if m.Time == 0 {
		l.youngest = 0 // times are compared only where all are known
	} else {
		l.youngest = max(l.youngest, m.Time)
	}
	if l.claimed {
		l.accept()
		if l.anchorTime = c.floorTime; l.anchor != c.floor {
			l.anchorTime = c.seenTime
		}
	}
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
		c.written, c.writtenTime, c.loose = m.Seq, m.Time, m.TTL
		if s.class == Acked {
			c.push(m.Seq, m.Time, m.TTL)
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
		c.floorTime, c.writtenTime = m.Time, m.Time
	}
	if c.floor == c.written {
		c.seen, c.seenTime = m.Seq, m.Time
		fx.Dirty()
	}
}

// tells reports whether begin has something to tell before a message.
func (s *Session) tells(seq uint64, first bool) bool {
	return s.log.origin == otherOrigin || s.log.origin == unknownOrigin && seq > 1 && !first
}

// begin tells the client what it must know before its first message, of sequence
// seq, if the session began without a position. first: this is the first message
// that the mailbox ever had.
func (s *Session) begin(seq uint64, first bool, fx Effects) {
	tells, was := s.tells(seq, first), s.log.origin
	s.log.origin = knownOrigin
	if !tells {
		return
	}
	if was == unknownOrigin {
		s.skip(Gap{From: 1, To: seq - 1, Why: Overflow}, fx)
		return
	}
	before := s.confirm.written
	s.skip(Gap{From: min(1, seq-1), To: seq - 1, Why: Rollback}, fx)
	if s.class == Plain {
		s.confirm.written, s.confirm.writtenTime = 0, 0
		return
	}
	s.confirm.sent.last().time = int64(before) // see OldLog
	fx.Dirty()
}

// skip declares messages as missing.
func (s *Session) skip(g Gap, fx Effects) {
	c := &s.confirm
	g.Prev, g.Seq = c.written, g.To
	s.log.pass(g.To)
	s.fresh = false
	if s.class == Plain {
		fx.Gap(g)
		return
	}
	c.written, c.writtenTime, c.loose = g.To, 0, true
	c.push(g.To, 0, true)
	if !fx.Gap(g) {
		s.full = true
	}
}

// lose declares everything before a held copy as missing: the store has nothing
// that the session could go on from.
func (s *Session) lose(from uint64, c *Copy, fx Effects) {
	if from < c.Seq && (s.log.cursor < c.Seq-1 || from <= s.log.cursor) {
		s.skip(Gap{From: from, To: c.Seq - 1, Why: whyEmpty(c)}, fx)
	}
	if c.TTL {
		fx.Mark(fx.NextMark(), true) // something to rely on
	}
}

// whyEmpty explains why nothing is left before a copy. An overflow never takes the
// mailbox's last message.
func whyEmpty(c *Copy) Why {
	if c.Prev == 0 {
		return Expired
	}
	return Overflow
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
