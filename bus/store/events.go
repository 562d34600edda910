package store

import (
	"encoding/json"
	"fmt"
	"time"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Publisher publishes at most once. A connection of nats.go is one.
type Publisher interface {
	Publish(subject string, data []byte) error
}

// PublishEvent publishes a session event; a zero Time becomes now. See
// [Store.PublishAsync] for how long it can block.
func PublishEvent(nc Publisher, e scheme.Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("bus: event: %w", err)
	}
	return jet.SendError(nc.Publish(scheme.EventSubject(e.What, e.Session), data))
}
