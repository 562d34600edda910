package session

// Session is the protocol of one mailbox's reader. The goroutine that owns it
// makes all calls; there is no lock. Init makes one ready for use. It has a method
// for each event and position, and one for each step of the protocol that needs
// more than one of its parts.
type Session struct {
	opts *Options // immutable after Init

	log     knownLog     // what the session knows of the mailbox's log
	confirm confirmation // what the client has
	reader  reader       // the read of the store

	// The marker that Attaching waits for.
	mark      uint64 // its id; 0: none
	since     uint64 // highest sequence seen before it was sent: it must come above
	markTries uint8  // how often it was sent again

	class Class
	state State
	fresh bool // first attach of a new session: its markers stay, and the first becomes the floor
	full  bool // the socket's queue is at its bound, or the owner holds the writing back

	lasting bool // the marker that Attaching waits for has no time to live
	offline bool // there is no connection to NATS: no marker is awaited until Reattach
	renewed bool // … or there was none: what comes before the marker may be from before
}

// Init makes s a new session.
func (s *Session) Init(class Class, o *Options) {
	*s = Session{class: class, opts: o}
}

// Stop ends the session, because its owner has lost the socket or the session.
// No event has an effect any more. Floor and Seen keep their values, for the
// owner to store.
func (s *Session) Stop() {
	s.log.recheck, s.confirm.written = s.OldLog()
	s.state = Stopped
	s.log.held.free()
	s.confirm.sent.free()
	s.log.held, s.confirm.sent = nil, nil
}

// Floor returns the sequence of the last message or gap that the client has
// confirmed.
func (s *Session) Floor() uint64 { return s.confirm.floor }

// FloorTime returns when the store stored the message at Floor, Unix ns; 0: it is
// not known, or no message is there. It tells that message from another which
// has the same sequence in another log.
func (s *Session) FloorTime() int64 { return s.confirm.floorTime }

// Seen returns a second position to store with Floor: a message of the mailbox
// up to which nothing needs to be sent again, and which lasts longer than the
// one at Floor may.
func (s *Session) Seen() uint64 { return s.confirm.seen }

// OldLog returns the positions that an acked client may name which has not confirmed
// that it knows of a rollback: they are of the old log. 0 and 0: it has, or there was
// none. Also what it has confirmed may be among them.
func (s *Session) OldLog() (from, to uint64) {
	c := &s.confirm
	switch {
	case s.class != Acked || c.rolled == 0:
		return 0, 0
	case s.state == Stopped: // which has kept it there
		return s.log.recheck, c.written
	case s.log.origin == otherOrigin: // it was not even told
		return 0, c.written
	}
	_, before, _ := c.sent.at(int(c.rolled) - 1) // the gap
	to = uint64(before)
	if from = to; c.rolled > 1 {
		from, _, _ = c.sent.at(0)
	}
	return min(from, to), to
}

// Aged reports whether the log may have gone back since the session began, and since Floor
// and Seen were known to be of it.
func (s *Session) Aged() bool { return s.log.age == oldLog }

// Unproved reports whether Floor is besides a client's or a directory's word, and nobody
// knows when its message was stored. The answer that a message of the mailbox is there
// does not say then that it is the same: before the owner passes that on, it finds out
// whether the log went back (Batch.Back).
func (s *Session) Unproved() bool {
	return s.log.aged() && s.log.claimed && s.confirm.floor != 0 && s.confirm.floorTime == 0
}

// SeenTime returns when the store stored the message at Seen; see FloorTime.
func (s *Session) SeenTime() int64 { return s.confirm.seenTime }

// State returns the session's state.
func (s *Session) State() State { return s.state }

// Class returns the session's class.
func (s *Session) Class() Class { return s.class }

// Cursor returns the sequence up to which the session has accounted for the
// mailbox.
func (s *Session) Cursor() uint64 { return s.log.cursor }

// Target returns the sequence up to which messages are known to be missing; 0: none is.
func (s *Session) Target() uint64 { return s.log.target() }

// Confirmed returns the position up to which the client has confirmed everything, if
// there are only markers behind it, up to the cursor; 0: there is more.
func (s *Session) Confirmed() uint64 {
	c := &s.confirm
	if c.floor != c.written || s.log.origin != knownOrigin {
		return 0
	}
	return max(c.floor, c.seen)
}

// Unconfirmed returns how many messages and gaps an acked client has not
// confirmed yet.
func (s *Session) Unconfirmed() int { return s.confirm.sent.len() }

// active reports whether events have an effect.
func (s *Session) active() bool { return s.state != Idle && s.state < Settling }

// setState makes every change of the state but that to Stopped, which the
// owner makes itself.
func (s *Session) setState(to State, fx Effects) {
	if from := s.state; from != to {
		s.state = to
		fx.State(from, to)
	}
}
