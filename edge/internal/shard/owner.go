package shard

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
)

// ownershipEffects is a held session as its owner sees it.
type ownershipEffects held

func (x *ownershipEffects) held() *held { return (*held)(x) }

// found is the answer to a read of the directory.
type found struct {
	entry scheme.Entry
	rev   uint64
	age   time.Duration

	proved bool // it was asked whether the log has gone back since: logProof says
}

// sure is the revision up to which what is known to have happened to the log says nothing
// against the entry's position.
func (f *found) sure() uint64 {
	if f.entry.Unsure {
		return f.entry.Sure
	}
	return f.rev
}

// entryPatience is how long the entry is waited for that any replica may give, before the
// directory is asked in another way. The answer comes among the live copies, of which
// there may be too many.
const entryPatience = 500 * time.Millisecond

// Read asks for the entry: any replica, without anybody's waiting, where its word is
// enough.
func (x *ownershipEffects) Read(number uint32, sure bool) {
	h, s := x.held(), x.s
	if sure && h.guesses() {
		h.owner.Absent(number, h.ownership())
		return
	}
	if !sure && s.inquireAt(store.EntrySubject(h.sid), nil, entryPatience, func(answer *nats.Msg) {
		var f found
		err := store.ErrUnconfirmed
		if answer != nil {
			f.entry, f.rev, err = s.node.Directory.Parse(answer)
		}
		if errors.Is(err, store.ErrUnconfirmed) {
			h.readWaiting(number, false)
			return
		}
		h.read(number, f, err)
	}) {
		return
	}
	h.readWaiting(number, sure)
}

// readWaiting asks the pool to read the entry. A full pool answers from within, which the
// owner can take.
func (h *held) readWaiting(number uint32, sure bool) {
	s := h.s
	calls := s.node.Calls
	if h.claiming() {
		calls = s.node.Resumes
	}
	run := calls.Submit
	job := func(ctx context.Context) (f found, err error) {
		f.entry, f.rev, err = s.node.Directory.Get(ctx, h.sid)
		return f, err
	}
	if sure {
		run = calls.SubmitIdle
		job = func(ctx context.Context) (f found, err error) {
			f.entry, f.rev, f.age, err = s.node.Directory.Sure(ctx, h.sid)
			return f, err
		}
	}
	submitTo(s, run, job, func(f found, err error) { h.read(number, f, err) })
}

// read takes the answer to a read of the entry.
func (h *held) read(number uint32, f found, err error) {
	fx := h.ownership()
	switch {
	case err == nil && !f.proved && h.unproved(&f.entry):
		h.proveLog(number, f)
	case err == nil:
		f.entry.Sure = f.sure()
		f.entry.Unsure = f.proved && h.waiting.proof.back // else times tell, or it is proved
		h.owner.Found(number, &f.entry, f.rev, f.age, h.s.uptime(), fx)
	case errors.Is(err, store.ErrNoSession):
		h.owner.Absent(number, fx)
	case errors.Is(err, store.ErrNewerForm):
		h.owner.TooNew(number, fx)
	case errors.Is(err, store.ErrBadEntry):
		h.s.node.Metrics.Spoiled.Inc()
		h.owner.Garbled(number, fx)
	default:
		h.owner.Unread(number, fx)
	}
}

// Write compares and swaps the entry.
func (x *ownershipEffects) Write(number uint32, e *scheme.Entry, rev uint64) {
	h, s := x.held(), x.s
	var keep time.Duration
	if e.State == scheme.StateParked && h.unused() {
		keep = unusedTTL
	}
	entry := *e
	s.out.Push(egress.Op{Kind: stats.OpSave, SID: h.sid, Entry: &entry, Rev: rev, TTL: keep, Done: func(rev uint64, err error) {
		epoch := s.node.Epoch() // not older than the answer
		s.post(func() {
			s.met(epoch)
			if err == nil && !entry.Unsure && !h.core.Aged() {
				h.owner.Sure(rev)
			}
			h.wrote(number, rev, err)
		})
	}})
}

// wrote takes the outcome of a write.
func (h *held) wrote(number uint32, rev uint64, err error) {
	s, fx, now := h.s, h.ownership(), h.s.uptime()
	switch {
	case err == nil:
		s.node.Metrics.Writes.Inc(stats.WriteOK)
		h.owner.Stored(number, rev, now, fx)
	case errors.Is(err, store.ErrFenced):
		s.node.Metrics.Writes.Inc(stats.WriteFenced)
		h.owner.Refused(number, now, fx)
	case errors.Is(err, store.ErrBusy): // nothing is decided yet
		s.node.Metrics.Writes.Inc(stats.WriteBusy)
		h.owner.Unsettled(number, now, fx)
	default:
		s.node.Metrics.Writes.Inc(stats.WriteError)
		s.node.Metrics.NATSErrors.Inc(stats.OpSave)
		h.owner.Unsettled(number, now, fx)
	}
}

