package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/scheme"
	"hydrant/integration/harness"
)

// lowRate is that at which most of what a message costs is waking up.
const lowRate = 2000

// prices measures what hydrant size computes with, and prints it as prices.json of
// package sizing.
func prices(ctx context.Context, b *bench) error {
	s := b.settings
	s.rates = []int{lowRate, max(lowRate, slices.Max(s.rates))}
	most := s.resumes[0] // with most messages
	for _, q := range s.resumes {
		if q.messages > most.messages {
			most = q
		}
	}
	most.messages = max(1, most.messages)
	s.resumes = []queue{{most.sessions, 0}, most}
	var base [2]int64
	for _, g := range []group{
		{name: "service", run: service}, {name: "push", run: push}, {name: "resume", run: resume}, {name: "idle", run: idle},
		{name: "base", run: func(ctx context.Context, b *bench) (err error) { base, err = b.base(ctx); return err }},
	} {
		if err := measure(ctx, g, s, b.report); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if err := threeCopies(ctx, s, b.report); err != nil {
		return err
	}
	message, session, err := b.stored(ctx)
	if err != nil {
		return err
	}
	return b.report.setPrices(s, most, base, message, session)
}

// base is the memory of a node and of NATS without sessions.
func (b *bench) base(ctx context.Context) (memory [2]int64, err error) {
	node, err := b.node(ctx, "a")
	if err != nil {
		return memory, err
	}
	warm, err := b.fleet(node.Addr, min(200, b.connects), dial)
	resetAll(warm)
	if err != nil {
		return memory, err
	}
	if err := parked(ctx, node, len(warm)); err != nil {
		return memory, err
	}
	if memory[0], err = privateMemory(node.PID()); err != nil {
		return memory, err
	}
	memory[1], err = privateMemory(b.broker[0].PID())
	return memory, err
}

const copiesPrefix = "three copies, "

// threeCopies measures pushes that three servers store.
func threeCopies(ctx context.Context, s settings, r *report) error {
	three, err := newBenchOn(ctx, s, r, harness.NATSOptions{Servers: 3})
	if err != nil {
		return err
	}
	defer func() { _ = three.close() }() // has said what was wrong by then
	node, err := three.node(ctx, "a")
	if err != nil {
		return err
	}
	p, err := three.publisher()
	if err != nil {
		return err
	}
	return three.pushes(ctx, copiesPrefix+"push", node, dial, p.push, p.wait)
}

// stored is what a message takes in the store beyond its own bytes, and a session.
func (b *bench) stored(ctx context.Context) (message, session float64, err error) {
	node, err := b.node(ctx, "a")
	if err != nil {
		return 0, 0, err
	}
	p, err := b.publisher()
	if err != nil {
		return 0, 0, err
	}
	nc, err := b.connect("bench-store")
	if err != nil {
		return 0, 0, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, 0, err
	}
	const each = 10
	sockets, err := b.fleet(node.Addr, b.sessions, dial)
	defer resetAll(sockets)
	if err != nil {
		return 0, 0, err
	}
	before, entries, err := storeBytes(ctx, js)
	if err != nil {
		return 0, 0, err
	}
	tag := b.tag()
	for n := range each * len(sockets) {
		if err := p.push(ctx, sockets[n%len(sockets)].id, fmt.Sprint(tag, n)); err != nil {
			return 0, 0, err
		}
	}
	if err := p.wait(); err != nil {
		return 0, 0, err
	}
	after, _, err := storeBytes(ctx, js)
	if err != nil {
		return 0, 0, err
	}
	own, err := p.size(sockets[0].id)
	return float64(after-before)/float64(each*len(sockets)) - float64(own), float64(entries) / float64(len(sockets)), err
}

// size is the bytes of a message as they are pushed.
func (p *publisher) size(sid string) (int, error) {
	m, err := p.service.NewMessage(sid+"@client:/", map[string]string{"text": pad})
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(m)
	return len(text), err
}

// storeBytes are those of all mailboxes, and of the directory.
func storeBytes(ctx context.Context, js jetstream.JetStream) (mail, entries uint64, err error) {
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		switch name := info.Config.Name; {
		case name == scheme.SessionStream:
			entries = info.State.Bytes
		case strings.HasPrefix(name, scheme.OutStreamPrefix):
			mail += info.State.Bytes
		}
	}
	return mail, entries, list.Err()
}

// setPrices makes the prices of what was measured.
func (p *report) setPrices(s settings, most queue, base [2]int64, message, session float64) error {
	type object = map[string]any
	node := func(name string) float64 { return median(p.rows[name], (*row).node) }
	nats := func(name string) float64 { return median(p.rows[name], func(r *row) float64 { return r.each(r.nats) }) }
	round := func(f float64) float64 { return float64(int64(f*10+0.5)) / 10 }
	cost := func(name string) object { return object{"node": round(node(name)), "nats": round(nats(name))} }
	high := thousands(slices.Max(s.rates)) + "/s"
	low := thousands(lowRate) + "/s"
	none, waits := "resume "+queue{most.sessions, 0}.String(), "resume "+most.String()
	rested := fmt.Sprintf("idle, %d", slices.Max(s.idle))
	var err error
	p.prices, err = json.MarshalIndent(object{
		"request": object{"rate": lowRate, "low": cost("service, " + low), "high": cost("service, full speed")},
		"push":    object{"rate": lowRate, "low": cost("push, " + low), "high": cost("push, " + high)},
		"resume":  cost(none),
		"waiting": object{
			"node": round(max(0.1, (node(waits)-node(none))/float64(most.messages))),
			"nats": round(max(0.1, (nats(waits)-nats(none))/float64(most.messages))),
		},
		"three_copies": round(nats(copiesPrefix+"push, "+high) / max(0.1, nats("push, "+high))),
		"socket": object{
			"node": int64(median(p.rows[rested], func(r *row) float64 { return r.memory })),
			"nats": int64(max(1, median(p.rows[rested], func(r *row) float64 { return r.natsMemory }))),
		},
		"base":    object{"node": base[0], "nats": base[1]},
		"session": int64(session), "message": int64(message),
	}, "", "  ")
	return err
}
