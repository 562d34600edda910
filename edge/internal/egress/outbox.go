package egress

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/bus/tracectx"
	"hydrant/edge/internal/stats"
)

// Bounds of one outbox. Publishes beyond them are refused with an error to the
// client; the few control operations of a session always fit.
const (
	maxOps   = 1 << 16
	maxBytes = 32 << 20
)

// StoreWindow bounds the acknowledged publishes of one outbox that are on their
// way. What is above waits here, without holding up what goes to services.
const StoreWindow = 2048

// Outbox carries NATS operations from a loop to one goroutine that performs
// them in order. nats.go holds its lock while it writes to the socket, so that
// a NATS server that stopped reading would otherwise stop the loop.
type Outbox struct {
	// Immutable after NewOutbox.
	started time.Time
	log     *slog.Logger
	m       *stats.Metrics
	tally   *stats.Tally
	relieve func()
	proofs  *proofs

	// Owned by the loop: what this iteration asked for.
	pending []Op

	// Shared.
	nats    atomic.Pointer[NATS]
	ops     atomic.Int64 // queued, or waiting for a look-up
	bytes   atomic.Int64 // of these
	flying  atomic.Int64 // acknowledged publishes on their way
	pausing atomic.Bool  // clients wait until there is room again
	wake    chan struct{}
	done    chan struct{} // closed when Run has ended

	// Owned by Run.
	stores []Op     // wait for the window, in order
	msg    nats.Msg // scratch for one publish, or each would allocate its own

	// Guarded by mu.
	mu     sync.Mutex
	queue  []Op
	closed bool
}

// NATS is where operations go.
type NATS struct {
	Conn      Conn
	Store     Store
	Directory Directory
}

// Conn is the part of [nats.Conn] that an outbox needs.
type Conn interface {
	Publish(subject string, data []byte) error
	PublishMsg(m *nats.Msg) error // keeps nothing of m
	FlushWithContext(ctx context.Context) error
	ChanSubscribe(subject string, ch chan *nats.Msg) (*nats.Subscription, error)
}

// Store is the part of [store.Store] that an outbox needs.
type Store interface {
	PublishAsync(sid scheme.SID, out store.Outgoing, done func(seq uint64, err error)) error
	EnqueueWorkAsync(service scheme.Service, out store.Outgoing, done func(seq uint64, err error)) error
	PublishMarker(sid scheme.SID, m store.Marker) error
}

// Directory is the part of [store.Directory] that an outbox needs.
type Directory interface {
	UpdateAsync(sid scheme.SID, e scheme.Entry, rev uint64, keep time.Duration, done func(rev uint64, err error)) error
	OnceAsync(name string, keep time.Duration, done func(error)) error
}

var (
	_ Conn      = (*nats.Conn)(nil)
	_ Store     = (*store.Store)(nil)
	_ Directory = (*store.Directory)(nil)
)

// Options are what an outbox needs beside NATS.
type Options struct {
	Started time.Time // of the node: what Op.At counts from
	Log     *slog.Logger
	Metrics *stats.Metrics
	Tally   *stats.Tally
	Relieve func()  // called on Run's goroutine after Pause, once there is room again
	Refused Refused // nil: NATS says nothing of the kind
}

// Refused is what NATS says of messages to which nobody listens. It comes on
// subscriptions of the node, in the order in which the server says it.
type Refused interface {
	// Behind runs a function behind all of it that has come so far.
	Behind(f func())
	// Dropped counts what of it there was no room for. Another connection counts anew.
	Dropped() int
}

