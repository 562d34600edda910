package deploy

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
)

// kitService runs a service of the kit, and ends it and its connection with the test.
func kitService(t *testing.T, nc *nats.Conn, name string, register func(*bus.Service) error) *bus.Service {
	t.Helper()
	t.Cleanup(nc.Close)
	s, err := bus.NewService(nc, bus.ServiceConfig{Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(register(s), s.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // before its connection is closed; it may have been stopped
	return s
}
