package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"hydrant/bus"
	"hydrant/bus/store"
	"hydrant/edge"
)

// doctorTimeout bounds the whole examination.
const doctorTimeout = time.Minute

// runDoctor checks what a node of this configuration would find.
func runDoctor(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("doctor", environmentHelp)
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, natsConfig, err := loadNode()
	if err != nil {
		return err
	}
	if natsConfig.URL == "" {
		address, err := localAddress(cfg.NatsListen)
		if err != nil {
			return err
		}
		conn, err := net.DialTimeout("tcp", address, bus.BlockTimeout)
		if err != nil {
			return report(out, append(edge.Diagnose(ctx, cfg, natsConfig), store.Finding{Verdict: store.Warn, What: "NATS",
				Detail: "NATS_URL is empty, and no node with NATS inside runs at EDGE_NATS_LISTEN " + cfg.NatsListen + ", so there is nothing to look at",
				Fix:    "start a node, or set NATS_URL"}))
		}
		_ = conn.Close() // somebody listens
		natsConfig.URL = "nats://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	return report(out, edge.Diagnose(ctx, cfg, natsConfig))
}

// report prints the checks, and is an error if one has failed.
func report(out io.Writer, checks []store.Finding) error {
	failed := 0
	for _, c := range checks {
		if c.Verdict == store.Fail {
			failed++
		}
		fmt.Fprintln(out, c)
	}
	if failed > 0 {
		return fmt.Errorf("failed: %d of %d checks", failed, len(checks))
	}
	return nil
}
