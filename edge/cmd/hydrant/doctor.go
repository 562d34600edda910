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
	asJSON := flags.Bool("json", false, "print one JSON document: {\"failed\": 0, \"checks\": [{\"verdict\", \"what\", \"detail\", \"fix\"}]}")
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
			return report(out, *asJSON, append(edge.Diagnose(ctx, cfg, natsConfig), store.Finding{Verdict: store.Warn, What: "NATS",
				Detail: "NATS_URL is empty, and no node with NATS inside runs at EDGE_NATS_LISTEN " + cfg.NatsListen + ", so there is nothing to look at",
				Fix:    "start a node, or set NATS_URL"}))
		}
		_ = conn.Close() // somebody listens
		natsConfig.URL = "nats://" + address
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	done := atWork(ctx, "checking; NATS takes its time to answer")
	checks := edge.Diagnose(ctx, cfg, natsConfig)
	done()
	return report(out, *asJSON, checks)
}

// checkLine is a check in JSON.
type checkLine struct {
	Verdict string `json:"verdict"` // ok, warn or FAIL
	What    string `json:"what"`
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"`
}

// report prints the checks, and is an error if one has failed.
func report(out io.Writer, asJSON bool, checks []store.Finding) error {
	list := struct {
		Failed int         `json:"failed"`
		Checks []checkLine `json:"checks"`
	}{Checks: []checkLine{}}
	for _, c := range checks {
		if c.Verdict == store.Fail {
			list.Failed++
		}
		list.Checks = append(list.Checks, checkLine{c.Verdict.String(), c.What, c.Detail, c.Fix})
		switch {
		case asJSON:
		case isTerminal(out):
			fmt.Fprint(out, wrapped("", "     ", c.String()))
		default: // a line each
			fmt.Fprintln(out, c)
		}
	}
	if asJSON {
		if err := printJSON(out, list); err != nil {
			return err
		}
	}
	if list.Failed > 0 {
		return fmt.Errorf("failed: %d of %d checks", list.Failed, len(checks))
	}
	return nil
}
