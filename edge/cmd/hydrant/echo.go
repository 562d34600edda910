package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/edge"
	"hydrant/edge/internal/config"
)

// stopService bounds how long a service may take over what it has begun.
const stopService = 10 * time.Second

func runEcho(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("echo", environmentHelp)
	name := flags.String("service", "echo", "name of the service")
	if err := parse(flags, args); err != nil {
		return err
	}
	if !scheme.ValidName(*name) {
		return fmt.Errorf("%w: -service: %q is not a service name ([A-Za-z0-9_-], at most 64)", errUsage, *name)
	}
	spans, err := startTracing(ctx, *name, slog.Default())
	if err != nil {
		return err
	}
	defer spans.stop()
	nc, err := awaitNATS(ctx, "hydrant-echo", out)
	if err != nil || nc == nil {
		return err
	}
	defer nc.Close()
	stop, err := startEcho(nc, *name)
	if err != nil {
		return err
	}
	gone := nc.StatusChanged(nats.CLOSED)
	fmt.Fprintf(out, "%s answers on %s; stop with Ctrl-C\n", *name, bus.Redacted(nc.ConnectedUrl()))
	select {
	case <-ctx.Done():
		return stop()
	case <-gone:
		_ = stop() // whatever cannot be done without a connection
		return fmt.Errorf("%w: %w", bus.ErrConnection, nc.LastError())
	}
}

// awaitNATS connects like a node: it waits for a server, and says so once for
// each reason why there is none. Only what no server can change is an error.
// Without a connection and an error, ctx has ended.
func awaitNATS(ctx context.Context, name string, out io.Writer) (*nats.Conn, error) {
	cfg, err := loadNATS()
	if err != nil {
		return nil, err
	}
	lost := nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
		if !nc.IsClosed() {
			fmt.Fprintln(out, "NATS connection lost; waiting for it")
		}
	})
	back := nats.ReconnectHandler(func(nc *nats.Conn) {
		fmt.Fprintln(out, "NATS connection is back:", bus.Redacted(nc.ConnectedUrl()))
	})
	said := ""
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		nc, err := bus.Connect(cfg, name, lost, back)
		if err == nil || errors.Is(err, bus.ErrConfig) {
			return nc, err
		}
		if said != err.Error() {
			said = err.Error()
			fmt.Fprintf(out, "waiting for NATS; start a node with `hydrant serve`, or set NATS_URL: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(wait):
		}
	}
}

// startEcho registers the example service. stop drains it.
func startEcho(nc *nats.Conn, name string) (stop func() error, err error) {
	service, err := bus.NewService(nc, bus.ServiceConfig{
		Name: name, Version: config.SemanticVersion(edge.Version), Description: "replies to every message with its body",
	})
	if err != nil {
		return nil, err
	}
	service.HandleAny(func(ctx context.Context, r *bus.Request) error {
		return r.Reply(ctx, r.Message.Body)
	})
	if err := service.Start(); err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopService)
		defer cancel()
		return service.Stop(ctx)
	}, nil
}
