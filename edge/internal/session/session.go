package session

// Session is the protocol of one mailbox's reader. It is not safe for
// concurrent use: its owner is one loop. The zero value is a plain session
// with no options; use New, or Init for one that is embedded.
type Session struct {
	// Immutable after Init.
	opts *Options

	// Positions in the mailbox, stream sequences.
	cursor  uint64 // everything up to here is written, told as a gap, or nothing (markers)
	written uint64 // x-seq of the last message or gap that was written
	floor   uint64 // x-seq of the last one that was confirmed; ≤ written
	safe    uint64 // newest message without TTL of which all before it is confirmed
	anchor  uint64 // newest message up to cursor that is still in the store as far as is known
	stamp   int64  // when the message at anchor was stored; 0: unknown
	when    int64  // when the youngest one up to cursor was stored; 0: unknown
	missed  uint64 // highest sequence that is known to exist and was not kept
	unkept  uint64 // … of a copy that was no marker

	// Attaching: Mark is 0 when no marker is awaited.
	mark  uint64
	since uint64 // highest sequence seen before the marker was sent: it must come above

	// Reading.
	aim   uint64 // sequence that the outstanding read should reach; 0: it only asks for a presence
	asked uint64 // sequence whose presence it asks for
	redo  uint64 // verify: from here on what was taken is still to be compared

	// Confirming.
	barrier uint64 // token of the outstanding ping (plain); 0: none
	sent    *sent  // unconfirmed (acked); nil: none
	rolled  int32  // entries of sent up to the last rollback's gap, which may still have to be pushed; 0: confirmed

	held *held // live copies that wait; nil: none

	class  Class
	state  State
	origin origin
	epoch  uint8 // rollbacks, counted; tells barrier tokens of different logs apart
	tries  uint8 // repeats of the marker or of the read

	fresh     bool // first attach of the session: markers are kept, and the first one is its floor
	unsure    bool // floor and safe come from a directory or a client and are not yet verified
	second    bool // what was asked for is not there; ask for an older one
	foreign   bool // unsure: it belonged to another mailbox
	weak      bool // the message at anchor may have a time to live
	verify    bool // ask for the anchor before anything more is written
	reading   bool // a Read is outstanding
	void      bool // its answer is to be ignored
	waiting   bool // a Read is to be repeated when the timer fires
	remark    bool // … by attaching again
	consumer  bool // something was read since the session was live
	full      bool // the socket's queue is at its bound
	loose     bool // the last thing written cannot serve as an anchor
	barrierLo bool // the same of what the outstanding ping confirms
	unkeptTTL bool // the copy at unkept has a time to live
}

// New returns a session of the given class.
func New(class Class, o *Options) *Session {
	s := new(Session)
	s.Init(class, o)
	return s
}

// Init makes s a new session, for owners that embed it.
func (s *Session) Init(class Class, o *Options) {
	*s = Session{class: class, opts: o}
}

// Stop ends the session: its owner has lost the socket or the session. No
// event has an effect any more. Floor and Seen keep their values: store them.
func (s *Session) Stop() {
	s.state = Stopped
	s.held.free()
	s.sent.free()
	s.held, s.sent = nil, nil
}

// Floor returns the sequence of the last message or gap that the client is
// known to have.
func (s *Session) Floor() uint64 { return s.floor }

// Seen returns a second position to store with Floor: a message of the mailbox
// such that nothing up to it needs to be sent again, and that lasts longer than
// the one at Floor may.
func (s *Session) Seen() uint64 { return s.safe }

// State returns where the session stands.
func (s *Session) State() State { return s.state }

// Class returns the session's class.
func (s *Session) Class() Class { return s.class }

// Cursor returns the sequence up to which the mailbox is accounted for.
func (s *Session) Cursor() uint64 { return s.cursor }

// Aim returns the sequence that the outstanding read should reach; 0: it asks for
// the presence of a message only.
func (s *Session) Aim() uint64 { return s.aim }

// Unconfirmed returns how many messages and gaps an acked client has not
// confirmed yet.
func (s *Session) Unconfirmed() int { return s.sent.len() }

// active reports whether events have an effect.
func (s *Session) active() bool { return s.state != Idle && s.state < Releasing }

func (s *Session) setState(to State, fx Effects) {
	if from := s.state; from != to {
		s.state = to
		fx.State(from, to)
	}
}
