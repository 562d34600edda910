package shard

import (
	"sort"
	"strings"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/protocol"
)

// boundedOutbox performs in the lab, and has the bounds of an outbox as nodes have
// it.
type boundedOutbox struct {
	*fakeOutbox
	box     *egress.Outbox
	settled int // operations of done that are taken out of the bounds
}

// bounded gives the shard an outbox with bounds.
func (s *testShard) bounded() *boundedOutbox {
	o := &boundedOutbox{fakeOutbox: s.out, box: egress.NewOutbox(egress.NATS{}, egress.Options{}), settled: len(s.out.done)}
	s.Shard.out = o
	return o
}

// Push implements [Outbox].
func (o *boundedOutbox) Push(op egress.Op) {
	o.box.Keep(len(op.Data))
	o.fakeOutbox.Push(op)
}

// Room implements [Outbox].
func (o *boundedOutbox) Room(n int) bool {
	o.settle()
	return o.box.Room(n)
}

// Strained implements [Outbox].
func (o *boundedOutbox) Strained() bool {
	o.settle()
	return o.box.Strained()
}

// Keep implements [Outbox].
func (o *boundedOutbox) Keep(n int) { o.box.Keep(n) }

// Drop implements [Outbox].
func (o *boundedOutbox) Drop(n int) { o.box.Drop(n) }

// settle takes out of the bounds what NATS has.
func (o *boundedOutbox) settle() {
	for _, op := range o.done[o.settled:] {
		o.box.Drop(len(op.Data))
	}
	o.settled = len(o.done)
}

// let performs what was kept back, and lets the clients go on.
func (o *boundedOutbox) let() {
	o.fakeOutbox.let()
	o.settle()
	o.relieve()
}

// room is how many bytes there is room for.
func (o *boundedOutbox) room() int {
	o.settle()
	return sort.Search(1<<40, func(n int) bool { return !o.box.Room(n + 1) })
}

// TestOutboxFull: as much as may waits for NATS, or for a look-up before that.
// Senders are held back first, then refused, and all that was not refused arrives,
// once.
func TestOutboxFull(t *testing.T) {
	for name, test := range map[string]struct{ hold, leave func(*testShard) }{
		"NATS takes nothing":       {func(s *testShard) { s.out.hold() }, func(s *testShard) { s.out.let() }},
		"nothing can be looked up": {func(s *testShard) { s.node.pool.hold() }, func(s *testShard) { s.node.pool.let() }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			n := l.node(2)
			s, elsewhere := n.shards[0], n.shards[1].dial()
			const size, fit, over = 10 << 10, 20, 6
			var here []*testClient
			for range fit + over {
				here = append(here, s.dial())
			}
			n.known = map[scheme.SID]store.Found{}
			o := s.bounded()
			test.hold(s)
			most := o.room()
			others := most - (fit+1)*size
			o.box.Keep(others)
			padding := strings.Repeat("x", size)
			n.counts("hydrant_outbox_full_total", func() {
				for _, c := range here {
					c.say(object{"to": elsewhere.address(), "mid": string(c.id), "bdy": padding})
				}
				l.run()
			})
			if waiting := o.box.Bytes(); waiting > int64(most) || waiting < int64(most-2*size) {
				t.Errorf("%d bytes wait of %d", waiting, most)
			}
			if back := s.tally.HeldBack.Load(); back < fit || len(s.paused) != int(back) || !o.pausing {
				t.Errorf("%d senders are held back, relief is waited for: %v", back, o.pausing)
			}
			elsewhere.serves()
			test.leave(s)
			o.box.Drop(others)
			o.let()
			accepted := make(map[string]bool)
			for _, c := range here {
				accepted[string(c.id)] = true
				for _, m := range c.got {
					if m.text("bdy", "code") != protocol.CodeOverload.String() || m.text("rmid") != string(c.id) {
						t.Errorf("a sender gets %s", m.raw)
					}
					delete(accepted, string(c.id))
				}
				c.got = nil
				c.serves()
			}
			if len(accepted) < fit-2 || len(accepted) > fit+1 {
				t.Errorf("%d of %d senders were accepted", len(accepted), len(here))
			}
			for range len(accepted) {
				m := elsewhere.next()
				if !accepted[m.text("mid")] {
					t.Errorf("%s arrives, and is repeated or was refused", m.text("mid"))
				}
				delete(accepted, m.text("mid"))
			}
			elsewhere.quiet()
			if o.room() != most {
				t.Errorf("room for %d bytes is left of %d", o.room(), most)
			}
		})
	}
}

// TestOutboxOperations: as many messages as may wait for NATS, however small they
// are, and whatever they are for.
func TestOutboxOperations(t *testing.T) {
	l := newLab(t)
	n := l.node(2)
	s := n.shards[0]
	c, elsewhere := s.dial(), n.shards[1].dial()
	o, kept := s.bounded(), 0
	for ; o.Room(0); kept++ {
		o.Keep(0)
	}
	for _, m := range []object{
		{"to": elsewhere.address()},
		{"to": string(scheme.NewSID()) + "@client:/"},
		{"to": "busy:/"},
		{"to": "busy:[GET]/"},
		{"to": "hydra-router:/", "fwd": elsewhere.address()},
		{"to": "hydra-router:/", "fwd": "busy:/"},
		{"to": "hydra-router:/queue", "fwd": "busy:/"},
	} {
		m["bdy"] = 1
		n.counts("hydrant_outbox_full_total", func() { c.refused(protocol.CodeOverload, m) })
	}
	c.serves()
	for range kept {
		o.Drop(0)
	}
	c.say(object{"to": elsewhere.address(), "mid": "stored-0", "bdy": "there is room again"})
	elsewhere.gets(0, 1)
}
