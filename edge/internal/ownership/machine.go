package ownership

import (
	"time"

	"hydrant/bus/scheme"
)

// Bounds in time. What others wait for an answer is Patience; what a claim or a
// proof may take is less, so that it is over when they stop waiting.
const (
	// Patience is how long a claim waits for the holder's answer.
	Patience = time.Second
	// deadline bounds the time from sending a write to relying on it.
	deadline = 700 * time.Millisecond
	// settling is longer than a copy, or the answer to a read, takes to a node
	// that is connected and has not noticed that it stood still, for which
	// wire.Options.StallLimit is the bound: what the former holder could still
	// write is written by then.
	settling = time.Second
	// lastPong is how long a session that was asked for waits for the client to
	// confirm what was written last. It spares a client that lives a repeat; one
	// that is gone costs its successor this time.
	lastPong = 150 * time.Millisecond
	// retryStep is the pause before a write or a read is repeated, and grows by
	// itself with each.
	retryStep = 250 * time.Millisecond
	// maxTries bounds the growth of the pause, and the attempts to park a session
	// whose socket is gone. Its entry then stays as the last checkpoint left it,
	// which a resume can use.
	maxTries = 8
)

// Machine is the life of one session under one holder id: from a claim, or from
// the opening of a fresh session, to the hand-over, the parking or the loss. It
// decides, and asks its owner for what is to be done ([Effects]). It must be used
// on one goroutine. now is the time since some moment before the first event, and
// so never 0. The zero value is Idle. It has a method for each event, and one for
// each step of the rules that several events take.
type Machine struct {
	entry scheme.Entry // as the directory has it from this holder, or is to have it
	claim *claim       // nil: the session is this holder's

	former  uint64 // the holder before this one
	writer  writer
	awaited uint32 // number of the read or the question that the phase waits for; 0: none
	pause   pause  // what happens when the timer fires
	last    uint32 // last number given to a request
	since   uint32 // writes up to this number prove nothing: something happened since
	tries   uint8  // failures in a row
	phase   Phase
	marker  time.Duration // when this holder's own marker came back; 0: it has not
}

// writer is the session's directory entry on its way. One write is out at a time.
type writer struct {
	rev      uint64        // revision that the next write compares with; 0: there is no entry yet
	at       time.Duration // when the write on its way was sent
	taken    time.Duration // when the last one was acknowledged
	proven   time.Duration // when the last acknowledged write that proves something was sent; 0: there is none
	sent     uint32        // number of the write on its way; 0: none
	outdated bool          // what is on its way is no longer what the entry should say
}

// pause is what the machine does when its timer fires.
type pause struct {
	number uint32 // of the timer; 0: it is not armed
	then   step
}

type step uint8

const (
	thenWrite step = iota
	thenRead
	thenWelcome
	thenHandOver
)

// Refusal says why a claim ended without the session.
type Refusal uint8

const (
	// Allowed is none.
	Allowed Refusal = iota
	// Missing: there is no such session.
	Missing
	// WrongToken: the session's secret is needed, and was not given.
	WrongToken
	// WrongIdentity: the session belongs to another identity.
	WrongIdentity
	// Overtaken: a newer socket of the same client has the session, or wants it.
	Overtaken
	// Contested: another socket was faster, and nothing says which is newer.
	Contested
	// Unreadable: what stands there is no entry; no node can have written it.
	Unreadable
	// Newer: the entry is of a form that this version does not know.
	Newer
	// Alive: the session's client lives, and the claimant has only the id.
	Alive
	// Unanswered: whether it lives could not be asked.
	Unanswered
)

// String returns the name used in logs and transcripts.
func (r Refusal) String() string {
	return [...]string{"allowed", "missing", "wrong token", "wrong identity", "overtaken", "contested", "unreadable", "newer", "alive", "unanswered"}[r]
}

// End says how a session left this holder.
type End uint8

const (
	// Parked: the directory says that the session has no socket.
	Parked End = iota
	// Unparked: that could not be written; the last checkpoint stands.
	Unparked
	// HandedOver to another holder, which asked for it.
	HandedOver
	// TakenOver by a holder that did not reach this one.
	TakenOver
	// Disputed: as TakenOver, but not by a newer socket of the same client.
	Disputed
	// Expired: the directory has no such session any more.
	Expired
	// Discarded: a fresh session that nothing was sent for, replaced by a resume.
	Discarded
	// Unknown: a fresh session whose socket went before anything was written, or
	// a claim that ended without the session.
	Unknown
)

// String returns the name used in logs and transcripts.
func (e End) String() string {
	return [...]string{"parked", "unparked", "handed over", "taken over", "disputed", "expired", "discarded", "unknown"}[e]
}

