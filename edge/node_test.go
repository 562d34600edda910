package edge

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"hydrant/bus"
)

// TestStopBeforeNATSAnswers: a node that is told to stop while it still waits
// for NATS ends without an error.
func TestStopBeforeNATSAnswers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "nats://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", ""
	node, err := New(cfg, bus.Config{URL: nowhere}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := node.Run(ctx); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if ready, reasons := node.readiness(true); ready || len(reasons) == 0 {
		t.Errorf("ready %v, reasons %v", ready, reasons)
	}
}
