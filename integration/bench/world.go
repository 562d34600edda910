package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// echoService is the name of the example service in the measurements.
const echoService = "echo"

// bench is the servers of one group of measurements. Nodes and the service
// start when they are asked for.
type bench struct {
	settings
	report  *report
	limited bool   // nodes have their limits
	users   string // folder of the NATS users; empty: everybody may do everything

	nats   *harness.NATS
	broker []*harness.Process       // what the meter counts as NATS
	nodes  map[string]*harness.Node // and what stands in their place
	echo   *harness.Process
	web    *harness.Process // the service of requests by path; nil: none runs
	conns  []*nats.Conn
	ends   []func() error // of what runs on the connections
	tags   int            // that were used for mids
}

func newBench(ctx context.Context, s settings, r *report) (*bench, error) {
	return newBenchOn(ctx, s, r, harness.NATSOptions{})
}

func newBenchOn(ctx context.Context, s settings, r *report, o harness.NATSOptions) (*bench, error) {
	b := &bench{settings: s, report: r, nodes: make(map[string]*harness.Node)}
	var err error
	if b.nats, err = harness.StartNATS(ctx, o); err == nil {
		for _, server := range b.nats.Servers {
			b.broker = append(b.broker, server.Process)
		}
	}
	return b, err
}

// login is the environment of a NATS user.
func (b *bench) login(user string) (map[string]string, error) {
	env := make(map[string]string)
	if b.users == "" {
		return env, nil
	}
	text, err := os.ReadFile(filepath.Join(b.users, "users", user+".env"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	return env, nil
}

// node returns the node of that name.
func (b *bench) node(ctx context.Context, name string) (*harness.Node, error) {
	if n := b.nodes[name]; n != nil {
		return n, nil
	}
	// All clients come from a few addresses, at full speed: it is not the limits of
	// senders that are measured.
	env := map[string]string{"EDGE_RATE_MESSAGES": "0", "EDGE_RATE_BYTES": "0"}
	if b.limited {
		clear(env)
	}
	user, err := b.login("edge")
	if err != nil {
		return nil, err
	}
	maps.Copy(env, user)
	for _, pair := range b.env {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	n, err := harness.StartNode(ctx, harness.NodeOptions{Name: name, NATS: b.nats.URL(), Env: env})
	if err != nil {
		return nil, err
	}
	b.nodes[name] = n
	return n, nil
}

// service starts the echo service, and returns when it answers.
func (b *bench) service(ctx context.Context) error {
	user, err := b.login(echoService)
	if err != nil {
		return err
	}
	var env []string
	for name, value := range user {
		env = append(env, name+"="+value)
	}
	if b.echo, err = harness.StartEcho(b.nats.URL(), echoService, env...); err != nil {
		return err
	}
	nc, err := b.connectAs("admin", "bench-probe")
	if err != nil {
		return err
	}
	return harness.Until(ctx, func() error {
		_, err := nc.Request("$SRV.PING."+echoService, nil, time.Second)
		return err
	})
}

func (b *bench) connect(name string) (*nats.Conn, error) { return b.connectAs("bench", name) }

// connectAs connects as one of the users, if there are any.
func (b *bench) connectAs(user, name string) (*nats.Conn, error) {
	env, err := b.login(user)
	if err != nil {
		return nil, err
	}
	nc, err := bus.Connect(bus.Config{URL: b.nats.URL(), User: env["NATS_USER"], Password: env["NATS_PASSWORD"]}, name)
	if err == nil {
		b.conns = append(b.conns, nc)
	}
	return nc, err
}

var errLog = errors.New("the end of its log")

// explain returns what the nodes have to say after a failure.
func (b *bench) explain() error {
	var errs []error
	for name, n := range b.nodes {
		errs = append(errs, fmt.Errorf("node %s: %w:\n%s", name, errLog, n.Log.Tail(2048)))
	}
	return errors.Join(errs...)
}

func (b *bench) close() error {
	var errs []error
	for _, end := range b.ends {
		errs = append(errs, end())
	}
	for _, n := range b.nodes {
		n.Kill()
	}
	if b.echo != nil {
		b.echo.Kill()
	}
	for _, nc := range b.conns {
		nc.Close()
	}
	if b.nats != nil {
		errs = append(errs, b.nats.Stop())
	}
	return errors.Join(errs...)
}

// meter is the processor time of the servers since it was started.
type meter struct {
	pids  []int // of the nodes, this process, the broker, the service
	rest  int   // how many of them are the broker's
	start []time.Duration
	begun time.Time
}

// usage is what a meter has counted.
type usage struct {
	nodes   []time.Duration
	nats    time.Duration
	service time.Duration // 0: none ran
	clients time.Duration // this process, publishers included
	elapsed time.Duration
}

// meter starts to count, for these nodes, NATS, the clients, and the service if
// it runs.
func (b *bench) meter(nodes ...*harness.Node) (*meter, error) {
	m := &meter{rest: len(b.broker)}
	for _, n := range nodes {
		m.pids = append(m.pids, n.PID())
	}
	m.pids = append(m.pids, os.Getpid())
	for _, p := range b.broker {
		m.pids = append(m.pids, p.PID())
	}
	if b.echo != nil {
		m.pids = append(m.pids, b.echo.PID())
	}
	var err error
	m.start, err = m.read()
	m.begun = time.Now()
	return m, err
}

func (m *meter) read() ([]time.Duration, error) {
	times := make([]time.Duration, len(m.pids))
	var errs []error
	for i, pid := range m.pids {
		var err error
		times[i], err = processorTime(pid)
		errs = append(errs, err)
	}
	return times, errors.Join(errs...)
}

// stop returns what was used, given how many of the processes are nodes.
func (m *meter) stop(nodes int) (usage, error) {
	u := usage{elapsed: time.Since(m.begun)}
	now, err := m.read()
	if err != nil {
		return u, err
	}
	for i := range now {
		used := now[i] - m.start[i]
		switch {
		case i < nodes:
			u.nodes = append(u.nodes, used)
		case i == nodes:
			u.clients = used
		case i <= nodes+m.rest:
			u.nats += used
		default:
			u.service = used
		}
	}
	return u, nil
}

// profiled takes profiles of a node while do runs, if they are asked for: the
// processor's for that time, and the allocations since the node started.
func (b *bench) profiled(n *harness.Node, name string, seconds int, do func() error) error {
	if b.profile == "" || n.Admin == "" {
		return do()
	}
	file := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(name)
	save := func(kind, path string) error {
		body, err := harness.Get(n.AdminHTTP(path))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(b.profile, file+"."+kind+".pb.gz"), body, 0o644)
	}
	if err := errors.Join(os.MkdirAll(b.profile, 0o755), save("allocs-before", "/debug/pprof/allocs")); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- save("cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", min(max(1, seconds), 8))) }()
	err := do()
	return errors.Join(err, <-done, save("allocs", "/debug/pprof/allocs"), save("heap", "/debug/pprof/heap?gc=1"))
}
