package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"hydrant/bus"
)

// sessionsTimeout bounds one listing.
const sessionsTimeout = time.Minute

// runSessions lists the directory: who is where, and how far behind.
func runSessions(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("sessions", environmentHelp)
	limit := flags.Int("limit", 1000, "sessions to list at the most")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *limit < 1 {
		return fmt.Errorf("%w: -limit is below 1", errUsage)
	}
	nc, err := connectNATS("hydrant-sessions")
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, sessionsTimeout)
	defer cancel()
	rows, err := bus.ListSessions(ctx, nc, *limit)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tSTATE\tNODE\tBEHIND\tOPENED")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", r.SID, r.Entry.State, r.Entry.Node, r.Behind, r.Entry.Opened.Format(time.RFC3339))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(rows) == *limit {
		fmt.Fprintf(out, "%d sessions; there may be more (-limit)\n", len(rows))
	}
	return nil
}