// reply is what came of asking another node.
type reply struct {
	kind  ownership.Reply
	given takeover.Answer // what it has given
}

// Ask asks the holder's node on the pool.
func (x *ownershipEffects) Ask(number uint32, e *scheme.Entry, attempt uint64) {
	h, s := x.held(), x.s
	node, request := e.Node, takeover.NewRequest(takeover.Key{SID: h.sid, Holder: e.Holder}, attempt)
	request.Bare = h.bare()
	job := func(context.Context) (reply, error) {
		ctx := s.node.Stopped // it has limits of its own, which EDGE_REQUEST_TIMEOUT must not cut short
		kind, given, err := s.node.Peers.Ask(ctx, node, request)
		if err != nil {
			s.node.Log.Info("the holder of a session does not answer; taking over", "sid", h.sid, "holder", node, "error", err)
		}
		return reply{kind, given}, nil
	}
	asked := s.uptime()
	answer := func(r reply) {
		if r.kind == ownership.Nobody {
			h.returns = orphaned
		}
		if r.given.Tail {
			h.wait().kept = keptBy{node, request.Holder}
		}
		h.owner.HandedOver(number, r.kind, r.given.Position, s.uptime(), h.ownership())
	}
	submitTo(s, s.node.Resumes.Submit, job, func(r reply, err error) {
		switch {
		case err == nil:
		case request.Bare:
			answer(reply{kind: ownership.Unasked})
			return
		default: // too many are under way
			r.kind = ownership.Silence
		}
		left := asked + ownership.Patience - s.uptime()
		if r.kind != ownership.Silence || left <= 0 {
			answer(r)
			return
		}
		// It was not asked, or the way back was lost. It needs the time all the same.
		s.loop.AfterFunc(left, func() { answer(r) })
	})
}

// Timer arms the owner's one timer.
func (x *ownershipEffects) Timer(number uint32, d time.Duration) {
	h := x.held()
	stop(&h.patience)
	h.patience = h.s.loop.AfterFunc(d, func() {
		h.patience = nil
		h.owner.TimedOut(number, h.s.uptime(), h.ownership())
	})
}

// Attach listens to the mailbox.
func (x *ownershipEffects) Attach(at scheme.Position, lasting bool) {
	h := x.held()
	from := h.from(at, h.owner.Entry().Start)
	from.Tail = h.inherits != nil || h.mayJoin(from.Old)
	h.attach(from, lasting)
}

// Reattach sends another marker.
func (x *ownershipEffects) Reattach(lasting bool) {
	h := x.held()
	if h.listening() {
		h.core.Reattach(lasting, h.session())
	}
}

// Position returns how far delivery has got.
func (x *ownershipEffects) Position() scheme.Position {
	c := &x.core
	sure := x.owner.Entry().Sure
	if from, to := c.OldLog(); to != 0 {
		return scheme.Position{Floor: from, Seen: to, Back: true, Sure: sure}
	}
	return scheme.Position{
		Floor: c.Floor(), FloorTime: c.FloorTime(), Seen: c.Seen(), SeenTime: c.SeenTime(),
		Unsure: c.Aged() || x.held().suspect(), Sure: sure,
	}
}

// Freeze keeps the session's messages from the socket: served is false from now
// on. With hold, everything is kept from it, as is due after a stall: what was on
// its way then may be another's to send.
func (x *ownershipEffects) Freeze(hold bool) {
	h := x.held()
	if !hold || h.client == nil {
		return
	}
	h.client.conn.Freeze()
	if h.client.conn.Buffered() > 0 {
		h.wait().queued = true
	}
}

// Unsettled goes on without an answer of the directory: the session waits, but
// the client is to be told that much. Where something was queued at a stall, that
// must not leave, and what is queued behind it cannot.
func (x *ownershipEffects) Unsettled() { x.held().unsettled() }

func (h *held) unsettled() {
	switch {
	case h.client == nil:
	case h.waiting != nil && h.waiting.queued:
		h.client.discard(protocol.CloseOverload, "session could not be verified in time")
	default:
		h.client.conn.Thaw()
	}
}

