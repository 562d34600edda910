package edge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus"
	"hydrant/edge/internal/stats"
)

// Bounds of one outbox. Publishes beyond them are refused with an error to the
// client; the few control operations of a session always fit.
const (
	outboxMaxOps   = 1 << 16
	outboxMaxBytes = 32 << 20
)

// op is one NATS operation that a loop asked for.
type op struct {
	kind    stats.Op
	subject string
	reply   string
	header  nats.Header
	data    []byte
	a       *attachment
	sid     string
	mid     string // with from: lets the stream drop a repetition
	from    string
	ttl     time.Duration
	mark    uint64
	keep    bool
	entry   bus.Entry
	event   bus.Event
	rev     uint64
	done    func(seq uint64, err error)
	span    trace.Span    // ends with the operation; nil: none
	at      time.Duration // of the client's frame, on the worker's clock; 0: there was none
}

// storeWindow bounds the acknowledged publishes of one outbox that are on their
// way. What is above waits here, without holding up what goes to services.
const storeWindow = 2048

// outbox carries NATS operations from a loop to one goroutine that performs
// them in order. nats.go holds its lock while it writes to the socket, so that
// a NATS server that stopped reading would otherwise stop the loop.
type outbox struct {
	node  *Node
	tally *stats.Tally

	// Owned by the loop: what this iteration asked for.
	pending []op

	// Shared.
	ops     atomic.Int64 // queued, or waiting for a look-up
	bytes   atomic.Int64 // of these
	flying  atomic.Int64 // acknowledged publishes on their way
	pausing atomic.Bool  // clients wait until there is room again
	relieve func()       // tells the loop that there is; set before run
	wake    chan struct{}
	done    chan struct{} // closed when run has ended

	// Owned by run.
	stores []op // wait for the window, in order

	// Guarded by mu.
	mu     sync.Mutex
	queue  []op
	closed bool
}

