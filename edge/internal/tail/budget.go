package tail

import (
	"sync"
	"sync/atomic"

	"hydrant/bus/scheme"
)

// maxTails bounds the tails of a node.
const maxTails = 50_000

// overhead is what every tail takes beside its copies.
const overhead = 256

// Budget is what all tails of a node share. Safe for concurrent use.
type Budget struct {
	limit int64 // bytes; immutable

	bytes atomic.Int64

	// Guarded by mu.
	mu    sync.Mutex
	place map[scheme.SID]int // the loop that has the tail
}

// NewBudget returns one of so many bytes; 0: no tails are kept.
func NewBudget(bytes int64) *Budget {
	return &Budget{limit: bytes, place: make(map[scheme.SID]int)}
}

// Begin makes room for a tail that a loop keeps. False: there is none.
func (b *Budget) Begin(sid scheme.SID, loop int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.place[sid]; !there && len(b.place) >= maxTails || !b.Room(overhead) {
		return false
	}
	b.place[sid] = loop
	return true
}

// Room takes so many bytes for copies, if there are so many.
func (b *Budget) Room(bytes int) bool {
	if b.bytes.Add(int64(bytes)) > b.limit {
		b.bytes.Add(-int64(bytes))
		return false
	}
	return true
}

// End gives back what a tail has taken, with its copies.
func (b *Budget) End(sid scheme.SID, loop, copies int) {
	b.bytes.Add(-int64(overhead + copies))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.place[sid] == loop {
		delete(b.place, sid)
	}
}

// Return gives back so many bytes of the copies of a tail, which goes on.
func (b *Budget) Return(copies int) { b.bytes.Add(-int64(copies)) }

// Place is the loop that keeps the tail of a session; false: none does.
func (b *Budget) Place(sid scheme.SID) (loop int, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	loop, there = b.place[sid]
	return loop, there
}

// Held is how many tails there are, and what they take.
func (b *Budget) Held() (tails int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.place), b.bytes.Load()
}
