package bus

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
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

// PublishEvent publishes a session event; a zero Time becomes now. See
// [Store.PublishAsync] for how long it can block.
func PublishEvent(nc *nats.Conn, e Event) error {
	subject, err := EventSubject(e.What, e.Session)
	if err != nil {
		return err
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("bus: event: %w", err)
	}
	return sendError(nc.Publish(subject, data))
}

// ParseEventMsg reads a session event. Kind and session are the subject's;
// contradictions in the text are errors.
func ParseEventMsg(m *nats.Msg) (Event, error) {
	what, sid, err := ParseEvent(m.Subject)
	if err != nil {
		return Event{}, err
	}
	var e Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return Event{}, fmt.Errorf("bus: event: %w", err)
	}
	if e.What != what || e.Session != sid {
		return Event{}, fmt.Errorf("bus: event: %w: %q", ErrBadSubject, m.Subject)
	}
	return e, nil
}
