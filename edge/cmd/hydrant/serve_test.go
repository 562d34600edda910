package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"hydrant/bus/embedded"
	"hydrant/edge/internal/config"
)

// TestOwnNATSFails: a node whose own NATS stores nothing any more ends, and says why.
func TestOwnNATSFails(t *testing.T) {
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg.DataDir, cfg.NatsListen = t.TempDir(), "127.0.0.1:0"
	ctx, fail := context.WithCancelCause(t.Context())
	own := &ownNATS{cfg: &cfg, log: slog.New(slog.DiscardHandler), out: io.Discard, fail: fail}
	if _, err := own.start(); err != nil {
		t.Fatal(err)
	}
	defer own.stop()
	if err := own.server.NATS().DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, embedded.ErrFailed) {
		t.Errorf("the node ends with %v", cause)
	}
}
