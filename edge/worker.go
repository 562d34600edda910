package edge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// liveQueue bounds the live copies that wait between NATS and one loop. A copy
// that does not fit is dropped by nats.go; it is stored, and read when the next
// copy shows the hole, or mend finds it.
const liveQueue = 1 << 15

// Bounds of the copies that one post to the loop carries. A MiB takes some
// milliseconds; 256 of them would look as if the process had not run.
const (
	liveBatch = 256
	liveBytes = 1 << 20 // with the last one, more
)

// worker is the part of a node that one wire loop owns: the sessions of the
// loop's sockets and all that is needed to serve them without a lock.
type worker struct {
	// Immutable after New.
	node    *Node
	loop    *wire.Loop
	out     *outbox
	live    chan *nats.Msg
	tracing *tracing // the node's

	tally  stats.Tally // atomics
	missed atomic.Bool // NATS has dropped copies; set by its goroutines, taken by the loop

	// Owned by the loop.
	attachments map[string]*attachment // by session id; those this loop serves
	firstMark   uint64                 // the ids of this worker's markers are above
	marks       uint64                 // last marker id
	dirty       []*attachment          // moved floors, oldest first
	lookups     map[string][]delivery  // session ids being looked up, with what waits for them
	requests    requestTable
	given       givenAway
	epoch       uint64        // connections to NATS before the one that copies come from
	paused      []*client     // held back until the outbox has room
	ticked      time.Time     // when checkpoint ran last
	looked      time.Duration // age of the node when renew ran last
	stalls      uint64        // times that the process did not run: what is known from before may be wrong
	size        int           // bytes of the message being handled
	envelope    umf.Envelope  // of the message being handled
	inner       umf.Envelope  // of a part of it
	buf         []byte        // scratch for one message
	text        []byte        // scratch for decoded strings
}

func newWorker(n *Node, loop *wire.Loop) *worker {
	w := &worker{
		node:        n,
		loop:        loop,
		live:        make(chan *nats.Msg, liveQueue),
		tracing:     n.tracing,
		attachments: make(map[string]*attachment),
		firstMark:   randomUint64() >> 1, // others' markers must not look like ours
		lookups:     make(map[string][]delivery),
		requests:    newRequestTable(loop.Index()),
		given:       newGivenAway(n.m.Dropped.Counting(stats.DropGivenAway)),
		epoch:       n.epoch(),
	}
	w.marks = w.firstMark
	w.out = newOutbox(n, &w.tally)
	w.out.relieve = func() { w.post(w.relieve) }
	return w
}

// bridge hands live copies, and what other nodes ask for, from NATS to the
// loop, in batches, until the context ends. It blocks while the loop's inbox is
// full.
func (w *worker) bridge(ctx context.Context) {
	pump(ctx, w.live, func(batch []*nats.Msg) {
		epoch := w.node.epoch()                                      // not older than the batch
		_ = w.loop.PostWait(ctx, func() { w.deliver(batch, epoch) }) // fails only when the node stops
	})
}

// deliver gives live copies to their sessions. The first ones of a new
// connection may come before nats.go reports it: while there was none, every
// session may have moved.
func (w *worker) deliver(batch []*nats.Msg, epoch uint64) {
	w.reconnected(epoch)
	for _, msg := range batch {
		sid, err := bus.ParseLiveSubject(msg.Subject)
		if err != nil {
			w.order(msg)
			continue
		}
		a := w.attachments[sid]
		if a == nil || !a.listening || a.suspended {
			continue
		}
		live, stored := bus.ParseCopy(msg)
		if !stored {
			if !a.releasing() {
				a.pushLive(live.Payload, w.tracing.traceOf(msg.Header))
			}
			continue
		}
		if w.anothers(live.Mark) && a.suspend(false) {
			w.node.m.Lifecycle.Inc(stats.Doubted) // somebody else has attached: what follows may be his
			a.verify()
			continue
		}
		payload, ok := w.inspect(a, live.Seq, live.Mark != 0, live.Payload)
		if !ok {
			live.Mark = junkMark
		}
		if live.Time != 0 && live.Mark == 0 {
			w.tally.Stored.Observe(time.Duration(w.loop.Now().UnixNano() - live.Time))
		}
		a.core.Live(session.Copy{Seq: live.Seq, Prev: live.Prev, Mark: live.Mark, Time: live.Time, TTL: live.TTL, Payload: payload, Trace: w.tracing.traceOf(msg.Header)}, a)
		a.enter()
	}
}

