package ownership

import (
	"time"

	"hydrant/bus/scheme"
)

// claim is what a machine needs until the session is its own.
type claim struct {
	node    scheme.NodeID
	holder  uint64
	attempt uint64 // of the client's socket; 0: it gave none
	acked   bool

	first  uint64          // the holder that the entry named at first
	told   uint64          // the holder that has answered; 0: none has
	answer scheme.Position // of that holder
	found  scheme.Entry
	closed bool // the socket is gone
	sure   bool // only a quorum's answer will do from now on
}

// Claim begins to take over a session, for a socket whose client is of the given
// class. attempt grows with each socket that this client opens for the session;
// 0: the client does not say.
func (m *Machine) Claim(node scheme.NodeID, holder, attempt uint64, acked bool, fx Effects) {
	m.entry.Holder = holder
	m.claim = &claim{node: node, holder: holder, attempt: attempt, acked: acked}
	m.setPhase(Reading)
	m.read(false, fx)
}

// consider decides what a claim makes of the entry that it has read.
func (m *Machine) consider(e *scheme.Entry, rev uint64, now time.Duration, fx Effects) {
	c := m.claim
	if e.Holder == c.holder {
		m.own(rev, now, fx)
		return
	}
	if c.closed && c.told != e.Holder {
		m.end(Unknown, fx)
		return
	}
	if r := fx.Admit(e); r != Allowed {
		m.refuse(r, fx)
		return
	}
	if c.first == 0 {
		c.first = e.Holder
	}
	switch {
	case c.attempt != 0 && e.Attempt > c.attempt:
		m.refuse(Overtaken, fx)
		return
	case c.attempt == 0 && e.Holder != c.first:
		m.refuse(Contested, fx)
		return
	}
	c.found, m.writer.rev = *e, rev
	if e.State == scheme.StateLive && c.told != e.Holder {
		m.setPhase(Asking)
		m.awaited = m.number()
		fx.Ask(m.awaited, e, c.attempt)
		return
	}
	m.swap(e.Doubt, now, fx)
}

// Reply is what came of asking a holder.
type Reply uint8

const (
	// Given: it writes nothing more, and says how far it has got.
	Given Reply = iota
	// Stranger: its node does not know that holder id, so that nobody writes
	// under it.
	Stranger
	// Declined: it belongs to a newer socket of the same client.
	Declined
	// Nobody: NATS says that the node does not listen. If it is cut off, it has
	// to prove its sessions before it writes again.
	Nobody
	// Silence: no answer within [Patience]. It may still write.
	Silence
	// Live: it keeps the session, because its client lives and the claimant has shown
	// nothing but the id.
	Live
	// Unasked: the question could not be sent, and the claimant has shown nothing but
	// the id, so that the session must not be taken without it.
	Unasked
)

// String returns the name used in logs and transcripts.
func (r Reply) String() string {
	return [...]string{"given", "stranger", "declined", "nobody", "silence", "live", "unasked"}[r]
}

// HandedOver is the answer to Ask.
func (m *Machine) HandedOver(number uint32, r Reply, a scheme.Position, now time.Duration, fx Effects) {
	if !m.expects(number) {
		return
	}
	c := m.claim
	if c.closed && r != Given { // there is nothing that could be lost
		m.end(Unknown, fx)
		return
	}
	doubt := c.found.Doubt
	switch r {
	case Given:
		c.told, c.answer = c.found.Holder, a
	case Stranger:
		c.told = c.found.Holder
	case Declined:
		m.refuse(Overtaken, fx)
		return
	case Live:
		m.refuse(Alive, fx)
		return
	case Unasked:
		m.refuse(Unanswered, fx)
		return
	case Silence:
		doubt = true
	}
	m.swap(doubt, now, fx)
}

// swap writes the entry that makes the session this claim's.
func (m *Machine) swap(doubt bool, now time.Duration, fx Effects) {
	c := m.claim
	e := c.found
	e.Node, e.Holder, e.Acked, e.Doubt = c.node, c.holder, c.acked, doubt
	e.State = scheme.StateLive
	if c.closed {
		e.State = scheme.StateParked
	}
	e.Attempt = max(e.Attempt, c.attempt)
	if e.Behind(c.answer) { // whatever became of that holder since: floors never go back
		e.Position = c.answer
	}
	m.entry, m.former = e, c.found.Holder
	m.setPhase(Claiming)
	m.write(now, fx)
}

// own goes on from an entry that names this claim: a write whose outcome was not
// known, or that was taken for refused, has been taken.
func (m *Machine) own(rev uint64, now time.Duration, fx Effects) {
	m.writer.rev = rev
	if m.claim.closed {
		m.park(now, fx)
		return
	}
	m.setPhase(Claiming) // that is from before, and proves nothing
	m.write(now, fx)
}

// claimed follows the acknowledgement of the swap.
func (m *Machine) claimed(now time.Duration, fx Effects) {
	switch c := m.claim; {
	case m.entry.State == scheme.StateParked: // it was closed before
		m.end(Parked, fx)
	case c.closed:
		m.park(now, fx)
	case m.writer.proven == 0: // another may have it already
		m.write(now, fx)
	case !fx.Claimed(&m.entry):
		m.park(now, fx)
	default:
		m.setPhase(Joining)
		m.claim = nil
		fx.Attach(m.entry.Position, m.entry.Doubt)
	}
}

// refuse ends a claim without the session.
func (m *Machine) refuse(r Refusal, fx Effects) {
	if !m.claim.closed {
		fx.Refuse(r)
	}
	m.end(Unknown, fx)
}

// Marker reports that this holder's own marker is back: copies of what is stored
// from then on reach this node. It returns whether delivery may begin; if not,
// Welcome says when.
func (m *Machine) Marker(now time.Duration, fx Effects) (begin bool) {
	if m.phase != Joining {
		return m.phase == Served || m.phase == Doubted
	}
	m.marker = now
	return m.welcome(now, fx)
}

// welcome tells the client that it has its session, once nothing can be written
// to an older socket any more, and the session is known to be this holder's. In
// doubt that has to be proved after the pause: its timer may be late, and a claim
// that met nobody here meanwhile has not waited for it.
func (m *Machine) welcome(now time.Duration, fx Effects) bool {
	if m.marker == 0 {
		return false
	}
	since := time.Duration(1) // 0: nothing is proven
	if m.entry.Doubt {
		since = m.marker + settling
	}
	switch proven := m.writer.proven; {
	case since > now:
		m.wait(since-now, thenWelcome, fx)
		return false
	case proven < since || now-proven > deadline:
		m.write(now, fx)
		return false
	}
	m.serve(now, fx)
	return true
}

// serve is the way to Served.
func (m *Machine) serve(now time.Duration, fx Effects) {
	m.setPhase(Served)
	fx.Welcome()
	if m.entry.Doubt {
		m.entry.Doubt = false
		m.write(now, fx)
	}
}
