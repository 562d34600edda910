package shard

import (
	"context"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
)

// logProof is what a claim knows of its mailbox's log.
type logProof struct {
	epoch uint64         // of the connection over which it was asked for; 0: it was not
	note  store.BackNote // the last one there was
	back  bool           // later than what the claim relies on
}

// outlives reports whether a position shows by its times that it is of the log that there
// was after a note. The times are of two streams' leaders.
func outlives(p scheme.Position, note store.BackNote) bool {
	return note.Rev == 0 || max(p.FloorTime, p.SeenTime) > note.Time+int64(clockSkew)
}

// unproved reports whether the position where a claim would begin may be of a log that is
// gone, and no time will tell.
func (h *held) unproved(e *scheme.Entry) bool {
	if !h.claiming() {
		return false
	}
	p := h.from(e.Position, e.Start)
	return p.Old && !p.Back && p.Floor != 0 && p.FloorTime == 0
}

// proveLog asks whether the log has gone back since the entry was written, before the
// owner learns of the entry.
func (h *held) proveLog(number uint32, f found) {
	h.lastNote(func(note store.BackNote, err error) {
		if err != nil || !h.claiming() {
			h.read(number, f, err)
			return
		}
		p := &h.wait().proof
		*p = logProof{epoch: h.s.epoch, note: note, back: !outlives(f.entry.Position, note) && note.Rev > f.sure()}
		f.proved = true
		h.read(number, f, nil)
	})
}

// proveAgain asks whether the log has gone back since the claim was made, if NATS was lost
// meanwhile, and then gives the core the answer to its read.
func (h *held) proveAgain(b session.Batch) {
	h.lastNote(func(note store.BackNote, err error) {
		h.whenServed(answered, func() {
			if b.Err = err; err == nil {
				p := &h.wait().proof
				*p = logProof{epoch: h.s.epoch, note: note, back: p.back || note != p.note}
			}
			h.pass(b)
		})
	})
}

// lastNote asks for the last note of the log once this node has left its own.
func (h *held) lastNote(then func(store.BackNote, error)) {
	s := h.s
	job := func(ctx context.Context) (store.BackNote, error) {
		return s.node.Directory.LastBack(ctx, h.partition())
	}
	ask := func() { submitTo(s, s.node.Resumes.SubmitIdle, job, then) }
	if s.node.Logs.known(h.partition(), s.epoch, func(err error) {
		s.post(func() {
			if err != nil {
				then(store.BackNote{}, err)
				return
			}
			ask()
		})
	}) {
		ask()
	}
}

// suspect reports whether the log went back since what the claim relies on was stored, and
// whether it was there before that is not known yet.
func (h *held) suspect() bool { return h.waiting != nil && h.waiting.proof.back && h.core.Unproved() }

// pass hands the answer to a read to the core, with the proof of the log if it needs
// one.
func (h *held) pass(b session.Batch) {
	if b.Err == nil && b.Anchor == session.Present && h.core.Unproved() {
		p := h.wait().proof
		if p.epoch != h.s.epoch {
			h.proveAgain(b)
			return
		}
		kept := b.AnchorTime != 0 && b.AnchorTime <= p.note.Kept
		b.Back = p.back && !kept && !outlives(h.owner.Entry().Position, p.note)
		h.session().Dirty() // now it can be stored
	}
	h.s.source = stats.FromStore
	h.core.Batch(b, h.session())
	h.s.source = stats.FromLive
	h.placed()
}
