package bus

import "hydrant/bus/scheme"

// Event tells services what happened to a session. Events are delivered at
// most once.
type Event = scheme.Event

// SessionEvent says what happened to a session.
type SessionEvent = scheme.SessionEvent

// The session events; see the constants of package scheme for when they come.
const (
	SessionOpened  = scheme.SessionOpened
	SessionParked  = scheme.SessionParked
	SessionResumed = scheme.SessionResumed
	SessionExpired = scheme.SessionExpired
	SessionClosed  = scheme.SessionClosed
)
