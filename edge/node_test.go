package edge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/wire"
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
	if ready, reasons := node.ready.reasons(true); ready || len(reasons) == 0 {
		t.Errorf("ready %v, reasons %v", ready, reasons)
	}
}

// TestStopWhileTheStoreOpens: to be told to stop is no fault of NATS, and nothing
// is tried again.
func TestStopWhileTheStoreOpens(t *testing.T) {
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	node, err := New(cfg, bus.Config{}, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.cancel)
	t.Cleanup(node.pool.Stop)
	t.Cleanup(node.resumes.Stop)
	l := &uplink{conn: connected(t)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := node.openStore(ctx, l); !errors.Is(err, context.Canceled) || strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%v, and in the log:\n%s", err, &log)
	}
}

// TestReconnectWhileItConnects: nats.go may tell of the second connection before
// the node has taken the first from it, as when the process is frozen between.
func TestReconnectWhileItConnects(t *testing.T) {
	n, nc := idle(t, func(*Config) {}), new(nats.Conn)
	n.onDisconnect(nc, nats.ErrStaleConnection)
	n.onReconnect(&uplink{}, nc)
	if !n.nats.connected.Load() || n.nats.maxPayload.Load() != nc.MaxPayload()-headerRoom {
		t.Errorf("connected %v, largest message %d", n.nats.connected.Load(), n.nats.maxPayload.Load())
	}
}

// TestListenAddressInUse: a node that cannot listen leaves nothing running.
func TestListenAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.AdminListen, cfg.MailboxStreams = taken.Addr().String(), "", 1
	n, err := New(cfg, bus.Config{URL: connected(t).ConnectedUrl()}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run returned %v", err)
	}
	for _, l := range n.server.Loops() {
		if l.Post(func() {}) {
			t.Error("a loop runs")
		}
	}
}

// TestConnectionsWithinDescriptors: without a bound of its own a node takes no
// more sockets than leave descriptors for NATS, and for telling how it is.
func TestConnectionsWithinDescriptors(t *testing.T) {
	o, err := idle(t, func(*Config) {}).wireOptions()
	if err != nil {
		t.Fatal(err)
	}
	limit, ok := config.DescriptorLimit()
	if ok != (o.MaxConnections > 0) {
		t.Errorf("%d connections, with a limit of %d descriptors, %v", o.MaxConnections, limit, ok)
	}
	for _, limit := range []uint64{1, 64, 256, 576, 577, 1024, 4096, 1 << 20, 1 << 40, math.MaxUint64} {
		n := mostConnections(limit)
		if n < 1 || n > math.MaxInt32 || uint64(n) > limit {
			t.Errorf("limit %d: %d connections", limit, n)
		}
		if sockets := uint64(n + wire.Reserve(n)); limit >= 1024 && sockets+spareDescriptors > limit {
			t.Errorf("limit %d: %d sockets", limit, sockets)
		}
		if limit >= 4096 && limit < 1<<30 && uint64(n) < limit*3/4 {
			t.Errorf("limit %d: no more than %d connections", limit, n)
		}
	}
	if o, err := idle(t, func(cfg *Config) { cfg.MaxHead = 9 << 10 }).wireOptions(); err != nil || o.MaxHandshake != 9<<10 {
		t.Errorf("heads of %d bytes, %v", o.MaxHandshake, err)
	}
	if o, err := idle(t, func(cfg *Config) { cfg.MaxConnections = 7 }).wireOptions(); err != nil || o.MaxConnections != 7 {
		t.Errorf("%d connections where 7 are set, %v", o.MaxConnections, err)
	}
}

// TestRulesOfAProgram: a program that embeds a node is told what is no rule set.
func TestRulesOfAProgram(t *testing.T) {
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Policy = `{"services":"all"}`
	if n, err := New(cfg, bus.Config{}, Options{}); n != nil || !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "EDGE_POLICY") {
		t.Errorf("%v, %v", n, err)
	}
}
