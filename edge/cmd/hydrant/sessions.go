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
	asJSON := flags.Bool("json", false, "print one JSON document: {\"sessions\": [], \"more\": false, \"tails\": []}")
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
	done := atWork(ctx, "asking NATS for sessions")
	rows, err := store.ListSessions(ctx, nc, *limit)
	done()
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, nats.ErrPermissionViolation) {
		return cause
	}
	if err != nil {
		return err
	}
	list := sessionList{Sessions: []sessionLine{}, More: len(rows) == *limit, Tails: tails(ctx, nc)}
	for _, r := range rows {
		list.Sessions = append(list.Sessions, sessionLine{r.SID.Short(), fmt.Sprint(r.Entry.State), string(r.Entry.Node), r.Behind, time.Unix(r.Entry.Opened, 0).UTC().Format(time.RFC3339)})
	}
	if *asJSON {
		return printJSON(out, list)
	}
	return list.print(out)
}

// sessionList is what `hydrant sessions` knows.
type sessionList struct {
	Sessions []sessionLine `json:"sessions"`
	More     bool          `json:"more"` // there may be: it is as long as -limit
	Tails    []tailLine    `json:"tails"`
}

type sessionLine struct {
	Session string `json:"session"` // as in logs
	State   string `json:"state"`
	Node    string `json:"node"`
	Behind  uint64 `json:"behind"`
	Opened  string `json:"opened"`
}

// tailLine is a node that keeps what comes for sessions that it has parked.
type tailLine struct {
	Node     string `json:"node"`
	Sessions int64  `json:"sessions"`
	Bytes    int64  `json:"bytes"`
}

func (l *sessionList) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tSTATE\tNODE\tBEHIND\tOPENED")
	for _, s := range l.Sessions {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", s.Session, s.State, s.Node, s.Behind, s.Opened)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if l.More {
		fmt.Fprintf(out, "%d sessions; there may be more (-limit)\n", len(l.Sessions))
	}
	for _, t := range l.Tails {
		fmt.Fprintf(out, "node %s keeps what comes for %d parked sessions, %d bytes\n", t.Node, t.Sessions, t.Bytes)
	}
	return nil
}

// printJSON prints one document.
func printJSON(out io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// tails are the nodes that keep what comes for sessions that they have parked. Whom the
// servers do not let ask nodes is told nothing of it.
func tails(ctx context.Context, nc *nats.Conn) []tailLine {
	list := []tailLine{}
	d := discovery.New(nc)
	nodes, err := d.Nodes(ctx)
	told, denied := d.Vitals(ctx)
	if err != nil || denied != nil {
		return list
	}
	for _, node := range nodes {
		var v scheme.NodeVitals
		if json.Unmarshal(told[node.NATS], &v) == nil && v.Tails > 0 {
			list = append(list, tailLine{node.ID, int64(v.Tails), int64(v.TailBytes)})
		}
	}
	return list
}
