// Command bench measures whole Hydrant nodes: real processes on loopback, the
// CPU of each read from /proc, because on a shared machine CPU per message says
// more than time.
//
//	go run ./integration/bench                      # everything, about a minute
//	go run ./integration/bench -only service,push   # some of it
//
// The clients run in this process; their cost is not counted. Each line shows
// the goal of the design, where there is one, beside what was measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"
)

// options are the flags.
type options struct {
	only     string
	duration time.Duration
	clients  int
	inFlight int
	sessions int
	idle     int
}

// a benchmark adds its figures to the report.
type benchmark struct {
	name string
	run  func(ctx context.Context, w *world, o options, r *report) error
}

var benchmarks = []benchmark{
	{"ping", ping}, {"service", service}, {"rate", serviceAtRate}, {"client", clientToClient},
	{"connect", connect}, {"push", push}, {"resume", resume}, {"idle", idle},
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "benchmarks to run, separated by commas; empty: all")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "time of each measurement at a rate or at full speed")
	flag.IntVar(&o.clients, "clients", 50, "clients of the message benchmarks")
	flag.IntVar(&o.inFlight, "in-flight", 16, "messages that each of them has under way")
	flag.IntVar(&o.sessions, "sessions", 1000, "sessions of the connect, push and resume benchmarks")
	flag.IntVar(&o.idle, "idle", 5000, "idle sessions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	chosen := map[string]bool{}
	for name := range strings.SplitSeq(o.only, ",") {
		chosen[name] = true
	}
	r := &report{table: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(r.table, "MEASUREMENT\tFIGURE\tGOAL")
	var errs []error
	for _, b := range benchmarks {
		if o.only != "" && !chosen[b.name] {
			continue
		}
		if err := runOne(ctx, b, o, r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.name, err))
		}
	}
	return errors.Join(append(errs, r.table.Flush())...)
}

// runOne gives each benchmark servers of its own.
func runOne(ctx context.Context, b benchmark, o options, r *report) (err error) {
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	return b.run(ctx, w, o, r)
}

// report collects the figures.
type report struct{ table *tabwriter.Writer }

func (r *report) add(name, figure, goal string) { fmt.Fprintf(r.table, "%s\t%s\t%s\n", name, figure, goal) }

// perMessage formats CPU time for each of n messages.
func perMessage(cpu time.Duration, n int) string {
	if n == 0 {
		return "no message"
	}
	return fmt.Sprintf("%.1f µs", float64(cpu.Nanoseconds())/float64(n)/1000)
}
