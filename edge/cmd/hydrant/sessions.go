package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
)

// sessionsTimeout bounds one listing.
const sessionsTimeout = time.Minute

// runSessions lists the directory: who is where, and how far behind. It names sessions
// as logs do.
func runSessions(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("sessions", environmentHelp)
	limit := flags.Int("limit", 1000, "sessions to list at the most")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *limit < 1 {
		return fmt.Errorf("%w: -limit is below 1", errUsage)
	}
	ctx, cancel := context.WithTimeout(ctx, sessionsTimeout)
	defer cancel()
	ctx, denied := context.WithCancelCause(ctx)
	defer denied(nil)
	nc, err := connectNATS("hydrant-sessions", nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) { // what is denied is not answered
			denied(fmt.Errorf("%w; a node's user may not list sessions: take another, such as admin of deploy/nats", err))
		}
	}))
	if err != nil {
		return err
	}
	defer nc.Close()
	rows, err := store.ListSessions(ctx, nc, *limit)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, nats.ErrPermissionViolation) {
		return cause
	}
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tSTATE\tNODE\tBEHIND\tOPENED")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", r.SID.Short(), r.Entry.State, r.Entry.Node, r.Behind, time.Unix(r.Entry.Opened, 0).UTC().Format(time.RFC3339))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(rows) == *limit {
		fmt.Fprintf(out, "%d sessions; there may be more (-limit)\n", len(rows))
	}
	listTails(ctx, nc, out)
	return nil
}

// listTails says which nodes keep what comes for sessions that they have parked. Whom the
// servers do not let ask nodes is told nothing of it.
func listTails(ctx context.Context, nc *nats.Conn, out io.Writer) {
	d := discovery.New(nc)
	nodes, err := d.Nodes(ctx)
	told, denied := d.Vitals(ctx)
	if err != nil || denied != nil {
		return
	}
	for _, node := range nodes {
		var v scheme.NodeVitals
		if json.Unmarshal(told[node.NATS], &v) == nil && v.Tails > 0 {
			fmt.Fprintf(out, "node %s keeps what comes for %d parked sessions, %d bytes\n", node.ID, v.Tails, v.TailBytes)
		}
	}
}
