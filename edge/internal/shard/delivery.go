package shard

import (
	"context"
	"errors"
	"time"

	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

// Conditions that make a mailbox entry junk, or refuse an operation.
var (
	errTooLarge = errors.New("edge: message too large")
	errNotUMF   = errors.New("edge: to, frm or bdy is missing")
	errForged   = errors.New("edge: it would be taken for another message, or for the router's")
	errBusy     = errors.New("edge: too many operations under way")
	errShare    = errors.New("edge: the sender has its share of the mailbox")
	errDenied   = errors.New("edge: not allowed by the rules for the client")
)

// sessionEffects is a held session as its core sees it.
type sessionEffects held

func (x *sessionEffects) held() *held { return (*held)(x) }

// Mark publishes a marker into the mailbox.
func (x *sessionEffects) Mark(id uint64, keep bool) {
	x.s.out.Push(egress.Op{Kind: stats.OpMark, SID: x.sid,
		Marker: store.Marker{ID: id, Holder: x.owner.Holder(), Attempt: x.owner.Attempt(), Keep: keep}})
}

// NextMark returns a new marker id.
func (x *sessionEffects) NextMark() uint64 { return x.s.nextMark() }

// Read asks the pool for the next batch of the mailbox. A full pool answers from
// within, which the core can take: to read is the last thing that it does in an
// event.
func (x *sessionEffects) Read(from, anchor uint64, most int) {
	h, s := x.held(), x.s
	h.readsAlone(from, most)
	room := max(int(s.node.Config.WriteBuffer)/2, 16<<10)
	var epoch uint64 // not older than the answer
	job := func(ctx context.Context) (store.Batch, error) {
		batch, err := s.node.Mailboxes.Read(ctx, h.sid, from, anchor, most, room)
		epoch = s.node.Epoch()
		return batch, err
	}
	submit(s, job, func(batch store.Batch, err error) {
		s.met(epoch)
		h.take(batch, err)
	})
}

// take gives the core what was read. With a rival's marker in it, it waits until
// the session is known to be this shard's still.
func (h *held) take(batch store.Batch, err error) {
	h.whenServed(answered, func() {
		met := false
		for _, m := range batch.Msgs {
			met = h.foreign(m.Holder, m.Seq) || met
		}
		if met && h.rival() {
			h.take(batch, err)
			return
		}
		if h.returns != settled && len(batch.Msgs) > 0 {
			h.s.node.Crowd.Took(len(batch.Msgs))
		}
		h.pass(h.convert(batch, err))
	})
}

// convert checks what was read.
func (h *held) convert(batch store.Batch, err error) session.Batch {
	n := h.s.node
	out := session.Batch{Next: batch.Next, Last: batch.Last, HasLast: batch.HasLast, Oldest: batch.Oldest, Err: err,
		Anchor: anchorState(batch.Anchor), AnchorTime: batch.AnchorTime}
	if err != nil {
		n.Metrics.Reads.Inc(stats.ReadError)
		n.Metrics.NATSErrors.Inc(stats.OpRead)
		n.Log.Debug("mailbox not read", "sid", h.sid, "error", err)
		return out
	}
	n.Metrics.Reads.Inc(stats.ReadOK)
	out.Msgs = make([]session.Stored, len(batch.Msgs))
	for i, m := range batch.Msgs {
		if !m.Mark && !m.TTL {
			h.s.saw(h, m.Seq, m.Time)
		}
		payload, ok := h.inspect(m.Seq, m.Mark, m.Payload)
		out.Msgs[i] = session.Stored{Seq: m.Seq, Time: m.Time, Mark: m.Mark || !ok, TTL: m.TTL, Payload: payload, Trace: m.Trace}
	}
	return out
}

// anchorState says in the core's words what the store found at the anchor.
func anchorState(a store.AnchorState) session.AnchorState {
	switch a {
	case store.AnchorPresent:
		return session.Present
	case store.AnchorGone:
		return session.Gone
	case store.AnchorForeign:
		return session.Foreign
	}
	return session.Unchecked
}

// Timer arms the core's one timer.
func (x *sessionEffects) Timer(d time.Duration) {
	h := x.held()
	stop(&h.deliver)
	if d > 0 {
		h.deliver = h.s.loop.AfterFunc(d, func() {
			h.deliver = nil
			h.whenServed(timedOut, func() { h.core.Timeout(h.session()) })
		})
	}
}

// Write gives one mailbox message to the socket.
func (x *sessionEffects) Write(m session.Out) bool {
	s := x.s
	x.used = true
	if x.returns != settled {
		s.node.Metrics.Returned.Inc(s.source)
	}
	x.held().hear(m.Payload)
	if x.class != session.Acked {
		return x.client.sendTraced(stats.OutMailbox, m.Trace, m.Payload)
	}
	e := &s.envelope
	if err := umf.Scan(m.Payload, e); err != nil {
		panic("shard: a message that passed inspect does not scan: " + err.Error())
	}
	s.text = protocol.AppendSequence(s.text[:0], e.Raw(umf.Headers), m.Seq, m.Prev)
	s.buf = e.AppendShort(s.buf[:0], umf.Set{Field: umf.Headers, Raw: s.text})
	return x.client.sendTraced(stats.OutMailbox, m.Trace, s.buf)
}

// Gap tells an acked client that messages are gone.
func (x *sessionEffects) Gap(g session.Gap) bool {
	h, n := x.held(), x.s.node
	n.Metrics.Gaps.Inc(g.Why)
	n.Log.Warn("messages lost to a session", "sid", h.sid, "from", g.From, "to", g.To, "why", g.Why.String())
	if g.Why == session.Rollback {
		h.owner.RolledBack()
		h.rivals = 0 // of the log that was
	}
	if h.class != session.Acked {
		return !h.client.conn.Full()
	}
	return h.client.reply(stats.OutGap, protocol.Message{
		To: protocol.ClientAddress(string(h.sid)), Type: protocol.TypeGap,
		Body:    protocol.AppendGap(nil, g.From, g.To, g.Why.String(), g.Lost),
		Headers: protocol.AppendSequence(nil, nil, g.Seq, g.Prev),
	})
}

// Ping sends the barrier that proves delivery.
func (x *sessionEffects) Ping(token uint64) { x.client.barrier(token) }

// Attached follows each attach whose marker came back. A fresh session is not
// held back: its first marker may have to be read, and there is nothing else.
func (x *sessionEffects) Attached() (room bool) {
	h := x.held()
	return h.owner.Marker(h.s.uptime(), h.ownership()) || !h.resumed
}

// Dirty queues the moved positions for a checkpoint.
func (x *sessionEffects) Dirty() {
	h := x.held()
	if h.dirtySince != 0 || !h.welcomed() {
		return
	}
	h.dirtySince = max(1, uint32(h.s.uptime().Milliseconds()))
	h.s.dirty = append(h.s.dirty, h)
}

// State counts the core's transitions.
func (x *sessionEffects) State(from, to session.State) {
	x.s.node.Metrics.Sessions.Move(from, to)
	switch {
	case to == session.Live:
		x.returns, x.inherits = settled, nil
		if x.owner.Entry().Unsure && x.s.node.Logs.everBack(x.held().partition()) {
			x.Dirty() // or the note would count again
		}
	case to == session.Attaching && from != session.Idle: // what was kept may be of a log that was
		x.inherits = nil
	}
}

// Count counts what is neither a state nor a gap.
func (x *sessionEffects) Count(e session.Event) { x.s.node.Metrics.Machine.Inc(e) }

// junkMark makes the core pass over an entry as it does over a marker, so that
// junk in a mailbox cannot stop the queue. The store makes the same of a marker
// that cannot be read.
const junkMark = ^uint64(0)

// inspect checks a mailbox entry and returns it in short form. Entries that no
// client could take are counted, logged and reported as not ok.
func (h *held) inspect(seq uint64, marker bool, payload []byte) ([]byte, bool) {
	if marker {
		return nil, true
	}
	n, e := h.s.node, &h.s.envelope
	err := umf.Scan(payload, e)
	switch {
	case err != nil:
	case len(payload) > maxDelivery(n.Config.MaxMessage):
		err = errTooLarge
	case !e.Has(umf.To) || !e.Has(umf.From) || !e.Has(umf.Body):
		err = errNotUMF // less strict than for clients: a service may answer false
	case protocol.CheckSender(e, n.Config.ServiceName, false) != nil:
		err = errForged
	}
	if err != nil {
		n.Metrics.Junk.Inc()
		n.Log.Warn("junk in a mailbox", "sid", h.sid, "seq", seq, "bytes", len(payload), "error", err)
		return nil, false
	}
	headers := e.Raw(umf.Headers)
	switch {
	case protocol.ReservedFromAll.In(headers):
		headers = protocol.ReservedFromAll.AppendHeaders(nil, headers, nil)
		return e.AppendShort(make([]byte, 0, len(payload)), umf.Set{Field: umf.Headers, Raw: headers}), true
	case e.IsShort():
		return payload, true
	}
	return e.AppendShort(make([]byte, 0, len(payload))), true
}

// maxDelivery is the largest mailbox entry that is put into a frame.
func maxDelivery[T ~int64](maxMessage T) int { return int(max(4*maxMessage, 8<<20)) }

// push writes an at-most-once push: one that was published past the mailbox.
func (h *held) push(payload []byte, trace string) {
	n := h.s.node
	if h.client == nil || h.owner.Phase() != ownership.Served {
		return
	}
	short, ok := h.inspect(0, false, payload)
	if !ok {
		return
	}
	if h.client.conn.Buffered() >= int(n.Config.WriteBuffer) {
		n.Metrics.Dropped.Inc(stats.DropPushSlow)
		return
	}
	h.used = true
	h.hear(short)
	h.client.sendTraced(stats.OutPush, trace, short)
}
