package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge"
)

// stopService bounds how long a service may take over what it has begun.
const stopService = 10 * time.Second

func runEcho(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	name := flags.String("service", "echo", "name of the service")
	if err := parse(flags, args); err != nil {
		return err
	}
	spans, err := startTracing(ctx, *name, slog.Default())
	if err != nil {
		return err
	}
	defer spans.stop()
	nc, err := connectNATS("hydrant-echo")
	if err != nil {
		return err
	}
	defer nc.Close()
	stop, err := startEcho(nc, *name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s answers on %s; stop with Ctrl-C\n", *name, nc.ConnectedUrlRedacted())
	<-ctx.Done()
	return stop()
}

// startEcho registers the example service. stop drains it.
func startEcho(nc *nats.Conn, name string) (stop func() error, err error) {
	service, err := bus.NewService(nc, bus.ServiceConfig{
		Name: name, Version: edge.SemanticVersion(), Description: "replies to every message with its body",
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
