package scheme

import (
	"time"
)

// Event tells services what happened to a session. Events are delivered at
// most once.
type Event struct {
	What    SessionEvent `json:"what"`
	Session string       `json:"session"`
	// Node where it happened.
	Node string `json:"node"`
	// Identity that the client proved; empty: none.
	Identity string `json:"identity,omitempty"`
	// Why, for parked, expired and closed: one word.
	Why  string    `json:"why,omitempty"`
	Time time.Time `json:"time"`
}

// SessionEvent says what happened to a session.
type SessionEvent string

// The session events, published at most once, for services that care.
const (
	SessionOpened  SessionEvent = "opened"
	SessionParked  SessionEvent = "parked"
	SessionResumed SessionEvent = "resumed"
	// SessionExpired: nobody came back in time, or the store has lost the session.
	// One whose node died in the session's first minute ends without a word.
	SessionExpired SessionEvent = "expired"
	// SessionClosed: the client resumed another session instead, before anybody
	// could hear of this one.
	SessionClosed SessionEvent = "closed"
)

// Valid reports whether e is one of the session events.
func (e SessionEvent) Valid() bool {
	switch e {
	case SessionOpened, SessionParked, SessionResumed, SessionExpired, SessionClosed:
		return true
	}
	return false
}
