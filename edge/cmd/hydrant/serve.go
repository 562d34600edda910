package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/kelseyhightower/envconfig"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/edge"
	"hydrant/edge/internal/config"
)

// natsShutdown bounds how long the embedded NATS may take to stop.
const natsShutdown = 10 * time.Second

func runServe(ctx context.Context, args []string, _ io.Writer) error {
	flags := newFlags("serve", environmentHelp)
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, natsConfig, err := loadNode()
	if err != nil {
		return err
	}
	// Who reads the log may end first, as at Ctrl-C for `hydrant serve 2>&1 | tee`.
	// A write to it is then to fail, and not to end the node without a drain.
	signal.Ignore(syscall.SIGPIPE)
	level := new(slog.LevelVar)
	level.Set(cfg.LogLevel.Level())
	log, lines := newLogger(&cfg, level, os.Stderr)
	defer lines.close()
	limitMemory(log)
	spans, err := startTracing(ctx, "hydrant", log)
	if err != nil {
		return err
	}
	defer spans.stop()
	if natsConfig.URL == "" {
		server, err := embedded.Start(embedded.Options{
			DataDir: cfg.DataDir, Listen: cfg.NatsListen, Logger: log,
			MaxPayload: max(embedded.DefaultMaxPayload, int32(cfg.MaxMessage)+embedded.Room), // cfg has checked it
		})
		if errors.Is(err, embedded.ErrDataDirInUse) {
			return fmt.Errorf("%w; to join the node that has it, set NATS_URL to its EDGE_NATS_LISTEN (nats://127.0.0.1:4222 by default)", err)
		}
		if err != nil {
			return fmt.Errorf("%w (see EDGE_DATA_DIR and EDGE_NATS_LISTEN, or set NATS_URL to use a server that runs already)", err)
		}
		defer stopNATS(server, log)
		natsConfig.URL = server.URL()
		log.Info("embedded NATS", "url", server.URL(), "data", cfg.DataDir)
	}
	node, err := edge.New(cfg, natsConfig, edge.Options{Logger: log, LogLevel: level, TracerProvider: spans.provider(), Collectors: append(spans.collectors(), lines.lost)})
	if err != nil {
		return err
	}
	go tendMemory(ctx)
	defer onDrainSignal(func() { node.Drain("SIGUSR1") })()
	return node.Run(ctx)
}

// memoryRatio is the part of the memory that the process may use; the rest is
// for the kernel's socket buffers.
const memoryRatio = 0.8

// limitMemory bounds the process by the memory of its container, or else of
// the machine, unless GOMEMLIMIT is set: near the limit a node sheds clients
// instead of being killed.
func limitMemory(log *slog.Logger) {
	there := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)
	if _, err := memlimit.Set(memlimit.WithRatio(memoryRatio), memlimit.WithProvider(there)); err != nil {
		log.Warn("no memory limit; set GOMEMLIMIT", "error", err)
	}
}

func stopNATS(server *embedded.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), natsShutdown)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("embedded NATS did not stop in time", "error", err)
	}
}

// loadNode reads all settings of a node.
func loadNode() (config.Config, bus.Config, error) {
	cfg, err := config.Load()
	if err != nil {
		return cfg, bus.Config{}, err
	}
	natsConfig, err := loadNATS()
	return cfg, natsConfig, err
}

// loadNATS reads the NATS_ settings.
func loadNATS() (bus.Config, error) {
	var cfg bus.Config
	if err := envconfig.Process("", &cfg); err != nil {
		return cfg, fmt.Errorf("%w: %w", bus.ErrConfig, err)
	}
	return cfg, nil
}

// connectNATS connects a tool. Unlike a node it does not wait for a server.
func connectNATS(name string, opts ...nats.Option) (*nats.Conn, error) {
	cfg, err := loadNATS()
	if err != nil {
		return nil, err
	}
	nc, err := bus.Connect(cfg, name, opts...)
	if errors.Is(err, nats.ErrNoServers) {
		return nil, fmt.Errorf("%w; start a node (`hydrant serve`), or set NATS_URL", err)
	}
	return nc, err
}