// NewOutbox returns an outbox, for Run to perform what is pushed.
func NewOutbox(to NATS, o Options) *Outbox {
	out := &Outbox{started: o.Started, log: o.Log, m: o.Metrics, tally: o.Tally, relieve: o.Relieve,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	out.proofs = newProofs(o.Refused, out.Keep, out.Drop)
	out.Relink(to)
	return out
}

// Relink sends what is performed from now on over another connection. Any goroutine
// may call it.
func (o *Outbox) Relink(to NATS) { o.nats.Store(&to) }

// Operations returns how many operations are queued or wait for a look-up. Any
// goroutine may call it, like Bytes and Flying.
func (o *Outbox) Operations() int64 { return o.ops.Load() }

// Bytes returns the bytes of what Operations counts.
func (o *Outbox) Bytes() int64 { return o.bytes.Load() }

// Flying returns how many acknowledged publishes are on their way.
func (o *Outbox) Flying() int64 { return o.flying.Load() }

// Pause asks for Relieve. What strained the outbox may be gone by now, and nothing
// may follow.
func (o *Outbox) Pause() {
	o.pausing.Store(true)
	o.rouse()
}

// Done is closed when Run has ended.
func (o *Outbox) Done() <-chan struct{} { return o.done }

// Room reports whether a publish of n bytes is accepted.
func (o *Outbox) Room(n int) bool {
	return o.ops.Load() < maxOps && o.bytes.Load()+int64(n) <= maxBytes
}

// Push queues an operation. Only the loop calls it; flush hands it on.
func (o *Outbox) Push(p Op) {
	o.ops.Add(1)
	o.bytes.Add(int64(len(p.Data)))
	o.pending = append(o.pending, p)
}

// Strained reports that senders should be held back for a while.
func (o *Outbox) Strained() bool {
	return o.ops.Load() > maxOps/2 || o.bytes.Load() > maxBytes/2
}

// Keep counts a message that waits for a look-up before it is pushed: it takes
// the same room. Only the loop calls it, and drop.
func (o *Outbox) Keep(n int) {
	o.ops.Add(1)
	o.bytes.Add(int64(n))
}

// Drop takes out what keep has counted.
func (o *Outbox) Drop(n int) {
	o.ops.Add(-1)
	o.bytes.Add(-int64(n))
	if o.pausing.Load() {
		o.rouse() // there may be room again, and nothing to do
	}
}

// Flush hands the operations of this loop iteration to the goroutine.
func (o *Outbox) Flush() {
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
func (o *Outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Close ends run once the queue is empty.
func (o *Outbox) Close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.rouse()
}

// Run performs the operations until close.
func (o *Outbox) Run() {
	defer close(o.done)
	defer o.proofs.end()
	var batch []Op
	for {
		o.mu.Lock()
		batch, o.queue = o.queue, batch
		closed := o.closed
		o.mu.Unlock()
		some := len(batch) > 0
		for i := range batch {
			if p := &batch[i]; p.windowed() {
				o.stores = append(o.stores, *p)
				p.At = 0 // counted when it is sent
			} else {
				o.perform(p)
				o.settle(p)
			}
		}
		o.clocked(batch)
		o.proofs.begin()
		o.sendStores()
		if some {
			clear(batch)
			batch = shrunk(batch)
		}
		if o.pausing.Load() && o.ops.Load() < maxOps/4 && o.bytes.Load() < maxBytes/4 && o.pausing.Swap(false) {
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
// that was made for a burst goes once it is not needed: an operation takes 288
// bytes.
func shrunk(ops []Op) []Op {
	if cap(ops) > 4096 || cap(ops) > 512 && len(ops) < cap(ops)/8 {
		return nil
	}
	return ops[:0]
}

// settle takes a finished operation out of the bounds.
func (o *Outbox) settle(p *Op) {
	o.ops.Add(-1)
	o.bytes.Add(-int64(len(p.Data)))
}

// sendStores sends what the window has room for.
func (o *Outbox) sendStores() {
	n := 0
	for n < len(o.stores) && o.flying.Load() < StoreWindow {
		p := &o.stores[n]
		report, span, kind := p.Done, p.Span, p.Kind
		o.flying.Add(1)
		p.Done = func(seq uint64, err error) {
			if o.flying.Add(-1) == StoreWindow-1 {
				o.rouse()
			}
			tracectx.End(span, err)
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
func (o *Outbox) clocked(ops []Op) {
	var now time.Duration
	for i := range ops {
		if at := ops[i].At; at != 0 {
			if now == 0 {
				now = time.Since(o.started)
			}
			o.tally.Published.Observe(now - at)
		}
	}
}

// failed counts an operation that NATS did not do. Any goroutine.
func (o *Outbox) failed(kind stats.Op, err error) {
	if err != nil {
		o.m.NATSErrors.Inc(kind)
	}
}
