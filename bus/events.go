package bus

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// ParseEventMsg reads a session event. Kind and session are the subject's;
// contradictions in the text are errors.
func ParseEventMsg(m *nats.Msg) (scheme.Event, error) {
	what, sid, err := scheme.ParseEventSubject(m.Subject)
	if err != nil {
		return scheme.Event{}, err
	}
	var e scheme.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return scheme.Event{}, fmt.Errorf("bus: event: %w", err)
	}
	if e.What != what || e.Session != sid {
		return scheme.Event{}, fmt.Errorf("bus: event: %w: %q", scheme.ErrBadSubject, m.Subject)
	}
	return e, nil
}