func newOutbox(n *Node, t *stats.Tally) *outbox {
	return &outbox{node: n, tally: t, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// room reports whether a publish of n bytes is accepted.
func (o *outbox) room(n int) bool {
	return o.ops.Load() < outboxMaxOps && o.bytes.Load()+int64(n) <= outboxMaxBytes
}

// push queues an operation. Only the loop calls it; flush hands it on.
func (o *outbox) push(p op) {
	o.ops.Add(1)
	o.bytes.Add(int64(len(p.data)))
	o.pending = append(o.pending, p)
}

// strained reports that senders should be held back for a while.
func (o *outbox) strained() bool {
	return o.ops.Load() > outboxMaxOps/2 || o.bytes.Load() > outboxMaxBytes/2
}

// keep counts a message that waits for a look-up before it is pushed: it takes
// the same room. Only the loop calls it, and drop.
func (o *outbox) keep(n int) {
	o.ops.Add(1)
	o.bytes.Add(int64(n))
}

// drop takes out what keep has counted.
func (o *outbox) drop(n int) {
	o.ops.Add(-1)
	o.bytes.Add(-int64(n))
	if o.pausing.Load() {
		o.rouse() // there may be room again, and nothing to do
	}
}

// flush hands the operations of this loop iteration to the goroutine.
func (o *outbox) flush() {
	if len(o.pending) == 0 {
		return
	}
	o.mu.Lock()
	o.queue = append(o.queue, o.pending...)
	o.mu.Unlock()
	clear(o.pending)
	o.pending = shrunk(o.pending)
	o.rouse()
}

// rouse wakes run.
func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close ends run once the queue is empty.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.rouse()
}

// run performs the operations until close.
func (o *outbox) run() {
	defer close(o.done)
	var batch []op
	for {
		o.mu.Lock()
		batch, o.queue = o.queue, batch
		closed := o.closed
		o.mu.Unlock()
		some := len(batch) > 0
		for i := range batch {
			if p := &batch[i]; p.acked() {
				o.stores = append(o.stores, *p)
				p.at = 0 // counted when it is sent
			} else {
				o.perform(p)
				o.settle(p)
			}
		}
		o.clocked(batch)
		o.sendStores()
		if some {
			clear(batch)
			batch = shrunk(batch)
		}
		if o.pausing.Load() && o.ops.Load() < outboxMaxOps/4 && o.bytes.Load() < outboxMaxBytes/4 && o.pausing.Swap(false) {
			o.relieve()
		}
		if some {
			continue
		}
		if closed && len(o.stores) == 0 {
			return
		}
		<-o.wake
	}
}

// shrunk empties a queue of operations, whose elements have been cleared. Room
// that was made for a burst goes once it is not needed: an operation takes 432
// bytes.
func shrunk(ops []op) []op {
	if cap(ops) > 4096 || cap(ops) > 256 && len(ops) < cap(ops)/8 {
		return nil
	}
	return ops[:0]
}

// acked reports whether the operation takes a place in the window.
func (p *op) acked() bool { return p.kind == stats.OpStore || p.kind == stats.OpWork }

// settle takes a finished operation out of the bounds.
func (o *outbox) settle(p *op) {
	o.ops.Add(-1)
	o.bytes.Add(-int64(len(p.data)))
}

// sendStores sends what the window has room for.
func (o *outbox) sendStores() {
	n := 0
	for n < len(o.stores) && o.flying.Load() < storeWindow {
		p := &o.stores[n]
		report, span, kind := p.done, p.span, p.kind
		o.flying.Add(1)
		p.done = func(seq uint64, err error) {
			if o.flying.Add(-1) == storeWindow-1 {
				o.rouse()
			}
			endSpan(span, err)
			o.failed(kind, err)
			report(seq, err)
		}
		o.perform(p)
		o.settle(p)
		n++
	}
	o.clocked(o.stores[:n])
	clear(o.stores[:n])
	o.stores = o.stores[n:]
	if len(o.stores) == 0 {
		o.stores = nil
	}
}

// clocked measures how long the frames of these operations took until here: to
// when the last of them was handed over, so that the clock is read once.
func (o *outbox) clocked(ops []op) {
	var now time.Duration
	for i := range ops {
		if at := ops[i].at; at != 0 {
			if now == 0 {
				now = time.Since(o.node.started)
			}
			o.tally.Published.Observe(now - at)
		}
	}
}

// failed counts an operation that NATS did not do. Any goroutine.
func (o *outbox) failed(kind stats.Op, err error) {
	if err != nil {
		o.node.m.NATSErrors.Inc(kind)
	}
}

func (o *outbox) perform(p *op) {
	n := o.node
	switch p.kind {
	case stats.OpPublish:
		msg := nats.Msg{Subject: p.subject, Reply: p.reply, Header: p.header, Data: p.data}
		err := n.nc.PublishMsg(&msg)
		endSpan(p.span, err)
		o.failed(p.kind, err)
		if err != nil && p.done != nil {
			p.done(0, err)
		}
	case stats.OpStore:
		out := bus.Outgoing{Payload: p.data, Header: p.header, Mid: p.mid, Sender: p.from, TTL: p.ttl}
		if err := n.store.PublishAsync(p.sid, out, p.done); err != nil {
			p.done(0, err)
		}
	case stats.OpWork:
		if err := n.store.EnqueueWorkAsync(p.subject, bus.Outgoing{Payload: p.data, Header: p.header, Mid: p.mid, Sender: p.from}, p.done); err != nil {
			p.done(0, err)
		}
	case stats.OpMark:
		if err := n.store.PublishMarker(p.sid, p.mark, p.keep); err != nil {
			o.failed(p.kind, err)
			n.log.Debug("marker not sent", "sid", p.sid, "error", err) // its timer asks again
		}
	case stats.OpSubscribe:
		sub, err := n.nc.ChanSubscribe(p.subject, p.a.w.live)
		if err != nil {
			o.failed(p.kind, err)
			n.log.Warn("subscribe failed", "subject", p.subject, "error", err)
			return // no marker comes back, and the opening times out
		}
		p.a.sub = sub
	case stats.OpUnsubscribe:
		if p.a.sub != nil {
			if err := p.a.sub.Unsubscribe(); err != nil {
				o.failed(p.kind, err)
				n.log.Debug("unsubscribe failed", "subject", p.subject, "error", err)
			}
			p.a.sub = nil
		}
	case stats.OpEvent:
		if err := bus.PublishEvent(n.nc, p.event); err != nil {
			o.failed(p.kind, err)
			n.log.Debug("session event not sent", "error", err)
		}
	case stats.OpSave:
		if err := n.dir.UpdateAsync(p.sid, p.entry, p.rev, p.done); err != nil {
			p.done(0, err)
		}
	}
}
