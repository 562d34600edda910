package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge"
)

// setupTimeout bounds the work on streams: a cluster takes its time to make many.
const setupTimeout = 2 * time.Minute

// runSetup makes what nodes need in NATS; `setup nats` writes what servers need.
func runSetup(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "nats" {
		return runSetupNATS(args[1:], out)
	}
	flags := newFlags("setup", "\n`hydrant setup nats -h`: the configuration of the NATS servers.\n"+environmentHelp)
	list := flags.String("queues", "", "services that have a work queue, comma separated; others are refused work")
	if err := parse(flags, args); err != nil {
		return err
	}
	queues, err := parseServices("-queues", *list)
	if err != nil {
		return err
	}
	cfg, natsConfig, err := loadNode()
	if err != nil {
		return err
	}
	if natsConfig.URL == "" {
		return fmt.Errorf("%w: NATS_URL is empty: a node with NATS inside sets that up by itself", errUsage)
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	done := atWork(ctx, "making streams")
	found, err := edge.Setup(ctx, cfg, natsConfig, queues)
	done()
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintln(out, f)
	}
	_, err = fmt.Fprintf(out, "%d streams are as nodes of this configuration need them; %d work queues\n",
		len(scheme.StreamNames(cfg.MailboxStreams)), len(queues))
	return err
}

// parseServices reads a list of names.
func parseServices(flag, list string) (services []scheme.Service, err error) {
	if list == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		service, err := scheme.ParseService(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, flag, err)
		}
		services = append(services, service)
	}
	return services, nil
}
