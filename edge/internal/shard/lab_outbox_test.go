package shard

import (
	"slices"

	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/stats"
)

// fakeOutbox performs a shard's operations against the lab's NATS, one after the
// other, once the iteration is over.
type fakeOutbox struct {
	s        *testShard
	pending  []egress.Op
	queue    []egress.Op
	held     bool // nothing is performed
	full     bool // there is no room
	strained bool // there is little
	pausing  bool // the shard waits for Relieve
	kept     int  // bytes that wait for a look-up
	done     []egress.Op
}

// Push implements [Outbox].
func (o *fakeOutbox) Push(op egress.Op) { o.pending = append(o.pending, op) }

// Room implements [Outbox].
func (o *fakeOutbox) Room(int) bool { return !o.full }

// Strained implements [Outbox].
func (o *fakeOutbox) Strained() bool { return o.strained }

// Keep implements [Outbox].
func (o *fakeOutbox) Keep(n int) { o.kept += n }

// Drop implements [Outbox].
func (o *fakeOutbox) Drop(n int) { o.kept -= n }

// Pause implements [Outbox].
func (o *fakeOutbox) Pause() { o.pausing = true }

// Flush implements [Outbox].
func (o *fakeOutbox) Flush() {
	if len(o.pending) > 0 {
		o.queue = append(o.queue, o.pending...)
		o.pending = nil
		o.s.l.after(0, o.work)
	}
}

// work performs what is queued.
func (o *fakeOutbox) work() {
	for len(o.queue) > 0 && !o.held && !o.s.node.gone {
		op := o.queue[0]
		o.queue = o.queue[1:]
		o.done = append(o.done, op)
		o.s.l.nats.perform(o.s, &op)
	}
}

// hold keeps everything back until let.
func (o *fakeOutbox) hold() { o.held = true }

// let performs what was kept back.
func (o *fakeOutbox) let() {
	o.held = false
	o.work()
	o.s.l.run()
}

// relieve is what the outbox does when there is room again.
func (o *fakeOutbox) relieve() {
	o.strained, o.full = false, false
	if o.pausing {
		o.pausing = false
		o.s.do(o.s.Relieve)
	}
	o.s.l.run()
}

// performed are the operations of a kind that have reached NATS.
func (o *fakeOutbox) performed(kind stats.Op) []egress.Op {
	return slices.DeleteFunc(slices.Clone(o.done), func(op egress.Op) bool { return op.Kind != kind })
}
