package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"hydrant/integration/harness"
)

// size is a load that hydrant size is checked against.
type size struct{ sessions, requests, pushes int }

// plan is what hydrant size -json says, as far as it can be measured.
type plan struct {
	Edge need  `json:"edge"`
	NATS need  `json:"nats"`
	Mail int64 `json:"mail"`
}

type need struct {
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"`
}

// sizes sets what hydrant size says beside what three loads take.
func sizes(ctx context.Context, b *bench) error {
	for _, z := range b.sizes {
		name := fmt.Sprintf("%s sessions, %s requests and %s pushes a second", thousands(z.sessions), thousands(z.requests), thousands(z.pushes))
		run := func(ctx context.Context, b *bench) error { return b.size(ctx, name, z) }
		if err := measure(ctx, group{name: name, run: run}, b.settings, b.report); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// size makes one load, and asks what it should take.
func (b *bench) size(ctx context.Context, name string, z size) error {
	if err := b.service(ctx); err != nil {
		return err
	}
	g, err := b.stage(ctx, z.sessions)
	defer resetAll(g.sockets)
	if err != nil {
		return err
	}
	before, _, err := storeBytes(ctx, g.js)
	if err != nil {
		return err
	}
	m, err := b.meter(g.node)
	if err != nil {
		return err
	}
	asking, pushed, err := b.mixed(ctx, name, &g, z)
	if err != nil {
		return err
	}
	used, err := m.stop(1)
	if err != nil {
		return err
	}
	after, _, err := storeBytes(ctx, g.js)
	if err != nil {
		return err
	}
	own, err := g.pushes.size(g.sockets[0].id)
	if err != nil {
		return err
	}
	seconds := used.elapsed.Seconds()
	said, err := sizeOf(ctx, z.sessions, float64(asking)/seconds, float64(pushed)/seconds, own, used.elapsed)
	if err != nil {
		return err
	}
	edge, err := privateMemory(g.node.PID())
	if err != nil {
		return err
	}
	nats, err := privateMemory(b.broker[0].PID())
	if err != nil {
		return err
	}
	for what, of := range map[string][2]float64{
		"edge, processor": {said.Edge.Cores, used.nodes[0].Seconds() / seconds}, "NATS, processor": {said.NATS.Cores, used.nats.Seconds() / seconds},
		"edge, memory": {float64(said.Edge.Memory), float64(edge)}, "NATS, memory": {float64(said.NATS.Memory), float64(nats)},
		"mailboxes": {float64(said.Mail), float64(after - before)},
	} {
		b.report.ratio(name+": "+what+", hydrant size to measured", of[0]/of[1], 0)
	}
	return nil
}

// mixed has some clients ask and the others be pushed to, at the same time, and returns
// how many messages each were.
func (b *bench) mixed(ctx context.Context, name string, g *stage, z size) (asked, pushed int, err error) {
	clients := min(b.clients, len(g.sockets)/2)
	questions := &traffic{streams: b.questions(g.sockets[:clients]), unordered: true}
	var both sync.WaitGroup
	var errs [2]error
	var rows [2]*row
	both.Go(func() {
		rows[0], errs[0] = b.observe(ctx, name+": requests", questions, atRate(questions, z.requests), g.node)
	})
	both.Go(func() {
		rows[1], errs[1] = b.pushed(ctx, name+": pushes", g.node, g.sockets[clients:], z.pushes, g.pushes.push, g.pushes.wait)
	})
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return 0, 0, err
	}
	for _, s := range questions.streams {
		asked += int(s.sent.Load())
	}
	return asked, int(g.pushes.sent.Load()), nil
}

// sizeOf asks hydrant size. What was stored in a time is what lies there for one and a half
// times the time to live.
func sizeOf(ctx context.Context, sessions int, requests, pushes float64, bytes int, elapsed time.Duration) (plan, error) {
	var said plan
	binaries, err := harness.Build()
	if err != nil {
		return said, err
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }
	text, err := exec.CommandContext(ctx, binaries.Hydrant, "size", "-alone", "-json", "-sessions", strconv.Itoa(sessions), "-away", "0", "-resumes", "0", "-requests", number(requests),
		"-pushes", number(pushes), "-bytes", strconv.Itoa(bytes), "-ttl", (elapsed * 2 / 3).String(), "-queue", "1000000", "-cores", "64", "-memory", "64").Output()
	if err != nil {
		return said, err
	}
	return said, json.Unmarshal(text, &said)
}
