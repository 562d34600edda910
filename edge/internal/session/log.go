package session

// origin says what the client has to be told before its first message.
type origin uint8

const (
	knownOrigin   origin = iota // nothing
	unknownOrigin               // an overflow: there is no record of what came before
	otherOrigin                 // a rollback
)

// missing is how a claimed position was not found.
type missing uint8

const (
	notMissing missing = iota
	foreign            // floor or seen belonged to another mailbox
	gone               // aged: the floor, of which no time is known, is not there
)

// age says whether the log may have gone back since the positions were known to be of it.
type age uint8

const (
	current      age = iota
	oldPositions     // it may: they were old when the session began
	oldLog           // it may, since then
)

// knownLog is what a session knows of its mailbox's log: how far it has come,
// which message proves that nothing was dropped, and which copies are waiting
// for their turn. Positions are stream sequences; times are the store's, in
// Unix nanoseconds, and 0 if unknown.
type knownLog struct {
	cursor     uint64 // up to here all is written, told as a gap, or a marker
	anchor     uint64 // newest message up to cursor that should still be in the store
	anchorTime int64  // when it was stored
	youngest   int64  // no message up to cursor was stored later than this

	// Copies beyond the cursor.
	held          *held  // those that wait, in order; nil: none
	missed        uint64 // highest sequence that exists and was not kept
	missedTime    int64  // when it was stored
	missedMessage uint64 // the same, markers left out

	origin    origin
	missedTTL bool // the message at missedMessage has a time to live

	// How far the positions can be trusted.
	weak    bool // the message at anchor may have a time to live
	claimed bool // floor and seen are a directory's or a client's word; the store has not confirmed them
	missing missing
	age     age
	lost    bool   // aged: nothing that was asked for is there: read from the mailbox's oldest message on
	doubt   bool   // ask the store before writing anything more
	recheck uint64 // doubt: messages from here on were taken, and are still to be compared; gone: … are still to be looked at
}

// younger reports whether a message at or below the cursor that was stored at t
// is later than all that the session has taken: then it is of another log.
func (l *knownLog) younger(t int64) bool { return l.youngest != 0 && t > l.youngest }

// aged reports whether the log may have gone back since the positions were known to be of
// it.
func (l *knownLog) aged() bool { return l.age != current }

// accept ends the doubt about a claimed position: the store has confirmed it, or it is
// given up.
func (l *knownLog) accept() { l.claimed, l.missing = false, notMissing }

// believe ends a doubt: the log is the one that was read so far.
func (l *knownLog) believe() { l.doubt, l.recheck, l.age, l.lost = false, 0, current, false }

// pass moves the cursor over what is not there. Whatever that was, it was stored
// before the first held copy.
func (l *knownLog) pass(to uint64) {
	if to <= l.cursor {
		return
	}
	l.cursor = to
	if l.youngest == 0 {
		return
	}
	switch c := l.held.first(); {
	case c != nil && c.Seq > to:
		l.youngest = max(l.youngest, c.Time)
	case l.missed >= to:
		l.youngest = max(l.youngest, l.missedTime)
	}
}

// last returns the highest sequence that is known to exist.
func (l *knownLog) last() uint64 { return max(l.cursor, l.missed, l.held.last()) }

// miss remembers that a copy exists which was not kept.
func (l *knownLog) miss(c *Copy) {
	if c.Seq > l.missed {
		l.missed, l.missedTime = c.Seq, c.Time
	}
	if c.Mark == 0 && c.Seq > l.missedMessage {
		l.missedMessage, l.missedTTL = c.Seq, c.TTL
	}
}

// missedWhy explains why the store no longer has the message at missedMessage,
// though it has an older one.
func (l *knownLog) missedWhy() Why {
	if l.missedTTL {
		return Expired
	}
	return Rollback
}

// dropHeld forgets the held copies, but not that they exist.
func (l *knownLog) dropHeld() {
	for c := l.held.first(); c != nil; c = l.held.first() {
		l.miss(c)
		l.held.pop()
	}
	l.held.free()
	l.held = nil
}

// prune drops the held copies that the cursor has passed.
func (l *knownLog) prune() {
	for c := l.held.first(); c != nil && c.Seq <= l.cursor; c = l.held.first() {
		l.held.pop()
	}
	if l.held != nil && l.held.len() == 0 {
		l.held.free()
		l.held = nil
	}
}

// target returns the sequence to read up to, 0 if nothing is known to be
// missing before the first held copy.
func (l *knownLog) target() uint64 {
	t := l.missed
	if c := l.held.first(); c != nil {
		t = c.Prev
	}
	if t <= l.cursor {
		return 0
	}
	return t
}
