package wire

import (
	"math/bits"
	"sync/atomic"
)

const (
	minClass   = 9  // 512 B
	maxClass   = 16 // 64 KiB: larger buffers go to the garbage collector
	classCount = maxClass - minClass + 1
	classBytes = 512 << 10 // kept of each class
	countedMin = 4 << 10   // smaller buffers are not worth counting
	keptBlocks = 256       // inbound and outbound blocks kept
)

// budget counts the bytes of buffers in use, over all loops of a server.
type budget struct {
	limit int64 // 0: none. Immutable
	used  atomic.Int64
}

func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.limit && b.limit > 0 {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

func (b *budget) give(n int) { b.used.Add(-int64(n)) }

// buffers holds a loop's free buffers by size. It belongs to the loop, so it
// costs no synchronisation. Most buffers return at the end of an iteration, so
// their number follows the needs of one iteration and not the number of
// connections.
type buffers struct {
	budget *budget
	free   [classCount][][]byte
	least  [classCount]int // fewest free since the last trim: those were not needed
	in     []*inbound
	out    []*outbound
}

// get returns an empty buffer with room for n bytes, or nil if the server's
// budget is used up.
func (bs *buffers) get(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	size := 1 << class
	if size >= countedMin && !bs.budget.take(size) {
		return nil
	}
	if class > maxClass {
		return make([]byte, 0, size)
	}
	i := class - minClass
	if k := len(bs.free[i]); k > 0 {
		b := bs.free[i][k-1]
		bs.free[i] = bs.free[i][:k-1]
		bs.least[i] = min(bs.least[i], k-1)
		return b
	}
	return make([]byte, 0, size)
}

// put takes back a buffer from get.
func (bs *buffers) put(b []byte) {
	size := cap(b)
	if size == 0 {
		return
	}
	poison(b[:size])
	bs.lose(b)
	class := bits.Len(uint(size - 1))
	if class > maxClass {
		return
	}
	i := class - minClass
	if len(bs.free[i])*size < classBytes {
		bs.free[i] = append(bs.free[i], b[:0])
	}
}

// lose gives back the share of the budget of a buffer that is not used again. Any
// goroutine may call it.
func (bs *buffers) lose(b []byte) {
	if cap(b) >= countedMin {
		bs.budget.give(cap(b))
	}
}

// grow returns b with room for n bytes more, moved to a larger buffer if needed.
// The larger one has at most twice the size of its contents, so memory follows
// the bytes that have come and not those that were announced. Nil: the budget is
// used up, and b is unchanged.
func (bs *buffers) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := bs.get(len(b) + n)
	if bigger == nil {
		return nil
	}
	bigger = append(bigger, b...)
	bs.put(b)
	return bigger
}

// trim drops the free buffers that were not needed since the last trim.
func (bs *buffers) trim() {
	for i, free := range bs.free {
		keep := len(free) - min(bs.least[i], len(free))
		clear(free[keep:])
		if bs.free[i] = free[:keep]; keep == 0 {
			bs.free[i] = nil
		}
		bs.least[i] = keep
	}
	if len(bs.in)+len(bs.out) > 64 {
		bs.in, bs.out = nil, nil
	}
}

func (bs *buffers) getIn() *inbound {
	if n := len(bs.in); n > 0 {
		in := bs.in[n-1]
		bs.in = bs.in[:n-1]
		return in
	}
	return new(inbound)
}

func (bs *buffers) putIn(in *inbound) {
	bs.put(in.msg)
	bs.put(in.stashed)
	*in = inbound{}
	if len(bs.in) < keptBlocks {
		bs.in = append(bs.in, in)
	}
}

func (bs *buffers) getOut() *outbound {
	if n := len(bs.out); n > 0 {
		o := bs.out[n-1]
		bs.out = bs.out[:n-1]
		return o
	}
	return new(outbound)
}

func (bs *buffers) putOut(o *outbound) {
	bs.put(o.buf)
	*o = outbound{}
	if len(bs.out) < keptBlocks {
		bs.out = append(bs.out, o)
	}
}
