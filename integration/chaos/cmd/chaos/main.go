// Command chaos runs Hydrant under faults and judges what came of it, or
// judges a history that is there already.
//
//	chaos [-duration 60s] [-seed N] [-seeds 10] [-nats 1|3] [-queue N] [-sync] [-netns=false] [-history FILE]
//	chaos -scenario deposed-directory [-times 20] [-seed N]
//	chaos -recovery [-clients 2000] [-into deploy/README.md]
//	chaos -check FILE
//
// NATS servers and nodes get network namespaces of their own, where this process
// may make some: it takes Linux, root, iproute2 and nftables. Elsewhere, or with
// -netns=false, everything is on loopback, and the faults that need a network are
// left out.
//
// It exits 0 only if no promise was broken, and every fault had its effect.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"hydrant/integration/chaos"
	"hydrant/integration/chaos/check"
	"hydrant/integration/harness"
)

var errBroken = errors.New("promises were broken")

func main() {
	o := flags()
	if o.judge == "" && o.namespaces {
		ours, status, err := harness.Isolate()
		switch {
		case errors.Is(err, harness.ErrNoNamespaces):
			fmt.Fprintf(os.Stderr, "chaos: everything is on loopback, without the faults that need a network: %v\n", err)
		case err != nil:
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		case !ours:
			os.Exit(status)
		}
		o.Network = ours
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	for _, fault := range harness.Shutdown() {
		err = errors.Join(err, errors.New(fault))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	chaos.Config
	namespaces bool
	seeds      int
	path       string
	judge      string
	recovery   bool
	into       string
	verbose    bool
}

func flags() (o options) {
	flag.DurationVar(&o.Duration, "duration", 60*time.Second, "how long faults are made")
	flag.Uint64Var(&o.Seed, "seed", harness.Seed(), "the first seed")
	flag.IntVar(&o.seeds, "seeds", 1, "how many runs, each with the next seed")
	flag.IntVar(&o.seeds, "times", 1, "the same")
	flag.IntVar(&o.Servers, "nats", 1, "NATS servers, 1 or 3")
	flag.IntVar(&o.Nodes, "nodes", 0, "edge nodes; 0: 4")
	flag.IntVar(&o.Clients, "clients", 0, "clients that are harmed; 0: 300, in a scenario 60")
	flag.IntVar(&o.Queue, "queue", 0, "bound of a mailbox; 0: one that is never reached")
	flag.StringVar((*string)(&o.Tails), "tails", "", "what nodes keep for parked sessions: short (1 s, 64 KiB), off; empty: as they do by themselves")
	flag.IntVar(&o.Rate, "rate", 0, "published messages a second; 0: 1000, in a scenario 200")
	flag.BoolVar(&o.Sync, "sync", false, "the NATS servers sync every write to their disks")
	flag.BoolVar(&o.namespaces, "netns", true, "servers and nodes in network namespaces of their own")
	flag.BoolVar(&o.Clocks, "clocks", true, "with namespaces: build the nodes so that their clocks can be set, which takes a minute the first time")
	names, about := chaos.Scenarios()
	text := "play one chain of events instead of faults at random:"
	for _, name := range names {
		text += "\n" + name + ": " + about[name]
	}
	flag.StringVar(&o.Scenario, "scenario", "", text)
	flag.StringVar(&o.path, "history", "", "keep the history of the last run in this file")
	flag.StringVar(&o.judge, "check", "", "judge this history and run nothing")
	flag.BoolVar(&o.recovery, "recovery", false, "measure how long sessions need to come back from each fault, and print a table")
	flag.StringVar(&o.into, "into", "", "with -recovery: put the table into this file, in the place of the one that is there")
	flag.BoolVar(&o.verbose, "v", false, "print every fault")
	flag.Parse()
	return o
}

func run(ctx context.Context, o options) error {
	if o.judge != "" {
		return judgeFile(o.judge)
	}
	if o.verbose {
		start := time.Now()
		o.Log = func(format string, args ...any) {
			fmt.Printf("%8.3f "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
		}
	}
	if o.recovery {
		table, err := recoveries(ctx, o.Config)
		if err == nil && o.into != "" {
			err = into(o.into, table)
		}
		return err
	}
	broken := 0
	for range o.seeds {
		err := one(ctx, o.Config, o.path)
		switch {
		case errors.Is(err, errBroken):
			broken++
		case err != nil:
			return err
		}
		o.Seed++
	}
	if broken > 0 {
		return fmt.Errorf("%w in %d of %d runs", errBroken, broken, o.seeds)
	}
	return nil
}

// recoveries prints the table, and returns it. A fault that cannot be made here is left
// out.
func recoveries(ctx context.Context, cfg chaos.Config) (table string, err error) {
	if cfg.Clients == 0 {
		cfg.Clients = 2000
	}
	cfg.Nodes, cfg.Rate, cfg.Clocks = 3, 300, false
	var errs []error
	line := func(text string) {
		fmt.Println(text)
		table += text + "\n"
	}
	line(chaos.RecoveryHead)
	for _, fault := range chaos.Recoveries() {
		r, err := chaos.Recover(ctx, cfg, fault)
		switch {
		case errors.Is(err, harness.ErrNoNamespaces):
			fmt.Fprintln(os.Stderr, "left out:", err)
			continue
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", fault, err))
			if r.Live == 0 {
				continue // not even made
			}
		}
		line(r.Row())
		if err == nil && r.Lost+r.Broken > 0 {
			errs = append(errs, fmt.Errorf("%w: %s: %d messages lost, %d others", errBroken, fault, r.Lost, r.Broken))
		}
	}
	return table, errors.Join(errs...)
}

// one performs a run. The history of one that breaks a promise is kept.
func one(ctx context.Context, cfg chaos.Config, path string) error {
	file, err := os.CreateTemp("", fmt.Sprintf("chaos-%d-*.jsonl", cfg.Seed))
	if path != "" {
		if err == nil {
			err = errors.Join(file.Close(), os.Remove(file.Name()))
		}
		if err == nil {
			file, err = os.Create(path)
		}
	}
	if err != nil {
		return err
	}
	cfg.History = file
	if err := chaos.Run(ctx, cfg); err != nil {
		return errors.Join(fmt.Errorf("%w; as far as it got: %s", err, file.Name()), file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := judgeFile(file.Name()); err != nil {
		return fmt.Errorf("%w; its history is %s", err, file.Name())
	}
	if path == "" {
		return os.Remove(file.Name())
	}
	return nil
}

func judgeFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return report(file)
}

// printed bounds what is printed of one run.
const printed = 40

func report(history io.Reader) error {
	r, err := check.History(history)
	if err != nil {
		return err
	}
	fmt.Println(r)
	for _, v := range r.Violations[:min(printed, len(r.Violations))] {
		fmt.Println("  ", v)
	}
	if len(r.Violations) > 0 {
		return errBroken
	}
	return nil
}
