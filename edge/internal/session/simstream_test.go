package session

import (
	"math/rand/v2"
	"slices"
)

// fate is what became of a stored message.
type fate uint8

const (
	kept      fate = iota
	discarded      // by the mailbox's bound
	shed           // by the stream's size or age
	expired        // by its own TTL
	undone         // by a rollback of the store
)

// record is one message that the simulated stream has ever stored.
type record struct {
	id    int // order of storing, over all logs
	box   int
	seq   uint64
	log   int // rollbacks before it was stored
	mark  uint64
	ttl   bool
	until int // tick at which its TTL ends
	time  int64
	fate  fate

	revived bool // it was gone, and a copy of the store brought it back
}

// view is the content of the store at some moment.
type view struct {
	recs []*record // ascending sequences
	last uint64
	age  int // changes before
}

// stream is a JetStream stream with several mailboxes on one sequence space:
// discard old per mailbox, message TTL, loss of the oldest, rollback to a copy.
type stream struct {
	rng     *rand.Rand
	bound   int
	now     view
	log     int
	tick    int
	clock   int64
	all     []*record
	views   []view       // recent, for stale replicas; of this log
	saved   *view        // copy to roll back to
	lossy   map[int]bool // boxes that have lost a message or an anchor
	onPut   func(r *record, prev uint64)
	isFresh func(box int) bool
}

func newStream(rng *rand.Rand, bound int, onPut func(*record, uint64)) *stream {
	return &stream{rng: rng, bound: bound, onPut: onPut, lossy: map[int]bool{}}
}

func (v view) clone() view {
	return view{recs: append([]*record(nil), v.recs...), last: v.last, age: v.age}
}

// lastOf returns the newest sequence of a box, 0 if it is empty.
func (v view) lastOf(box int) uint64 {
	for i := len(v.recs) - 1; i >= 0; i-- {
		if v.recs[i].box == box {
			return v.recs[i].seq
		}
	}
	return 0
}

// from returns up to max messages of a box from a sequence on.
func (v view) from(box int, seq uint64, max int) []*record {
	var out []*record
	for _, r := range v.recs {
		if r.box == box && r.seq >= seq && len(out) < max {
			out = append(out, r)
		}
	}
	return out
}

func (v view) at(seq uint64) *record {
	for _, r := range v.recs {
		if r.seq == seq {
			return r
		}
	}
	return nil
}

// remember keeps the present state as one that a stale replica may show.
func (st *stream) remember() {
	st.views = append(st.views, st.now.clone())
	st.now.age++
	if len(st.views) > 5 {
		st.views = st.views[1:]
	}
}

func (st *stream) remove(r *record, f fate) {
	for i, x := range st.now.recs {
		if x == r {
			st.now.recs = append(st.now.recs[:i:i], st.now.recs[i+1:]...)
			break
		}
	}
	r.fate = f
	if r.mark == 0 || !r.ttl {
		st.lossy[r.box] = true
	}
}

// put stores a message; ttl is in ticks, 0 for none.
func (st *stream) put(box int, mark uint64, ttl int) *record {
	st.remember()
	prev := st.now.lastOf(box)
	st.now.last++
	st.clock++
	r := &record{id: len(st.all), box: box, seq: st.now.last, log: st.log, mark: mark, ttl: ttl > 0, until: st.tick + ttl, time: st.clock}
	st.all = append(st.all, r)
	st.now.recs = append(st.now.recs, r)
	// A mailbox does not overflow before its session's first marker is back.
	if own := st.now.from(box, 0, st.bound+1); len(own) > st.bound && !st.isFresh(box) {
		st.remove(own[0], discarded)
	}
	st.onPut(r, prev)
	return r
}

// advance lets time pass, and messages expire.
func (st *stream) advance(ticks int) {
	st.remember()
	st.tick += ticks
	for _, r := range append([]*record(nil), st.now.recs...) {
		if r.ttl && r.until <= st.tick {
			st.remove(r, expired)
		}
	}
}

// shed drops the oldest messages of the whole stream (MaxBytes, MaxAge).
func (st *stream) shed(n int) {
	st.remember()
	for ; n > 0 && len(st.now.recs) > 0; n-- {
		st.remove(st.now.recs[0], shed)
	}
}

func (st *stream) save() {
	v := st.now.clone()
	st.saved = &v
}

// rollback restores the saved copy; reports whether anything changed.
func (st *stream) rollback() bool {
	if st.saved == nil || st.saved.last == st.now.last {
		return false
	}
	for _, r := range st.all {
		if r.fate == kept && st.saved.at(r.seq) != r {
			r.fate = undone
			st.lossy[r.box] = true
		}
	}
	age := st.now.age
	st.now = st.saved.clone()
	st.now.age = age + 1
	for _, r := range st.now.recs {
		r.revived = r.revived || r.fate != kept
		r.fate = kept
	}
	// What was stored and dropped since is undone as well.
	for _, r := range st.all {
		if (r.fate == discarded || r.fate == shed) && r.log == st.log && r.seq > st.now.last {
			r.fate = undone
		}
	}
	st.log++
	st.views = nil
	st.advance(0)
	return true
}

// went reports whether something of a box went that way, at or below a sequence.
func (st *stream) went(box int, to uint64, ways ...fate) bool {
	for _, r := range st.all {
		if r.box == box && r.seq <= to && slices.Contains(ways, r.fate) {
			return true
		}
	}
	return false
}

// revived reports whether a copy of the store brought something of a box back, which
// was gone when somebody asked.
func (st *stream) revived(box int) bool {
	return slices.ContainsFunc(st.all, func(r *record) bool { return r.box == box && r.revived })
}

// replica returns the state that a read sees: now and then a stale one.
func (st *stream) replica(stale bool) view {
	if stale && len(st.views) > 0 {
		return st.views[st.rng.IntN(len(st.views))]
	}
	return st.now
}
