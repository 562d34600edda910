package ownership

import (
	"time"

	"hydrant/bus/scheme"
)

// write sends the entry as it is to be now. If one is on its way, another
// follows it.
func (m *Machine) write(now time.Duration, fx Effects) {
	w := &m.writer
	if w.sent != 0 {
		w.outdated = true
		return
	}
	if m.claim == nil { // else the positions are those of the former holder
		m.entry.Position = fx.Position()
	}
	w.sent, w.at, w.outdated = m.number(), now, false
	fx.Write(w.sent, &m.entry, w.rev)
}

// Changed asks for a write of the positions, or of an entry that would expire.
func (m *Machine) Changed(now time.Duration, fx Effects) {
	if m.phase == Served && m.pause.number == 0 { // else a write follows anyway
		m.write(now, fx)
	}
}

// Stored reports that a write was taken, and its revision.
func (m *Machine) Stored(number uint32, rev uint64, now time.Duration, fx Effects) {
	w := &m.writer
	if number != w.sent {
		return
	}
	w.sent, w.rev, w.taken, m.tries = 0, rev, now, 0
	if number > m.since && now-w.at <= deadline {
		w.proven = w.at
	}
	switch m.phase {
	case Entering:
		m.serve(now, fx)
	case Claiming:
		m.claimed(now, fx)
	case Joining:
		m.welcome(now, fx)
	case Doubted:
		m.proved(now, fx)
	case Parking:
		if w.outdated {
			m.write(now, fx)
			return
		}
		m.end(Parked, fx)
	case Served:
		if w.outdated {
			m.write(now, fx)
		}
	}
}

// Refused reports that a write was not taken because the entry has another
// revision.
func (m *Machine) Refused(number uint32, now time.Duration, fx Effects) {
	if number != m.writer.sent {
		return
	}
	m.writer.sent = 0
	switch m.phase {
	case Claiming:
		m.claim.sure = true // a replica that lags would show the same revision again
		m.setPhase(Reading)
		m.read(true, fx)
	case Served:
		m.doubt(false, fx)
		m.read(true, fx)
	case Entering, Joining, Doubted, Parking:
		m.read(true, fx)
	}
}

// Unsettled reports that it is not known whether a write was taken, or that it
// was not, for a reason that passes.
func (m *Machine) Unsettled(number uint32, now time.Duration, fx Effects) {
	if number != m.writer.sent {
		return
	}
	m.writer.sent = 0
	switch m.phase {
	case Gone, Leaving:
		return
	case Doubted:
		fx.Unsettled()
	}
	if m.exhausted(fx) {
		return
	}
	m.retry(thenWrite, fx) // if it was taken, the repetition is refused, and a read finds this holder
}

// expects reports whether an answer is to the request that the phase waits for.
func (m *Machine) expects(number uint32) bool {
	if number != m.awaited {
		return false
	}
	m.awaited = 0
	return true
}

// Found is the answer to a read: the entry, its revision, and how long ago it was
// stored; 0: that is not known.
func (m *Machine) Found(number uint32, e *scheme.Entry, rev uint64, age, now time.Duration, fx Effects) {
	if !m.expects(number) {
		return
	}
	switch {
	case m.phase == Reading:
		m.consider(e, rev, now, fx)
	case e.Holder != m.entry.Holder && !m.wentBack(e, rev, age, now):
		m.lose(e, fx)
	default:
		m.writer.rev, m.tries = rev, 0
		m.write(now, fx)
	}
}

// wentBack reports whether an entry that names another holder is of a directory that
// was put back to an older state, since revisions only grow, and whether that holder
// had the session before this one. One that has taken it since has a revision below
// this holder's as well. Of the same client the numbers of its connections tell, and
// where there are none, the time: an entry that is younger than this holder's is not
// that of the holder before it, unless that one knows nothing of its loss and has
// written again.
func (m *Machine) wentBack(e *scheme.Entry, rev uint64, age, now time.Duration) bool {
	switch {
	case rev >= m.writer.rev || e.Attempt > m.entry.Attempt:
		return false
	case e.Attempt < m.entry.Attempt || e.Holder == m.former:
		return true
	}
	return age == 0 || now-age <= m.writer.taken
}

// Absent is the answer to a read: there is no entry.
func (m *Machine) Absent(number uint32, fx Effects) {
	if !m.expects(number) {
		return
	}
	switch {
	case m.phase != Reading:
		m.end(Expired, fx)
	case !m.claim.sure: // a replica that lags has not heard of it yet
		m.claim.sure = true
		m.read(true, fx)
	default:
		m.refuse(Missing, fx)
	}
}

// Garbled is the answer to a read: what is there is no entry.
func (m *Machine) Garbled(number uint32, fx Effects) {
	if !m.expects(number) {
		return
	}
	switch m.phase {
	case Reading:
		m.refuse(Unreadable, fx)
	default:
		m.end(TakenOver, fx)
	}
}

// TooNew is the answer to a read: the entry is of a later form. A claim ends; whoever
// has the session asks again, until this node is replaced.
func (m *Machine) TooNew(number uint32, fx Effects) {
	switch {
	case m.phase != Reading:
		m.Unread(number, fx)
	case m.expects(number):
		m.refuse(Newer, fx)
	}
}

// Unread reports that a read got no answer.
func (m *Machine) Unread(number uint32, fx Effects) {
	if !m.expects(number) {
		return
	}
	if m.phase == Doubted {
		fx.Unsettled()
	}
	if m.exhausted(fx) {
		return
	}
	m.retry(thenRead, fx)
}

// exhausted ends a session without a socket that the directory has not answered
// for too long. While there is a socket its owner sets the limit.
func (m *Machine) exhausted(fx Effects) bool {
	if m.tries < maxTries || m.phase != Parking && (m.claim == nil || !m.claim.closed) {
		return false
	}
	m.end(Unparked, fx)
	return true
}
