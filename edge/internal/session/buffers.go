package session

import "sync"

// A session takes each of its two buffers from a pool with the first element and
// gives it back with the last. So a quiet session owns none, and a busy one
// allocates none.
var (
	heldPool = sync.Pool{New: func() any { return new(held) }}
	sentPool = sync.Pool{New: func() any { return new(sent) }}
)

// maxPooled is the capacity above which a buffer goes to the garbage collector
// and not to the pool.
const maxPooled = 1024

// held is a first-in-first-out queue of live copies with ascending sequences.
type held struct {
	q     []Copy
	head  int
	bytes int
}

func (h *held) len() int {
	if h == nil {
		return 0
	}
	return len(h.q) - h.head
}

// first returns the oldest copy, nil if there is none; valid until pop.
func (h *held) first() *Copy {
	if h.len() == 0 {
		return nil
	}
	return &h.q[h.head]
}

// last returns the newest sequence, 0 if there is none.
func (h *held) last() uint64 {
	if h.len() == 0 {
		return 0
	}
	return h.q[len(h.q)-1].Seq
}

func (h *held) push(c Copy) {
	if h.head > 0 && len(h.q) == cap(h.q) {
		n := copy(h.q, h.q[h.head:])
		clear(h.q[n:])
		h.q, h.head = h.q[:n], 0
	}
	h.q = append(h.q, c)
	h.bytes += len(c.Payload)
}

func (h *held) pop() {
	h.bytes -= len(h.q[h.head].Payload)
	h.q[h.head] = Copy{} // drop the payload
	h.head++
}

// free returns the buffer to the pool.
func (h *held) free() {
	if h == nil || cap(h.q) > maxPooled {
		return
	}
	clear(h.q)
	*h = held{q: h.q[:0]}
	heldPool.Put(h)
}

// looseBit marks an entry of sent that cannot serve as an anchor: a gap, or a
// message with a time to live. Stream sequences do not reach this bit.
const looseBit = 1 << 63

// unconfirmed is a message or a gap that an acked client has not confirmed.
type unconfirmed struct {
	seq  uint64 // with looseBit
	time int64  // when the store stored it; 0: unknown, or a gap; a rollback's gap: what was written before it
}

// sent is the ring of what is unconfirmed, in the order of writing.
type sent struct {
	q    []unconfirmed // length is a power of two
	head int
	n    int
}

func (r *sent) len() int {
	if r == nil {
		return 0
	}
	return r.n
}

func (r *sent) at(i int) (seq uint64, stored int64, loose bool) {
	e := r.q[(r.head+i)&(len(r.q)-1)]
	return e.seq &^ looseBit, e.time, e.seq&looseBit != 0
}

func (r *sent) push(seq uint64, stored int64, loose bool) {
	if r.n == len(r.q) {
		r.grow()
	}
	if loose {
		seq |= looseBit
	}
	r.q[(r.head+r.n)&(len(r.q)-1)] = unconfirmed{seq, stored}
	r.n++
}

// last is the entry that was pushed last.
func (r *sent) last() *unconfirmed { return &r.q[(r.head+r.n-1)&(len(r.q)-1)] }

func (r *sent) grow() {
	q := make([]unconfirmed, max(16, 2*len(r.q)))
	for i := range r.n {
		q[i] = r.q[(r.head+i)&(len(r.q)-1)]
	}
	r.q, r.head = q, 0
}

func (r *sent) pop(n int) {
	r.head = (r.head + n) & (len(r.q) - 1)
	r.n -= n
}

func (r *sent) free() {
	if r == nil || len(r.q) > maxPooled {
		return
	}
	r.head, r.n = 0, 0
	sentPool.Put(r)
}
