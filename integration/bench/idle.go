package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hydrant/integration/harness"
)

// footprint is the memory of a node and of NATS.
type footprint struct{ private, heap, nats float64 }

// idle: sessions that do nothing.
func idle(ctx context.Context, b *bench) error {
	node, err := b.node(ctx, "a")
	if err != nil {
		return err
	}
	warm, err := b.fleet(node.Addr, 200, dial)
	resetAll(warm)
	if err != nil {
		return err
	}
	if err := parked(ctx, node, len(warm)); err != nil {
		return err
	}
	empty, err := b.settle(ctx, node)
	if err != nil {
		return err
	}
	return b.rests(ctx, "idle", node, dial, empty.private, func(r *row) error {
		now, err := b.settle(ctx, node)
		if err != nil {
			return err
		}
		each := float64(r.count)
		r.settled, r.heap, r.natsMemory = (now.private-empty.private)/each, (now.heap-empty.heap)/each, (now.nats-empty.nats)/each
		return b.profiled(node, r.name, 1, func() error { return nil })
	})
}

// rests measures the memory of clients that do nothing, beyond what the gateway
// takes without any. more, which may be nil, adds to each row.
func (b *bench) rests(ctx context.Context, name string, node *harness.Node, dial dialer, empty float64, more func(r *row) error) error {
	var sockets []*socket
	defer func() { resetAll(sockets) }()
	for _, n := range b.idle {
		come, err := b.fleet(node.Addr, n-len(sockets), dial)
		sockets = append(sockets, come...)
		if err != nil {
			return err
		}
		for _, s := range come {
			go func() { _, _ = s.next() }() // answers pings; ends with the socket
		}
		if err := pause(ctx, b.rest, nil); err != nil {
			return err
		}
		private, err := privateMemory(node.PID())
		if err != nil {
			return err
		}
		r := &row{name: name + ", " + strconv.Itoa(n), count: n, memory: (float64(private) - empty) / float64(n)}
		if more != nil {
			err = more(r)
		}
		if err := b.note(r, err); err != nil {
			return err
		}
	}
	return nil
}

// settle has the node collect its garbage and give back what it does not
// need, and returns what is left. The runtime gives memory back bit by bit:
// it has settled when it shrinks no more.
func (b *bench) settle(ctx context.Context, node *harness.Node) (footprint, error) {
	var f footprint
	for steady, rounds := 0, 0; steady < 3 && rounds < 20; rounds++ {
		profile, err := harness.Get(node.AdminHTTP("/debug/pprof/heap?gc=1&debug=1"))
		if err != nil {
			return f, err
		}
		if f.heap, err = statistic(profile, "HeapAlloc"); err != nil {
			return f, err
		}
		if err := pause(ctx, 200*time.Millisecond, nil); err != nil {
			return f, err
		}
		private, err := privateMemory(node.PID())
		if err != nil {
			return f, err
		}
		steady++
		if float64(private) < 0.995*f.private || f.private == 0 {
			steady = 0
		}
		f.private = float64(private)
	}
	nats, err := privateMemory(b.nats.Servers[0].PID())
	f.nats = float64(nats)
	return f, err
}

var errStatistic = errors.New("the heap profile lacks a statistic")

// statistic reads one of the memory statistics at the end of a heap profile.
func statistic(profile []byte, name string) (float64, error) {
	for line := range bytes.Lines(profile) {
		if rest, ok := bytes.CutPrefix(line, []byte("# "+name+" = ")); ok {
			return strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
		}
	}
	return 0, fmt.Errorf("%w: %s", errStatistic, name)
}