// Effects is what a machine asks of its owner. The calls come from within the
// machine's events; they must neither block nor call the machine back, unless
// said otherwise. Requests carry a number from 1, with which their answer comes back.
type Effects interface {
	// Read asks the directory for the session's entry: Found, Absent, Garbled, TooNew or
	// Unread follows. With sure, an answer of absence or of another holder is of
	// a quorum.
	Read(number uint32, sure bool)
	// Write compares and swaps the entry: Stored, Refused or Unsettled follows.
	// Revision 0 makes a new one. e is valid until Write returns.
	Write(number uint32, e *scheme.Entry, rev uint64)
	// Ask asks the holder that e names to hand the session over; HandedOver
	// follows, after Patience at the latest.
	Ask(number uint32, e *scheme.Entry, attempt uint64)
	// Timer arms the machine's one timer anew, for TimedOut.
	Timer(number uint32, d time.Duration)

	// Admit reports whether the claimant may have the session.
	Admit(e *scheme.Entry) Refusal
	// Claimed reports that the claim has the session now, before Attach. False:
	// the socket cannot take it, and it is parked.
	Claimed(e *scheme.Entry) bool
	// Attach listens to the mailbox and lets delivery begin at this position;
	// lasting: the marker has no time to live. Marker follows.
	Attach(at scheme.Position, lasting bool)
	// Reattach sends another marker: copies were missed, or the subscription is
	// new. lasting as in Attach.
	Reattach(lasting bool)
	// Position returns how far delivery has got.
	Position() scheme.Position
	// Freeze keeps the session's messages from the socket; with hold, everything,
	// also what was queued for it before. Until Thaw it may come again, and what
	// was held stays so.
	Freeze(hold bool)
	// Unsettled reports that the session stays frozen for longer: the client is
	// at least to be told other things.
	Unsettled()
	// Thaw ends Freeze. What was missed is read again.
	Thaw()
	// Settle sends a last barrier to the client, after which nothing more is
	// written to it, and reports whether an answer is to be waited for: Quiet
	// follows then, if it comes.
	Settle() (wait bool)

	// Welcome tells the client that it has its session.
	Welcome()
	// Refuse tells the client that its claim ended without the session.
	Refuse(r Refusal)
	// HandOver answers whoever asked for the session, now and before.
	HandOver(at scheme.Position)
	// Ended reports that the session is not this holder's any more. The owner
	// stops listening, closes the socket if there still is one, and forgets the
	// machine. rev is the revision of the entry, for Discarded.
	Ended(end End, rev uint64)
}

// Open begins a fresh session. e is its entry, but for positions.
func (m *Machine) Open(e scheme.Entry, fx Effects) {
	m.entry = e
	m.entry.State = scheme.StateLive
	m.setPhase(Opening)
	fx.Attach(scheme.Position{}, true)
}

// Placed reports that a fresh session has its first position: its marker is
// back, and the entry can be written.
func (m *Machine) Placed(now time.Duration, fx Effects) {
	if m.phase != Opening {
		return
	}
	m.entry.Start = fx.Position().Floor
	m.setPhase(Entering)
	m.write(now, fx)
}

// Holder returns the id of this holder.
func (m *Machine) Holder() uint64 { return m.entry.Holder }

// Former returns the id of the holder that this one has the session from; 0: there
// is none. Its markers are no reason for [Machine.Rival].
func (m *Machine) Former() uint64 { return m.former }

// ParkedAt returns the node where the holder that a claim has taken the session from has
// parked it; "": it has not, or there is no claim any more.
func (m *Machine) ParkedAt() scheme.NodeID {
	if c := m.claim; c != nil && c.found.State == scheme.StateParked {
		return c.found.Node
	}
	return ""
}

// Attempt returns the number of the client's socket; 0: it gave none.
func (m *Machine) Attempt() uint64 {
	if m.claim != nil {
		return m.claim.attempt
	}
	return m.entry.Attempt
}

// number names the next request; 0 names none.
func (m *Machine) number() uint32 {
	m.last++
	return m.last
}

// read asks for the entry.
func (m *Machine) read(sure bool, fx Effects) {
	m.awaited = m.number()
	fx.Read(m.awaited, sure)
}

// wait does something later, in this phase.
func (m *Machine) wait(d time.Duration, then step, fx Effects) {
	m.pause = pause{m.number(), then}
	fx.Timer(m.pause.number, d)
}

// retry does something again after a pause that grows.
func (m *Machine) retry(then step, fx Effects) {
	m.tries = min(m.tries+1, maxTries)
	m.wait(time.Duration(m.tries)*retryStep, then, fx)
}

// end is the way to Gone.
func (m *Machine) end(how End, fx Effects) {
	m.setPhase(Gone)
	fx.Ended(how, m.writer.rev)
}

// TimedOut reports that the timer of this number has fired.
func (m *Machine) TimedOut(number uint32, now time.Duration, fx Effects) {
	if number != m.pause.number {
		return
	}
	then := m.pause.then
	m.pause = pause{}
	switch then {
	case thenWrite:
		m.write(now, fx)
	case thenRead:
		m.read(m.phase != Reading || m.claim.sure, fx)
	case thenWelcome:
		m.welcome(now, fx)
	case thenHandOver:
		m.handOver(fx)
	}
}
