package ownership

import "slices"

// Phase is where a session stands in its life under one holder id.
type Phase uint8

const (
	// Idle is a machine that has not begun.
	Idle Phase = iota
	// Opening is a fresh session that waits for its first position.
	Opening
	// Entering waits until the directory has a fresh session's first entry.
	Entering
	// Reading is a claim that reads the directory entry.
	Reading
	// Asking is a claim that has asked the holder to hand the session over.
	Asking
	// Claiming is a claim whose compare-and-swap is on its way.
	Claiming
	// Joining owns the session, and waits until it may tell its client so.
	Joining
	// Served is the usual phase: the client has its session.
	Served
	// Doubted writes nothing to the client until the directory has taken a
	// write that proves that the session is still this holder's.
	Doubted
	// Leaving has been asked for the session, writes nothing more, and waits for
	// the client's last confirmation.
	Leaving
	// Parking has no socket any more, and writes that into the directory.
	Parking
	// Gone is the end: no event has an effect any more.
	Gone

	numPhases
)

var phaseNames = [numPhases]string{"idle", "opening", "entering", "reading", "asking", "claiming",
	"joining", "served", "doubted", "leaving", "parking", "gone"}

// String returns the name used in logs and transcripts.
func (p Phase) String() string { return phaseNames[p] }

// transitions holds every legal change of phase. The package documentation draws
// it, and a test compares the two with what the machine does.
var transitions = [numPhases][]Phase{
	Idle:     {Opening, Reading},
	Opening:  {Entering, Gone},
	Entering: {Served, Parking, Gone},
	Reading:  {Asking, Claiming, Parking, Gone},
	Asking:   {Claiming, Gone},
	Claiming: {Reading, Joining, Parking, Gone},
	Joining:  {Served, Parking, Gone},
	Served:   {Doubted, Leaving, Parking, Gone},
	Doubted:  {Served, Parking, Gone},
	Leaving:  {Gone},
	Parking:  {Gone},
}

// setPhase is the one place where the phase changes. Whatever the old phase was
// waiting for has no effect any more.
func (m *Machine) setPhase(to Phase) {
	if !slices.Contains(transitions[m.phase], to) {
		panic("ownership: no transition from " + m.phase.String() + " to " + to.String())
	}
	m.phase = to
	m.awaited, m.pause = 0, pause{}
}

// Phase returns where the session stands.
func (m *Machine) Phase() Phase { return m.phase }

// Held reports whether the session belongs to a socket of this node: its mailbox
// is listened to.
func (m *Machine) Held() bool {
	switch m.phase {
	case Opening, Entering, Joining, Served, Doubted, Leaving:
		return true
	}
	return false
}
