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
const lowRate = 500

// prices measures what hydrant size computes with, and prints it as prices.json of
// package sizing.
func prices(ctx context.Context, b *bench) error {
	s := b.settings
	s.asks = lowRate
	s.rates = []int{lowRate, max(lowRate, slices.Max(s.rates))}
	most := s.resumes[0] // with most messages
	for _, q := range s.resumes {
		if q.messages > most.messages {
			most = q
		}
	}
	most.messages = max(1, most.messages)
	s.resumes = []queue{{most.sessions, 0}, most}
	for _, g := range []group{{name: "service", run: service}, {name: "push", run: push}, {name: "resume", run: resume}, {name: "idle", run: idle}} {
		if err := measure(ctx, g, s, b.report); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if err := threeCopies(ctx, s, b.report); err != nil {
		return err
	}
	kept, err := b.keep(ctx)
	if err != nil {
		return err
	}
	return b.report.setPrices(s, most, kept)
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

// kept is what messages and sessions take.
type kept struct {
	message, session float64    // bytes in the store; a message's beyond its own
	recent           float64    // memory of NATS for a message of the last minute, of which it knows the mid
	sockets          int        // while the memory was measured
	before, after    [2]float64 // memory of a node and of NATS, the messages
}

// keep measures them.
func (b *bench) keep(ctx context.Context) (k kept, err error) {
	g, err := b.stage(ctx, b.sessions)
	defer resetAll(g.sockets)
	if err != nil {
		return k, err
	}
	memory := func() (m [2]float64, err error) {
		for i, pid := range []int{g.node.PID(), b.broker[0].PID()} {
			bytes, err := privateMemory(pid)
			if err != nil {
				return m, err
			}
			m[i] = float64(bytes)
		}
		return m, nil
	}
	const each = 40
	for _, s := range g.sockets {
		go func() { // ends with the socket
			for err := error(nil); err == nil; {
				_, err = s.next()
			}
		}()
	}
	k.sockets = len(g.sockets)
	if k.before, err = memory(); err != nil {
		return k, err
	}
	before, entries, err := storeBytes(ctx, g.js)
	if err != nil {
		return k, err
	}
	tag, messages := b.tag(), each*len(g.sockets)
	for n := range messages {
		if err := g.pushes.push(ctx, g.sockets[n%len(g.sockets)].id, fmt.Sprint(tag, n)); err != nil {
			return k, err
		}
	}
	if err := g.pushes.wait(); err != nil {
		return k, err
	}
	if k.after, err = memory(); err != nil {
		return k, err
	}
	after, _, err := storeBytes(ctx, g.js)
	if err != nil {
		return k, err
	}
	own, err := g.pushes.size(g.sockets[0].id)
	k.message, k.session = float64(after-before)/float64(messages)-float64(own), float64(entries)/float64(len(g.sockets))
	k.recent = max(1, (k.after[1]-k.before[1])/float64(messages))
	return k, err
}

// stage is what pushes are measured on: sessions of a node, and the store behind it.
type stage struct {
	node    *harness.Node
	pushes  *publisher
	js      jetstream.JetStream
	sockets []*socket // also after an error, to be reset
}

// stage starts what there is not yet, and connects so many clients.
func (b *bench) stage(ctx context.Context, sessions int) (g stage, err error) {
	if g.node, err = b.node(ctx, "a"); err != nil {
		return g, err
	}
	if g.pushes, err = b.publisher(); err != nil {
		return g, err
	}
	nc, err := b.connect("bench-store")
	if err != nil {
		return g, err
	}
	if g.js, err = jetstream.New(nc); err != nil {
		return g, err
	}
	g.sockets, err = b.fleet(g.node.Addr, sessions, dial)
	return g, err
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
func (p *report) setPrices(s settings, most queue, k kept) error {
	type object = map[string]any
	node := func(name string) float64 { return median(p.rows[name], (*row).node) }
	nats := func(name string) float64 { return median(p.rows[name], func(r *row) float64 { return r.each(r.nats) }) }
	round := func(f float64) float64 { return float64(int64(f*10+0.5)) / 10 }
	cost := func(name string) object { return object{"node": round(node(name)), "nats": round(nats(name))} }
	high := thousands(slices.Max(s.rates)) + "/s"
	low := thousands(lowRate) + "/s"
	none, waits := "resume "+queue{most.sessions, 0}.String(), "resume "+most.String()
	rested := p.rows[fmt.Sprintf("idle, %d", slices.Max(s.idle))]
	socket := [2]float64{median(rested, func(r *row) float64 { return r.memory }), max(1, median(rested, func(r *row) float64 { return r.natsMemory }))}
	alone := func(memory float64, i int) int64 { return int64(max(1<<20, memory-float64(k.sockets)*socket[i])) }
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
		"socket":       object{"node": int64(socket[0]), "nats": int64(socket[1])},
		"base":         object{"node": alone(k.after[0], 0), "nats": alone(k.before[1], 1)},
		"session":      int64(k.session), "message": int64(k.message), "recent": int64(k.recent),
	}, "", "  ")
	return err
}
