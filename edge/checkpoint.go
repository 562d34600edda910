package edge

import (
	"context"
	"time"

	"hydrant/edge/internal/stats"
)

// Checkpoints of moved floors, so that another node knows about where delivery
// got, though this one should die.
const (
	checkpointEvery = 100 * time.Millisecond
	checkpointAge   = 500 * time.Millisecond // a floor moves this long before it is written
	checkpointRate  = 2000                   // writes a second of a node
)

// checkpoint writes the dirty floors that are due, oldest first.
func (w *worker) checkpoint() {
	w.tick()
	budget := max(1, checkpointRate/len(w.node.workers)/int(time.Second/checkpointEvery))
	now := uint32(w.age().Milliseconds())
	done := 0
	for _, a := range w.dirty {
		age := time.Duration(now-a.dirtySince) * time.Millisecond
		if budget == 0 || age < checkpointAge {
			break
		}
		done++
		a.isDirty = false
		if w.attachments[a.sid] == a && !a.parking && !a.releasing() {
			w.node.m.FloorAge.Observe(age.Seconds())
			a.save()
			budget--
		}
	}
	clear(w.dirty[:done])
	w.dirty = w.dirty[done:]
	if len(w.dirty) == 0 && cap(w.dirty) > 1024 {
		w.dirty = nil
	}
	oldest := int64(0)
	if len(w.dirty) > 0 {
		age := time.Duration(now-w.dirty[0].dirtySince) * time.Millisecond
		oldest = w.loop.Now().Add(-age).UnixNano()
	}
	w.tally.DirtyFrom.Store(oldest)
}

// tick measures how late the checkpoint's timer is.
func (w *worker) tick() {
	now := time.Now()
	if !w.ticked.IsZero() {
		w.tally.Lag.Observe(now.Sub(w.ticked) - checkpointEvery)
	}
	w.ticked = now
}

// Sweeps over all sessions of a loop.
const (
	sweepEvery    = time.Minute // the longest a lost last copy goes unnoticed
	mendEvery     = time.Second // … if NATS has said that it dropped some
	sweepBatch    = 1024        // sessions of one multi_last request
	reattachBatch = 200         // sessions re-attached by one step
)

// renewal is how often a session's anchor and its entry are renewed. A resumed
// session's is due at once. So an anchor is a quarter of a TTL old when its
// session is parked, at the most, waits for one, and is replaced soon after:
// well within the age that mailboxes keep messages for, one and a half.
func (n *Node) renewal() time.Duration { return n.cfg.SessionTTL / 4 }

// renewals is how often a loop looks for those that are due.
func (n *Node) renewals() time.Duration { return min(time.Minute, n.cfg.SessionTTL/16) }

// renew stores what resumes can rely on, and rewrites the entries of live
// sessions before they expire, in steps. Checkpoints are no substitute: what
// they tell of may have had a time to live. For new sessions it only sees to it
// that their expiry is told, though this node should die.
func (w *worker) renew() {
	var due, young []*attachment
	for _, a := range w.attachments {
		switch {
		case !a.welcomed || !a.listening || a.suspended:
		case w.age()-a.renewed >= w.node.renewal():
			a.renewed = w.age()
			due = append(due, a)
		case a.fresh && a.renewed > w.looked: // opened since the last time
			young = append(young, a)
		}
	}
	w.looked = w.age()
	w.step(young, (*attachment).expireLater)
	w.step(due, func(a *attachment) {
		if a.parking {
			return
		}
		a.whenActive(checked, func() { a.core.Refresh(a) })
		a.save()
		a.expireLater()
	})
}

// sweep compares the cursors of quiet sessions with the mailboxes: a stream
// leader that died may have stored messages that it never republished.
func (w *worker) sweep() {
	if !w.node.connected.Load() {
		return
	}
	sids := make([]string, 0, min(len(w.attachments), sweepBatch))
	for sid, a := range w.attachments {
		if !a.listening || !a.welcomed || a.suspended {
			continue
		}
		sids = append(sids, sid)
		if len(sids) == sweepBatch {
			w.compare(sids)
			sids = make([]string, 0, sweepBatch)
		}
	}
	if len(sids) > 0 {
		w.compare(sids)
	}
}

func (w *worker) compare(sids []string) {
	job := func(ctx context.Context) (map[string]uint64, error) { return w.node.store.LastSeqs(ctx, sids) }
	submit(w, job, func(last map[string]uint64, err error) {
		if err != nil {
			w.node.m.NATSErrors.Inc(stats.OpSweep)
			w.node.log.Debug("sweep failed; the next one tries again", "error", err)
			return
		}
		for _, sid := range sids {
			if a := w.attachments[sid]; a != nil && !a.suspended {
				a.whenActive(checked, func() { a.core.Swept(last[sid], a) })
			}
		}
	})
}

// mend sweeps when copies have been dropped and the rush is over: where none
// follows, nothing else would show before the next sweep that one is missing.
func (w *worker) mend() {
	if len(w.live) == 0 && w.missed.Swap(false) {
		w.sweep()
	}
}

// reconnected suspends every session after a new connection to NATS, has the
// directory confirm them in steps, and re-attaches them: while this node was cut
// off, others may have taken them.
func (w *worker) reconnected(epoch uint64) {
	if epoch <= w.epoch {
		return
	}
	w.epoch = epoch
	list := make([]*attachment, 0, len(w.attachments))
	for _, a := range w.attachments {
		if a.suspend(false) {
			list = append(list, a)
		} else if a.listening && a.rev == 0 {
			a.core.Reattach(a) // nobody can have taken it, but its subscription is new
		}
	}
	w.step(list, (*attachment).verify)
}

// reattach lets sessions find out again where their mailboxes stand, in steps,
// so that NATS is not met by all of them at once.
func (w *worker) reattach(of func(*attachment) bool) {
	var list []*attachment
	for _, a := range w.attachments {
		if a.listening && of(a) {
			list = append(list, a)
		}
	}
	w.step(list, func(a *attachment) { a.whenActive(checked, func() { a.core.Reattach(a) }) })
}

// step applies do to a bounded number of attachments at a time.
func (w *worker) step(list []*attachment, do func(*attachment)) {
	n := min(len(list), reattachBatch)
	for _, a := range list[:n] {
		if w.attachments[a.sid] == a {
			do(a)
		}
	}
	if n < len(list) {
		w.loop.AfterFunc(20*time.Millisecond, func() { w.step(list[n:], do) })
	}
}

// every runs f on the loop again and again until the node stops.
func (w *worker) every(d time.Duration, f func()) {
	w.loop.AfterFunc(d, func() {
		if w.node.ctx.Err() != nil {
			return
		}
		f()
		w.every(d, f)
	})
}
