// Command chaos runs Hydrant under faults and judges what came of it, or
// judges a history that is there already.
//
//	chaos [-duration 60s] [-seed N] [-seeds 10] [-nats 1|3] [-queue N] [-history FILE]
//	chaos -check FILE
//
// It exits 0 only if no promise was broken.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	for _, fault := range harness.Shutdown() {
		err = errors.Join(err, errors.New(fault))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		cfg     chaos.Config
		seeds   = flag.Int("seeds", 1, "how many runs, each with the next seed")
		path    = flag.String("history", "", "keep the history of the last run in this file")
		judge   = flag.String("check", "", "judge this history and run nothing")
		verbose = flag.Bool("v", false, "print every fault")
	)
	flag.DurationVar(&cfg.Duration, "duration", 60*time.Second, "how long faults are made")
	flag.Uint64Var(&cfg.Seed, "seed", harness.Seed(), "the first seed")
	flag.IntVar(&cfg.Servers, "nats", 1, "NATS servers, 1 or 3")
	flag.IntVar(&cfg.Nodes, "nodes", 0, "edge nodes; 0: 4")
	flag.IntVar(&cfg.Clients, "clients", 0, "clients that are harmed; 0: 300")
	flag.IntVar(&cfg.Queue, "queue", 0, "bound of a mailbox; 0: one that is never reached")
	flag.IntVar(&cfg.Rate, "rate", 0, "published messages a second; 0: 1000")
	flag.Parse()
	if *judge != "" {
		return judgeFile(*judge)
	}
	if *verbose {
		start := time.Now()
		cfg.Log = func(format string, args ...any) {
			fmt.Printf("%8.3f "+format+"\n", append([]any{time.Since(start).Seconds()}, args...)...)
		}
	}
	broken := 0
	for range *seeds {
		err := one(ctx, cfg, *path)
		switch {
		case errors.Is(err, errBroken):
			broken++
		case err != nil:
			return err
		}
		cfg.Seed++
	}
	if broken > 0 {
		return fmt.Errorf("%w in %d of %d runs", errBroken, broken, *seeds)
	}
	return nil
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
		return errors.Join(err, file.Close())
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
