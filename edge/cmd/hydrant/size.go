package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"hydrant/edge/internal/sizing"
)

const sizeHelp = `
One of the nodes, and one of the NATS servers unless it is alone, may fail. Half of the processors and two
fifths of the memory are left for what comes all at once. The prices were measured on one
kind of machine: measure yours with

	go run ./integration/bench -only prices
`

// runSize says what a load needs.
func runSize(_ context.Context, args []string, out io.Writer) error {
	flags := newFlags("size", sizeHelp)
	l := sizing.Load{}
	m := sizing.Machine{}
	flags.IntVar(&l.Sessions, "sessions", 10_000, "sessions, connected or away")
	flags.Float64Var(&l.Away, "away", 0.2, "share of them that is away, 0 to 1")
	flags.Float64Var(&l.Requests, "requests", 500, "requests to services each second, which are answered")
	flags.Float64Var(&l.Pushes, "pushes", 1000, "messages to sessions each second")
	flags.Float64Var(&l.Resumes, "resumes", 20, "sessions that come back each second")
	flags.IntVar(&l.Bytes, "bytes", 300, "of a message")
	flags.DurationVar(&l.TTL, "ttl", 24*time.Hour, "EDGE_SESSION_TTL")
	flags.IntVar(&l.Queue, "queue", 1000, "EDGE_QUEUE_LIMIT")
	flags.BoolVar(&l.Alone, "alone", false, "one NATS server, if it can carry that: when it fails all stands still, and what its disk had is lost with the disk")
	flags.Float64Var(&m.Cores, "cores", 4, "processors of a machine")
	memory := flags.Float64("memory", 8, "GiB of memory of a machine")
	asJSON := flags.Bool("json", false, "print JSON, memory and disk in bytes")
	if err := parse(flags, args); err != nil {
		return err
	}
	m.Memory = int64(*memory * (1 << 30))
	prices, err := sizing.Measured()
	if err != nil {
		return err
	}
	plan, err := sizing.Size(l, m, prices)
	switch {
	case errors.Is(err, sizing.ErrLoad):
		return fmt.Errorf("%w: %w", errUsage, err)
	case err != nil:
		return err
	case *asJSON:
		return printJSON(out, plan)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tMACHINES\tCORES USED\tMEMORY USED\tBESIDE")
	row := func(what string, machines int, n sizing.Need, beside string) {
		fmt.Fprintf(table, "%s\t%d\t%.2f\t%s\t%s\n", what, machines, n.Cores, gibibytes(n.Memory), beside)
	}
	row("edge", plan.Nodes, plan.Edge, fmt.Sprintf("%d sockets a node when one is gone", plan.Sockets))
	row("NATS", plan.Servers, plan.NATS, fmt.Sprintf("%s of disk on each", gibibytes(plan.Disk)))
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nEDGE_STREAM_REPLICAS=%d EDGE_MAILBOX_STREAMS=%d EDGE_STORE_BYTES=%s\n",
		plan.Copies, plan.Streams, mebibytes(plan.Store))
	return err
}

func gibibytes(n int64) string {
	if n < 1<<30 {
		return mebibytes(n)
	}
	return fmt.Sprintf("%.1fGiB", float64(n)/(1<<30))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.0fMiB", math.Ceil(float64(n)/(1<<20))) }