// Thaw ends a doubt: copies that passed meanwhile are read again.
func (x *ownershipEffects) Thaw() {
	h := x.held()
	if h.client != nil {
		h.client.conn.Thaw()
	}
	if w := h.waiting; w != nil {
		late := w.late
		w.late, w.queued = [numEvents]func(){}, false
		for e, f := range late {
			if f != nil {
				h.whenServed(event(e), f)
			}
		}
	}
	h.whenServed(checked, func() { h.core.Reattach(false, h.session()) })
}

// Settle sends a last barrier.
func (x *ownershipEffects) Settle() bool {
	h := x.held()
	return h.client != nil && h.listening() && h.core.Settle(h.session())
}

// Welcome tells the client that it has its session, and lets the core write.
func (x *ownershipEffects) Welcome() {
	h := x.held()
	if in := h.inherits; in != nil {
		in.until = h.s.uptime() + tailUse
	}
	if h.client != nil {
		h.client.welcome(h)
		if !h.client.conn.Full() {
			h.core.Writable(h.session())
		}
	}
}

// HandOver answers those who have asked for the session.
func (x *ownershipEffects) HandOver(at scheme.Position) {
	h := x.held()
	given := takeover.Answer{Found: true, Position: at, Tail: h.keepsOn()}
	h.s.given.Put(h.key(), given, h.s.loop.Now())
	if w := h.waiting; w != nil {
		list := w.answers
		w.answers = nil
		for _, answer := range list {
			answer(given)
		}
	}
}

const takenOver = "session taken over by another connection"

// Ended lets go of the session.
func (x *ownershipEffects) Ended(end ownership.End, rev uint64) {
	h, n := x.held(), x.s.node
	h.forget()
	if l := x.s.lingering[h.sid]; l != nil && end != ownership.Parked && end != ownership.HandedOver && l.key == h.key() {
		x.s.endTail(l, stats.TailTakenOver)
	}
	if c := h.client; c != nil && c.want == h { // it has hung up, and its goodbye is to be read
		c.want, h.client = nil, nil
		c.ready()
	}
	switch end {
	case ownership.Parked:
		n.Metrics.Lifecycle.Inc(stats.Parked)
		h.event(scheme.SessionParked)
		h.expireLater()
	case ownership.Unparked:
		n.Log.Warn("session not parked; its last checkpoint stands", "sid", h.sid)
		n.Metrics.Lifecycle.Inc(stats.ParkFailed)
	case ownership.HandedOver:
		n.Metrics.Lifecycle.Inc(stats.Released)
		h.letGo(protocol.CloseTakenOver, takenOver)
	case ownership.TakenOver, ownership.Disputed:
		n.Metrics.Lifecycle.Inc(stats.Lost)
		n.Log.Info("session lost to another holder", "sid", h.sid)
		if end == ownership.Disputed {
			h.letGo(protocol.CloseOverload, "session could not be kept; come back")
			return
		}
		h.letGo(protocol.CloseTakenOver, takenOver)
	case ownership.Expired:
		n.Metrics.Lifecycle.Inc(stats.Expired)
		n.Log.Warn("the directory has lost a session", "sid", h.sid)
		h.event(scheme.SessionExpired)
		if h.client != nil {
			h.client.rest()
		}
		h.letGo(protocol.CloseRestart, comeBack)
	case ownership.Discarded:
		h.erase(rev)
	}
}

// letGo closes the socket of a session that is not this shard's any more: nothing
// that is queued for it leaves.
func (h *held) letGo(code protocol.Close, reason string) {
	c := h.client
	h.client = nil
	if c == nil {
		return
	}
	if c.has == h && !c.taking { // or what it says until its goodbye is this session's still
		c.has = nil
	}
	c.discard(code, reason)
}

// erase removes the entry of a fresh session whose socket resumed an older one. If
// that fails, the entry expires.
func (h *held) erase(rev uint64) {
	h.client = nil
	h.event(scheme.SessionClosed)
	n := h.s.node
	n.Directory.Forget(h.sid) // what comes for it must not be stored while it is deleted
	if !n.Calls.Submit(func() {
		ctx, cancel := context.WithTimeout(n.Stopped, n.Config.RequestTimeout)
		defer cancel()
		if err := n.Directory.Delete(ctx, h.sid, rev); err != nil {
			n.Log.Debug("fresh session not removed; it expires", "error", err)
		}
	}) {
		n.Metrics.Dropped.Inc(stats.DropDirectoryCleanup)
	}
}
