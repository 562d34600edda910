package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"hydrant/integration/harness"
)

// Measurements that are set beside each other take turns, since what else the machine
// does changes with time.
const (
	turns    = 5
	pushRate = 10_000 // each second
)

// side is one of the things that are compared.
type side struct {
	name    string
	b       *bench
	node    *harness.Node
	sockets []*socket
	pusher  *publisher
}

// begin connects clients to a node, and a service that pushes to them.
func (x *side) begin(ctx context.Context, node string) (err error) {
	if x.node, err = x.b.node(ctx, node); err != nil {
		return err
	}
	if x.sockets, err = x.b.fleet(x.node.Addr, x.b.clients, dial); err != nil {
		return err
	}
	x.pusher, err = x.b.publisher()
	return err
}

// take takes the turns: a round trip at full speed, and pushes. The ratio of what one side
// costs to what the first one does is reported, as it is in the same turn.
func (b *bench) take(ctx context.Context, sides []*side, what string, cost func(*row) float64, most float64) error {
	kinds := []string{"service, full speed", fmt.Sprintf("push, %d/s", pushRate)}
	for turn := range turns {
		costs := make([][2]float64, len(sides))
		for i := range sides {
			if turn%2 == 1 {
				i = len(sides) - 1 - i
			}
			x := sides[i]
			for k, kind := range kinds {
				measure := func(name string) (*row, error) { return x.b.asked(ctx, name, x.node, x.sockets) }
				if k == 1 {
					measure = func(name string) (*row, error) {
						return x.b.pushed(ctx, name, x.node, x.sockets, pushRate, x.pusher.push, x.pusher.wait)
					}
				}
				r, err := measure(kind + ", " + x.name)
				if err := b.note(r, err); err != nil {
					return err
				}
				costs[i][k] = cost(r)
			}
		}
		for i, x := range sides[1:] {
			for k, kind := range kinds {
				b.report.ratio(fmt.Sprintf("%s, %s, %s : %s", kind, what, x.name, sides[0].name), costs[i+1][k]/max(costs[0][k], 1e-9), most)
			}
		}
	}
	return nil
}

// quotas compares nodes whose limits nobody meets with nodes that have none.
func (b *bench) quotas(ctx context.Context) error {
	env := b.env
	defer func() { b.env = env }()
	var sides []*side
	for _, limits := range [][3]string{{"no limits", "0", "0"}, {"limits", "1000000000", "1024GiB"}} {
		x := &side{name: limits[0], b: b}
		b.env = slices.Concat(env, []string{"EDGE_RATE_MESSAGES=" + limits[1], "EDGE_RATE_BYTES=" + limits[2]})
		if err := x.begin(ctx, x.name); err != nil {
			return err
		}
		defer resetAll(x.sockets)
		sides = append(sides, x)
	}
	return b.take(ctx, sides, "processor time of the node", (*row).node, 1.03)
}

// rights compares NATS servers on which everybody may do everything with those that
// `hydrant setup nats` has written.
func rights(ctx context.Context, b *bench) (err error) {
	var sides []*side
	defer func() {
		for _, x := range sides {
			resetAll(x.sockets)
			err = errors.Join(err, x.b.close())
		}
	}()
	for _, name := range []string{"no users", "shared account", "accounts"} {
		x := &side{name: name}
		if x.b, err = b.withUsers(ctx, name); err != nil {
			return err
		}
		sides = append(sides, x)
		if err := x.b.service(ctx); err != nil {
			return err
		}
		if err := x.begin(ctx, name); err != nil {
			return err
		}
	}
	whole := func(r *row) float64 { return r.node() + r.each(r.nats) + r.each(r.service) }
	return b.take(ctx, sides, "processor time of node, NATS and service", whole, 0)
}

// withUsers starts servers that are set up in one of these ways.
func (b *bench) withUsers(ctx context.Context, form string) (*bench, error) {
	if form == "no users" {
		return newBench(ctx, b.settings, b.report)
	}
	dir, err := os.MkdirTemp("", "hydrant-bench-")
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	bin, err := harness.Build()
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	run := func(env map[string]string, args ...string) error {
		cmd := exec.CommandContext(ctx, bin.Hydrant, args...)
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		text, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%v: %w: %s", args, err, text)
		}
		return err
	}
	args := []string{"setup", "nats", "-dir", dir, "-services", echoService + ",bench"}
	if form == "shared account" {
		args = append(args, "-shared")
	}
	if err := run(nil, args...); err != nil {
		return nil, errors.Join(err, remove())
	}
	other, err := newBenchOn(ctx, b.settings, b.report, harness.NATSOptions{Include: filepath.Join(dir, "accounts.conf")})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	other.users, other.ends = dir, append(other.ends, remove)
	env, err := other.login("setup")
	if err == nil {
		env["NATS_URL"] = other.nats.URL()
		err = run(env, "setup")
	}
	if err != nil {
		return nil, errors.Join(err, other.close())
	}
	return other, nil
}
