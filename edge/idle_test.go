package edge

import (
	"log/slog"
	"testing"

	"hydrant/bus"
)

// idle is a node that does not run, and needs no NATS.
func idle(t *testing.T, change func(*Config)) *Node {
	t.Helper()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	change(&cfg)
	n, err := New(cfg, bus.Config{}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cancel)
	t.Cleanup(n.pool.Stop)
	t.Cleanup(n.resumes.Stop)
	return n
}
