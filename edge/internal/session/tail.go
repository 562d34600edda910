package session

// inherit asks for copies that the holder before this one has kept of what is missing,
// and reports whether they are to come. In doubt the store has to be asked first: it
// may be another log than the one that the copies are of.
func (s *Session) inherit(fx Effects) bool {
	l := &s.log
	to := l.target()
	if !s.reader.tail || to == 0 || l.doubt || l.origin != knownOrigin {
		return false
	}
	s.reader.become(readingTail)
	if fx.Tail(l.cursor, to) {
		return true
	}
	s.reader.become(notReading)
	return false
}

// askPlace asks the store for the newest position of the directory, and for nothing
// else, where that is in doubt and what follows may come from another holder. If the
// message is there, and the one that it was, all up to there is of this log.
func (s *Session) askPlace(fx Effects) bool {
	l := &s.log
	if !s.reader.tail || !l.doubt || !l.claimed || l.target() == 0 || l.origin != knownOrigin {
		return false
	}
	r := &s.reader
	r.asked, r.aim, r.known, r.second, r.place = l.cursor, 0, l.last(), false, true
	r.become(reading)
	fx.Read(l.cursor+1, r.asked, 0)
	return true
}

// Copies takes the answer to a Tail: what was stored after the cursor, as copies came to
// another holder, in order. What of it follows without a missing link is delivered; the
// rest is asked for again, or read. None: there are no more.
func (s *Session) Copies(list []Copy, fx Effects) {
	if !s.reader.outstanding() || s.reader.state == reading || !s.active() {
		return
	}
	void := s.reader.state == readingVoid
	s.reader.become(notReading)
	if !void {
		s.takeCopies(list, fx)
	}
	s.advance(fx)
}

func (s *Session) takeCopies(list []Copy, fx Effects) {
	l := &s.log
	for i := range list {
		c := &list[i]
		switch {
		case c.Seq <= l.cursor:
			continue
		case c.Prev > l.cursor || !s.open():
			return
		case !s.proven(c.Seq, c.Prev):
			s.reader.tail, l.doubt = false, true // the store has to tell
			return
		}
		m := Stored{Seq: c.Seq, Time: c.Time, Mark: c.Mark != 0, TTL: c.TTL, Payload: c.Payload, Trace: c.Trace}
		s.take(&m, c.Prev, fx)
		s.reader.tries = 0
	}
}
