package scheme

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event tells services what happened to a session. Events are delivered at
// most once.
type Event struct {
	What    SessionEvent `json:"what"`
	Session SID          `json:"session"`
	// Node where it happened.
	Node NodeID `json:"node"`
	// Identity that the client proved; empty: none.
	Identity string `json:"identity,omitempty"`
	// Why, for parked, expired and closed: one word.
	Why  string    `json:"why,omitempty"`
	Time time.Time `json:"time"`
}

// ParseEvent reads an event from its subject and text. Kind and session are the
// subject's; a text that contradicts it is an error.
func ParseEvent(subject string, text []byte) (Event, error) {
	what, sid, err := ParseEventSubject(subject)
	if err != nil {
		return Event{}, err
	}
	var e Event
	if err := json.Unmarshal(text, &e); err != nil {
		return Event{}, fmt.Errorf("bus: event: %w", err)
	}
	if e.What != what || e.Session != sid {
		return Event{}, fmt.Errorf("bus: event: %w: %q", ErrBadSubject, subject)
	}
	if !validNodeID(string(e.Node)) {
		return Event{}, fmt.Errorf("bus: event: %w", badName(ErrBadNode, string(e.Node)))
	}
	return e, nil
}

// SessionEvent says what happened to a session.
type SessionEvent string

// The session events, published at most once, for services that care.
const (
	SessionOpened  SessionEvent = "opened"
	SessionParked  SessionEvent = "parked"
	SessionResumed SessionEvent = "resumed"
	// SessionExpired: its client did not come back in time, or the store has lost the session.
	// One whose node died in the session's first minute ends without a word.
	SessionExpired SessionEvent = "expired"
	// SessionClosed: the client resumed another session instead, before any
	// service could hear of this one.
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
