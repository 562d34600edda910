package ownership

import (
	"time"

	"hydrant/bus/scheme"
)

// Rival reports a marker in the mailbox that is neither this holder's own nor of
// the one before it: another has attached. Before the welcome, and in doubt, the
// deadline of a write would do as well, unless that claim was told in error that
// nobody listens here.
func (m *Machine) Rival(now time.Duration, fx Effects) {
	switch m.phase {
	case Joining:
		m.since, m.writer.proven = m.last, 0
	case Served, Doubted:
		m.prove(false, now, fx)
	}
}

// Stalled reports that the process did not run for a while, so that another node
// may have taken the session over.
func (m *Machine) Stalled(now time.Duration, fx Effects) {
	switch m.phase {
	case Claiming, Joining:
		m.since, m.writer.proven = m.last, 0
	case Served, Doubted:
		m.prove(true, now, fx)
	case Leaving:
		m.handOver(fx) // what was queued must not leave any more
	}
}

// Reconnected reports a new connection to NATS: copies were missed, and whoever
// asked for the session meanwhile was not heard. What waits for the timer is done
// at once.
func (m *Machine) Reconnected(now time.Duration, fx Effects) {
	switch m.phase {
	case Opening, Entering: // nobody else knows the session
		fx.Reattach(true)
	case Claiming:
		m.since, m.writer.proven = m.last, 0
	case Joining:
		m.since, m.writer.proven, m.marker = m.last, 0, 0
		fx.Reattach(m.entry.Doubt)
	case Served, Doubted:
		m.prove(false, now, fx)
	}
	if m.pause.number != 0 {
		m.TimedOut(m.pause.number, now, fx)
	}
}

// prove stops the writing until a write that is sent after this has been
// acknowledged. A read would not do: a claim whose compare-and-swap is on its way
// wins after the read.
func (m *Machine) prove(hold bool, now time.Duration, fx Effects) {
	m.doubt(hold, fx)
	if m.awaited == 0 && m.pause.number == 0 { // else a write follows anyway
		m.write(now, fx)
	}
}

// doubt begins, or renews, the doubt.
func (m *Machine) doubt(hold bool, fx Effects) {
	m.since, m.writer.proven = m.last, 0
	if m.phase != Doubted {
		m.setPhase(Doubted)
	}
	fx.Freeze(hold)
}

// proved follows an acknowledgement in doubt.
func (m *Machine) proved(now time.Duration, fx Effects) {
	if m.writer.proven == 0 {
		m.write(now, fx) // it was sent before the doubt began, or took too long
		return
	}
	m.setPhase(Served)
	fx.Thaw()
}

// lose ends a session whose entry names another holder.
func (m *Machine) lose(e *scheme.Entry, fx Effects) {
	if m.phase != Parking && m.entry.Attempt != 0 && e.Attempt <= m.entry.Attempt {
		m.end(Disputed, fx)
		return
	}
	m.end(TakenOver, fx)
}

// Replaced reports that another claim on the same loop has the session, though
// its question did not reach this holder.
func (m *Machine) Replaced(fx Effects) {
	switch m.phase {
	case Joining, Served, Doubted, Parking:
		m.end(TakenOver, fx)
	case Leaving:
		m.handOver(fx) // others wait for it
	}
}

// Asked reports that another claim asks for the session; attempt as in Claim.
// HandOver follows, at once or a little later. False: it is not given, because
// that claim is of an older socket of the same client.
func (m *Machine) Asked(attempt uint64, fx Effects) bool {
	if attempt != 0 && attempt < m.Attempt() {
		return false
	}
	switch m.phase {
	case Reading, Asking, Claiming:
		m.giveUp(attempt, fx)
	case Served:
		if fx.Settle() {
			m.setPhase(Leaving)
			m.wait(lastPong, thenHandOver, fx)
			return true
		}
		m.handOver(fx)
	case Opening, Entering, Joining, Doubted, Parking:
		m.handOver(fx)
	}
	return true
}

// giveUp ends a claim that is asked for what it does not have for certain.
func (m *Machine) giveUp(attempt uint64, fx Effects) {
	fx.HandOver(m.entry.Position)
	if m.claim.attempt != 0 && attempt > m.claim.attempt {
		m.refuse(Overtaken, fx)
		return
	}
	m.refuse(Contested, fx)
}

// Quiet reports that the client has confirmed all that Settle waited for.
func (m *Machine) Quiet(fx Effects) {
	if m.phase == Leaving {
		m.handOver(fx)
	}
}

// handOver gives the session away: nothing is written any more.
func (m *Machine) handOver(fx Effects) {
	at := m.entry.Position
	if m.claim == nil {
		at = fx.Position()
	}
	fx.HandOver(at)
	m.end(HandedOver, fx)
}

// Closed reports that the socket is gone.
func (m *Machine) Closed(now time.Duration, fx Effects) {
	switch m.phase {
	case Opening:
		m.end(Unknown, fx)
	case Reading:
		m.claim.closed = true
		if m.entry.Node == "" { // nothing was written
			m.end(Unknown, fx)
		}
	case Asking, Claiming:
		m.claim.closed = true // what the former holder says must not be lost
	case Entering, Joining, Served, Doubted:
		m.park(now, fx)
	case Leaving:
		m.handOver(fx) // others wait for it
	}
}

// park has the directory say that the session has no socket.
func (m *Machine) park(now time.Duration, fx Effects) {
	settle := m.awaited != 0 // it is not known yet whether the last write was taken
	m.setPhase(Parking)
	m.tries = 0
	m.entry.State = scheme.StateParked
	if settle {
		m.read(true, fx)
		return
	}
	m.write(now, fx)
}

// Discard ends a fresh session before anybody could hear of it.
func (m *Machine) Discard(fx Effects) {
	if m.phase == Served || m.phase == Doubted {
		m.end(Discarded, fx)
	}
}
