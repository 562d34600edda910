package session

// readState is the state of the one read that a session may have outstanding.
//
//	               read                 a void one's answer
//	notReading ───────────▶ reading          (to notReading)
//	 ▲  ▲   ▲                │  │  └─────────────▶ readingVoid
//	 │  │   └── answer ──────┘  │   seek (and readingTail alike)
//	 │  │                       │ failed, stale
//	 │  └── timer, seek ── pausing
//	 │                          │ the log ends too early
//	 └─── timer, seek ── pausingToAttach
//
// seek is the beginning of an attach, which gives up whatever is under way.
type readState uint8

const (
	// notReading: nothing is outstanding, and a read may be sent.
	notReading readState = iota
	// reading: a Read is outstanding.
	reading
	// readingTail: a Tail is outstanding, which is asked of another holder in place of
	// the store.
	readingTail
	// readingVoid: a Read or a Tail is outstanding, and its answer will be ignored:
	// the session has begun to attach since it was sent.
	readingVoid
	// pausing: the timer will fire, and the read is sent again.
	pausing
	// pausingToAttach: the timer will fire, and the session attaches again. The
	// store's log ends below what the session has seen of it, which a marker
	// will prove or disprove.
	pausingToAttach
)

// reader is what a session reads from the store, one Read at a time.
type reader struct {
	aim    uint64 // sequence that the outstanding read should reach; 0: it asks for a presence only
	asked  uint64 // sequence whose presence it asks for
	known  uint64 // highest sequence that was known to exist when it was sent
	state  readState
	tries  uint8 // how often in a row it was sent again
	second bool  // the message that was asked for is not there: ask for an older one
	place  bool  // it asks for the newest position alone; see askPlace
	tail   bool  // the holder before may have kept copies of what is missing
}

// become makes every change of the state.
func (r *reader) become(to readState) { r.state = to }

// outstanding reports whether a Batch, or Copies, are to come.
func (r *reader) outstanding() bool {
	return r.state == reading || r.state == readingTail || r.state == readingVoid
}

// abandon gives up the read, because the session attaches anew. An answer that
// is on its way will be void.
func (r *reader) abandon() {
	r.tries, r.place = 0, false
	if r.outstanding() {
		r.become(readingVoid)
		return
	}
	r.become(notReading)
}

// read asks for what is missing, or for the anchor alone. It must be the last
// step of an event: an owner may call Batch from within Effects.Read.
func (s *Session) read(fx Effects) {
	if s.reader.state != notReading || !s.open() || s.inherit(fx) || s.askPlace(fx) {
		return
	}
	if s.log.claimed {
		s.log.cursor = s.confirm.floor // only markers were between floor and seen: read them again
	}
	t := s.log.target()
	if t == 0 && !s.log.doubt {
		return
	}
	s.findLost()
	from, n := s.log.cursor+1, s.opts.batch()
	s.reader.asked = s.witness(s.reader.second)
	s.reader.second = false
	if s.log.lost {
		from = max(1, s.log.recheck)
	} else if s.log.missing == gone {
		from = max(s.log.recheck, s.reader.asked+1) // what lies before the floor tells whose it is
	} else if s.log.doubt && s.log.youngest != 0 && s.reader.asked != 0 {
		from = min(from, max(s.log.recheck, s.reader.asked+1)) // also what was taken since, to compare
	}
	if t == 0 && s.log.missing != gone && s.presenceSays() {
		from, n = s.log.cursor+1, 0
	}
	if s.class == Acked {
		n = min(n, s.opts.window()-s.confirm.sent.len())
	}
	s.reader.aim, s.reader.known = 0, s.log.last()
	if n > 0 {
		s.reader.aim = max(t, s.log.cursor)
	}
	s.reader.become(reading)
	fx.Read(from, s.reader.asked, n)
}

// findLost begins to look for a place in a log of which no position is known.
func (s *Session) findLost() {
	if l := &s.log; l.doubt && l.aged() && l.anchor == 0 && l.cursor > 0 {
		l.lost = true
	}
}

// presenceSays reports whether it is enough to know whether the message that was
// asked for is there: where it was the last one when the first held copy was
// stored, or where nothing can be compared.
func (s *Session) presenceSays() bool {
	l := &s.log
	c := l.held.first()
	return !l.lost && s.reader.asked != 0 && c != nil && (l.youngest == 0 || c.Prev == s.reader.asked || s.reader.asked > l.cursor)
}

// Batch takes the answer to a Read.
func (s *Session) Batch(b Batch, fx Effects) {
	if !s.reader.outstanding() || s.reader.state == readingTail || !s.active() {
		return
	}
	void := s.reader.state == readingVoid
	s.reader.become(notReading)
	switch {
	case void:
	case b.Err != nil || s.reader.asked != 0 && b.Anchor == Unchecked:
		s.pause(pausing, FailedRead, fx)
	case b.HasLast && b.Last < s.reader.known:
		s.stale(fx)
	case s.log.missing == gone && len(b.Msgs) == 0 && b.Next != 0 && b.Next <= s.confirm.floor:
		s.pause(pausing, StaleRead, fx)
	case s.reader.place && b.Anchor != Present && !(b.Anchor == Foreign && s.trusted()):
		s.reader.tail = false // read goes into it
	default:
		s.judged(s.judge(&b), &b, fx)
	}
	s.reader.place = false
	s.advance(fx)
}

// pause waits before the session reads, or attaches, again.
func (s *Session) pause(to readState, why Event, fx Effects) {
	fx.Count(why)
	s.reader.become(to)
	fx.Timer(s.opts.readDelay(s.reader.tries))
	s.reader.tries = min(s.reader.tries+1, 63)
}