// age is how long the node had run when this iteration of the loop began, on a
// clock that only goes forward. To be used on the loop.
func (w *worker) age() time.Duration { return w.loop.Now().Sub(w.node.started) }

// junkMark makes the session machine pass over an entry as it does over a
// marker, so that junk in a mailbox cannot stop the queue. It is
// also what bus makes of a marker that cannot be read.
const junkMark = ^uint64(0)

// inspect checks a mailbox entry and returns it in short form. Entries that no
// client could take are counted, logged and reported as not ok.
func (w *worker) inspect(a *attachment, seq uint64, marker bool, payload []byte) ([]byte, bool) {
	if marker {
		return nil, true
	}
	e := &w.envelope
	err := umf.Scan(payload, e)
	switch {
	case err != nil:
	case int64(len(payload)) > w.node.maxDelivery():
		err = errTooLarge
	case !e.Has(umf.To) || !e.Has(umf.From) || !e.Has(umf.Body):
		err = errNotUMF // less strict than for clients: a service may answer false
	}
	if err != nil {
		w.node.m.Junk.Inc()
		w.node.log.Warn("junk in a mailbox", "sid", a.sid, "seq", seq, "bytes", len(payload), "error", err)
		return nil, false
	}
	if e.IsShort() {
		return payload, true
	}
	return e.AppendShort(make([]byte, 0, len(payload))), true
}

// pushLive writes an at-most-once push: one that was published past the
// mailbox.
func (a *attachment) pushLive(payload []byte, trace string) {
	w := a.w
	if a.client == nil || !a.welcomed {
		return
	}
	short, ok := w.inspect(a, 0, false, payload)
	if !ok {
		return
	}
	if a.client.conn.Buffered() >= int(w.node.cfg.WriteBuffer) {
		w.node.m.Dropped.Inc(stats.DropPushSlow)
		return
	}
	a.used = true
	a.client.sendTraced(stats.OutPush, trace, short)
}

// surveyEvery is how often the windows of acked clients are added up.
const surveyEvery = 2 * time.Second

// survey adds up what the clients of this loop have not confirmed: about 20 ns
// a session.
func (w *worker) survey() {
	unacked, full := 0, 0
	for _, a := range w.attachments {
		n := a.core.Unconfirmed()
		unacked += n
		if n >= w.node.cfg.Window {
			full++
		}
	}
	w.tally.Unacked.Store(int64(unacked))
	w.tally.Windowed.Store(int64(full))
}

// nextMark returns a marker id that this worker never used.
func (w *worker) nextMark() uint64 {
	w.marks++
	return w.marks
}

// anothers reports whether a marker is one of another node's, or loop's.
func (w *worker) anothers(mark uint64) bool {
	return mark != 0 && mark != junkMark && (mark <= w.firstMark || mark > w.marks)
}

// holdBack stops reading from a client until the way to NATS is free again.
func (w *worker) holdBack(c *client) {
	if c.paused {
		return
	}
	c.paused = true
	w.tally.HeldBack.Add(1)
	c.conn.Pause()
	w.paused = append(w.paused, c)
	w.out.pausing.Store(true)
}

// relieve lets the clients that were held back go on.
func (w *worker) relieve() {
	list := w.paused
	w.paused = nil
	for _, c := range list {
		c.paused = false
		c.readOn()
	}
}

// post runs f on the worker's loop from any other goroutine. It waits for room
// in the inbox and gives up only when the loop has stopped.
func (w *worker) post(f func()) {
	_ = w.loop.PostWait(context.Background(), f)
}

// maxCallsPerClient bounds what one client has the pool do at a time: half of
// the workers stay for others.
const maxCallsPerClient = poolWorkers / 2

// call is submit for what a client asks of the router, as often as it likes: at
// the bound it is not read from until one of its calls has ended.
func call[T any](c *client, job func(context.Context) (T, error), done func(T, error)) {
	c.calls++
	if c.calls == maxCallsPerClient {
		c.w.tally.HeldBack.Add(1)
		c.conn.Pause()
	}
	submit(c.w, job, func(v T, err error) {
		c.calls--
		c.readOn()
		done(v, err)
	})
}

// submit runs a blocking job on the pool and then done on the loop. A full
// pool is reported to the caller at once.
func submit[T any](w *worker, job func(context.Context) (T, error), done func(T, error)) {
	n := w.node
	ok := n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		v, err := job(ctx)
		cancel()
		w.post(func() { done(v, err) })
	})
	if !ok {
		var zero T
		done(zero, errBusy)
	}
}
