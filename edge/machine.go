package edge

import (
	"context"
	"sync"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// What the session machine asks for (session.Effects), and what reaches it.

// Mark publishes a marker into the mailbox.
func (a *attachment) Mark(id uint64, keep bool) {
	a.w.out.push(op{kind: stats.OpMark, sid: a.sid, mark: id, keep: keep})
}

// NextMark returns a new marker id.
func (a *attachment) NextMark() uint64 { return a.w.nextMark() }

// Read asks the pool for the next batch of the mailbox. A full pool answers from
// within, which the machine can take: to read is the last thing that it does in
// an event.
func (a *attachment) Read(from, anchor uint64, most int) {
	w := a.w
	if a.reader == nil {
		a.reader = &mailboxReader{r: w.node.store.NewReader(a.sid, a.fence)}
	}
	reader := a.reader
	room, aim := max(int(w.node.cfg.WriteBuffer)/2, 16<<10), a.core.Aim()
	job := func(ctx context.Context) (bus.Batch, error) {
		return reader.read(ctx, from, anchor, aim, most, room)
	}
	submit(w, job, func(batch bus.Batch, err error) {
		a.whenActive(answered, func() {
			a.core.Batch(a.convert(batch, err), a)
			a.enter()
		})
	})
}

func (a *attachment) convert(batch bus.Batch, err error) session.Batch {
	w := a.w
	out := session.Batch{Next: batch.Next, Last: batch.Last, Oldest: batch.Oldest, Err: err,
		Anchor: session.AnchorState(batch.Anchor), AnchorTime: batch.AnchorTime}
	if err != nil {
		w.node.m.Reads.Inc(stats.ReadError)
		w.node.m.NATSErrors.Inc(stats.OpRead)
		w.node.log.Debug("mailbox not read", "sid", a.sid, "error", err)
		return out
	}
	w.node.m.Reads.Inc(stats.ReadOK)
	out.Msgs = make([]session.Stored, len(batch.Msgs))
	for i, m := range batch.Msgs {
		payload, ok := w.inspect(a, m.Seq, m.Mark, m.Payload)
		out.Msgs[i] = session.Stored{Seq: m.Seq, Time: m.Time, Mark: m.Mark || !ok, TTL: m.TTL, Payload: payload, Trace: m.Trace}
	}
	return out
}

// mailboxReader lets a read and the end of reading, which the pool may run at
// the same time, follow one another.
type mailboxReader struct {
	mu sync.Mutex
	r  *bus.Reader // guarded by mu
}

func (m *mailboxReader) read(ctx context.Context, from, anchor, aim uint64, most, maxBytes int) (bus.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.r.Toward(aim)
	return m.r.Read(ctx, from, anchor, most, maxBytes)
}

func (m *mailboxReader) close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.r.Close(ctx)
}

// StopReading drops the mailbox reader and its consumer.
func (a *attachment) StopReading() {
	reader := a.reader
	if reader == nil {
		return
	}
	a.reader = nil
	n := a.w.node
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if err := reader.close(ctx); err != nil {
			n.log.Debug("consumer not removed; it ends by itself", "error", err)
		}
	}) {
		n.m.Dropped.Inc(stats.DropConsumerCleanup)
	}
}

// Timer arms the machine's one timer.
func (a *attachment) Timer(d time.Duration) { a.setTimer(d) }

func (a *attachment) setTimer(d time.Duration) {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if d > 0 {
		a.timer = a.w.loop.AfterFunc(d, func() {
			a.timer = nil
			if a.releasing() {
				a.released()
				return
			}
			a.whenActive(timedOut, func() { a.core.Timeout(a) })
		})
	}
}

// Write gives one mailbox message to the socket.
func (a *attachment) Write(m session.Out) bool {
	w := a.w
	a.used = true
	if a.class != session.Acked {
		return a.client.sendTraced(stats.OutMailbox, m.Trace, m.Payload)
	}
	e := &w.envelope
	if err := umf.Scan(m.Payload, e); err != nil {
		panic("edge: a message that passed inspect does not scan: " + err.Error())
	}
	w.text = protocol.AppendSequence(w.text[:0], e.Raw(umf.Headers), m.Seq, m.Prev)
	w.buf = e.AppendShort(w.buf[:0], umf.Set{Field: umf.Headers, Raw: w.text})
	return a.client.sendTraced(stats.OutMailbox, m.Trace, w.buf)
}

// Gap tells an acked client that messages are gone.
func (a *attachment) Gap(g session.Gap) bool {
	w := a.w
	w.node.m.Gaps.Inc(g.Why)
	w.node.log.Warn("messages lost to a session", "sid", a.sid, "from", g.From, "to", g.To, "why", g.Why.String())
	if g.Why == session.Rollback {
		a.start = 0
	}
	if a.class != session.Acked {
		return !a.client.conn.Full()
	}
	return a.client.reply(stats.OutGap, protocol.Message{
		To: protocol.ClientAddress(a.sid), Type: protocol.TypeGap,
		Headers: protocol.AppendSequence(nil, nil, g.Seq, g.Prev),
		Body:    protocol.AppendGap(make([]byte, 0, 96), g.From, g.To, g.Why.String()),
	})
}

// Ping sends the barrier that proves delivery.
func (a *attachment) Ping(token uint64) { a.client.barrier(token) }

// Dirty queues the moved floor for a checkpoint.
func (a *attachment) Dirty() {
	if a.isDirty || !a.welcomed {
		return
	}
	a.isDirty = true
	a.dirtySince = uint32(a.w.age().Milliseconds())
	a.w.dirty = append(a.w.dirty, a)
}

// State counts the machine's transitions.
func (a *attachment) State(from, to session.State) { a.w.node.m.Sessions.Move(from, to) }

// Count counts what is neither a state nor a gap.
func (a *attachment) Count(e session.Event) { a.w.node.m.Machine.Inc(e) }

// Attached follows each attach whose marker came back: copies now reach this
// node from everywhere.
func (a *attachment) Attached() {
	switch {
	case a.welcomed:
	case a.fresh:
		a.entering = true // when the machine has its floor
	default:
		a.client.welcome(a)
	}
}

// event names what can make the machine write. Of each kind the last one is kept
// while the session is suspended, however long that is and whatever the client
// sends: confirmations are cumulative, and of the others one says it all.
type event uint8

const (
	answered  event = iota // a read
	timedOut               // the timer
	confirmed              // by an acked client
	writable               // there is room
	checked                // refresh, sweep, re-attach
	numEvents
)

// whenActive runs an event of the machine, now or when a suspension ends.
func (a *attachment) whenActive(e event, f func()) {
	switch {
	case !a.listening:
	case !a.suspended:
		f()
	default:
		a.wait().late[e] = f
	}
}
