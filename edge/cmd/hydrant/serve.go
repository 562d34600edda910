package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/kelseyhightower/envconfig"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/embedded"
	"hydrant/bus/scheme"
	"hydrant/edge"
	"hydrant/edge/internal/config"
)

// natsShutdown bounds how long the embedded NATS may take to stop.
const natsShutdown = 10 * time.Second

func runServe(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("serve", environmentHelp)
	if err := parse(flags, args); err != nil {
		return err
	}
	return serve(ctx, out, nil)
}

// serve runs a node with pages, if there are some, until ctx ends.
func serve(ctx context.Context, out io.Writer, pages map[string]http.Handler) error {
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
	if links := config.ServiceLinks(os.Environ()); len(links) > 0 {
		log.Info("passed over: variables that Kubernetes sets for Services; enableServiceLinks: false keeps them away", "variables", links)
	}
	options := edge.Options{Logger: log, LogLevel: level, TracerProvider: spans.provider(), Collectors: append(spans.collectors(), lines.lost), Pages: pages}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if natsConfig.URL == "" {
		own := &ownNATS{cfg: &cfg, log: log, out: out, fail: fail}
		defer own.stop()
		options.StartNATS = own.start
	}
	log.Info("starting", "version", edge.Version)
	node, err := edge.New(cfg, natsConfig, options)
	if err != nil {
		return err
	}
	go tendMemory(ctx)
	defer onDrainSignal(func() { node.Drain("SIGUSR1") })()
	err = node.Run(ctx)
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, embedded.ErrFailed) {
		return cause
	}
	return err
}

// ownNATS is the NATS server inside the process of a node.
type ownNATS struct {
	// Immutable.
	cfg  *config.Config
	log  *slog.Logger
	out  io.Writer               // is told how services reach it
	fail context.CancelCauseFunc // ends the node

	// Guarded by mu.
	mu     sync.Mutex
	server *embedded.Server // nil: not started, or stopped
	ended  bool
}

// patient is how long the server may take to open its store: as long as it needs.
// The node says that it waits for it, and stops when it is told to.
const patient = 365 * 24 * time.Hour

// start starts the server and returns its address.
func (o *ownNATS) start() (string, error) {
	server, err := embedded.Start(embedded.Options{
		DataDir: o.cfg.DataDir, Listen: o.cfg.NatsListen, Logger: o.log, ReadyTimeout: patient,
		MaxPayload: max(embedded.DefaultMaxPayload, embedded.PayloadFor(int(o.cfg.MaxMessage))), // cfg has checked it
	})
	if errors.Is(err, embedded.ErrDataDirInUse) {
		return "", fmt.Errorf("%w; to join the node that has it, set NATS_URL to its EDGE_NATS_LISTEN (nats://127.0.0.1:4222 by default)", err)
	}
	if err != nil {
		return "", fmt.Errorf("%w (see EDGE_DATA_DIR and EDGE_NATS_LISTEN, or set NATS_URL to use a server that runs already)", err)
	}
	o.mu.Lock()
	o.server = server
	late := o.ended
	o.mu.Unlock()
	if late { // the node was told to stop meanwhile
		o.stop()
	}
	go func() {
		if err := <-server.Failed(); err != nil {
			o.fail(err)
		}
	}()
	o.log.Info("embedded NATS", "url", server.URL(), "data", o.cfg.DataDir)
	fmt.Fprintf(o.out, "# for services: a secret, as in %s\nNATS_URL=%s\n", o.cfg.DataDir, server.URLFor(scheme.UserService))
	return server.URLFor(scheme.UserEdge), nil
}

// stop stops the server, if there is one.
func (o *ownNATS) stop() {
	o.mu.Lock()
	server := o.server
	o.server, o.ended = nil, true
	o.mu.Unlock()
	if server != nil {
		stopNATS(server, o.log)
	}
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
	nc, err := bus.Connect(cfg.As(scheme.UserEdge), name, opts...)
	if errors.Is(err, nats.ErrNoServers) {
		return nil, fmt.Errorf("%w; start a node (`hydrant serve`), or set NATS_URL", err)
	}
	return nc, err
}
