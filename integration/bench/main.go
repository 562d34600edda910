package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"hydrant/integration/harness"
)

// settings say how much is measured.
type settings struct {
	only     []string // names of groups; empty: all
	rounds   int
	duration time.Duration // of one measurement at a rate or at full speed
	clients  int           // of the message measurements
	inFlight int           // messages of each of them that are on the way
	sessions int           // pushed to
	connects int
	resumes  []queue
	parallel int           // connects and resumes that are under way at a time
	rates    []int         // of pushes, each second
	asks     int           // requests, each second
	idle     []int         // sessions, ascending
	rest     time.Duration // before idle sessions are measured
	settled  time.Duration // for which nodes have run before sessions come to them
	sizes    []size        // that hydrant size is checked against
	profile  string
	env      []string // further variables of the nodes
}

// queue is a resume measurement: sessions with messages that wait for each.
type queue struct{ sessions, messages int }

func (q queue) String() string { return fmt.Sprintf("%d × %d", q.sessions, q.messages) }

func full() settings {
	return settings{
		rounds: 1, duration: 3 * time.Second, clients: 50, inFlight: 16, sessions: 1000, connects: 3000,
		resumes: []queue{{1000, 100}, {10_000, 10}, {10_000, 0}}, parallel: 128, rates: []int{2000, 20_000}, asks: 2000, idle: []int{5000, 15_000}, rest: 5 * time.Second, settled: 12 * time.Second,
		sizes: []size{{2000, 200, 500}, {6000, 1000, 2000}, {15_000, 1500, 5000}},
	}
}

func quick() settings {
	return settings{
		rounds: 1, duration: 200 * time.Millisecond, clients: 8, inFlight: 4, sessions: 50, connects: 100,
		resumes: []queue{{40, 25}}, parallel: 16, rates: []int{1000}, asks: 2000, idle: []int{200}, rest: 100 * time.Millisecond,
		sizes: []size{{40, 100, 200}},
	}
}

// group is a set of measurements on servers of their own.
type group struct {
	name  string
	run   func(ctx context.Context, b *bench) error
	asked bool // only if -only names it
}

var groups = []group{
	{"floor", floor, false}, {"relay", relayed, false}, {"ping", ping, false}, {"service", service, false},
	{"client", clientToClient, false}, {"connect", connect, false}, {"push", push, false}, {"resume", resume, false}, {"killed", killed, false},
	{"idle", idle, false}, {"path", path, false}, {"library", library, true}, {"bodies", bodies, true}, {"centrifugo", centrifugo, true}, {"checks", checks, true}, {"attack", attack, true},
	{"prices", prices, true}, {"sizes", sizes, true},
}

func main() {
	relayProcess(os.Args)
	attackProcess(os.Args)
	webProcess(os.Args)
	bodiesProcess(os.Args)
	burnProcess(os.Args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	code := 0
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	for _, fault := range harness.Shutdown() {
		fmt.Fprintln(os.Stderr, "bench:", fault)
		code = 1
	}
	os.Exit(code)
}

// run measures what args ask for and prints the report to out. The caller
// ends what is left with [harness.Shutdown].
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	r := newReport()
	var errs []error
	for range s.rounds {
		for _, g := range groups {
			if named := slices.Contains(s.only, g.name); !named && (g.asked || len(s.only) > 0) {
				continue
			}
			if err := measure(ctx, g, s, r); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", g.name, err))
			}
		}
	}
	fmt.Fprintln(out, "nodes have no EDGE_RATE_MESSAGES and EDGE_RATE_BYTES, but under attack")
	r.print(out)
	r.printChecks(out)
	r.printRatios(out)
	if r.prices != nil {
		fmt.Fprintf(out, "%s\n", r.prices)
	}
	return errors.Join(append(errs, r.faults()...)...)
}

func parse(args []string) (settings, error) {
	s := full()
	if slices.Contains(args, "-quick") || slices.Contains(args, "--quick") {
		s = quick()
	}
	var only, env, queues string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Bool("quick", false, "a few seconds: does it work, not how fast")
	flags.StringVar(&only, "only", "", "groups to measure, separated by commas; empty: all")
	flags.IntVar(&s.rounds, "rounds", s.rounds, "repeat everything and show medians")
	flags.DurationVar(&s.duration, "time", s.duration, "time of one measurement at a rate or at full speed")
	flags.IntVar(&s.clients, "clients", s.clients, "clients of the message measurements")
	flags.IntVar(&s.inFlight, "in-flight", s.inFlight, "messages on the way of each of them, at full speed")
	flags.IntVar(&s.sessions, "sessions", s.sessions, "sessions that are pushed to")
	flags.IntVar(&s.connects, "connects", s.connects, "clients of the connect measurement")
	flags.IntVar(&s.parallel, "parallel", s.parallel, "connects and resumes under way at a time")
	flags.StringVar(&queues, "resumes", "", "resume measurements, SESSIONSxMESSAGES separated by commas")
	flags.StringVar(&s.profile, "profile", "", "directory for processor and allocation profiles of the nodes; they cost a little themselves")
	flags.StringVar(&env, "env", "", "variables of the nodes, NAME=VALUE separated by commas")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.only, s.env = list(only), list(env)
	if queues != "" {
		s.resumes = nil
		for _, text := range list(queues) {
			var q queue
			if _, err := fmt.Sscanf(text, "%dx%d", &q.sessions, &q.messages); err != nil {
				return s, fmt.Errorf("-resumes %q: %w", text, err)
			}
			s.resumes = append(s.resumes, q)
		}
	}
	for _, name := range s.only {
		if !slices.ContainsFunc(groups, func(g group) bool { return g.name == name }) {
			return s, fmt.Errorf("-only: no group %q", name)
		}
	}
	return s, nil
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// measure runs one group on new servers.
func measure(ctx context.Context, g group, s settings, r *report) error {
	b, err := newBench(ctx, s, r)
	if err == nil {
		err = g.run(ctx, b)
	}
	if err != nil {
		err = errors.Join(err, b.explain())
	}
	return errors.Join(err, b.close())
}
