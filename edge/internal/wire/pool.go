package wire

import (
	"math/bits"
	"sync/atomic"
)

const (
	minClass   = 9  // 512 B
	maxClass   = 16 // 64 KiB: larger buffers are left to the collector
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

// pool holds a loop's free buffers by size. It belongs to the loop, so it
// costs no synchronisation; and since a buffer returns to it at the end of an
// iteration, as many exist as one iteration needs, however many connections
// there are.
type pool struct {
	budget *budget
	free   [classCount][][]byte
	least  [classCount]int // fewest free since the last trim: those were not needed
	in     []*inbound
	out    []*outbound
}

// get returns an empty buffer with room for n bytes, nil if the server's
// budget is used up.
func (p *pool) get(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	size := 1 << class
	if size >= countedMin && !p.budget.take(size) {
		return nil
	}
	if class > maxClass {
		return make([]byte, 0, size)
	}
	i := class - minClass
	if k := len(p.free[i]); k > 0 {
		b := p.free[i][k-1]
		p.free[i] = p.free[i][:k-1]
		p.least[i] = min(p.least[i], k-1)
		return b
	}
	return make([]byte, 0, size)
}

// put takes back what get gave.
func (p *pool) put(b []byte) {
	size := cap(b)
	if size == 0 {
		return
	}
	poison(b[:size])
	p.lose(b)
	class := bits.Len(uint(size - 1))
	if class > maxClass {
		return
	}
	i := class - minClass
	if len(p.free[i])*size < classBytes {
		p.free[i] = append(p.free[i], b[:0])
	}
}

// lose is put for a buffer that is not used again; any goroutine may call it.
func (p *pool) lose(b []byte) {
	if cap(b) >= countedMin {
		p.budget.give(cap(b))
	}
}

// grow returns b with room for n bytes more, moved to a larger buffer if need
// be: at most twice what is in it, so that memory follows the bytes that have
// come and not those that were announced. Nil: the budget is used up, and b
// is as it was.
func (p *pool) grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := p.get(len(b) + n)
	if bigger == nil {
		return nil
	}
	bigger = append(bigger, b...)
	p.put(b)
	return bigger
}

// trim drops the free buffers that nobody needed since the last trim.
func (p *pool) trim() {
	for i, free := range p.free {
		keep := len(free) - min(p.least[i], len(free))
		clear(free[keep:])
		if p.free[i] = free[:keep]; keep == 0 {
			p.free[i] = nil
		}
		p.least[i] = keep
	}
	if len(p.in)+len(p.out) > 64 {
		p.in, p.out = nil, nil
	}
}

func (p *pool) getIn() *inbound {
	if n := len(p.in); n > 0 {
		in := p.in[n-1]
		p.in = p.in[:n-1]
		return in
	}
	return new(inbound)
}

func (p *pool) putIn(in *inbound) {
	p.put(in.msg)
	p.put(in.held)
	*in = inbound{}
	if len(p.in) < keptBlocks {
		p.in = append(p.in, in)
	}
}

func (p *pool) getOut() *outbound {
	if n := len(p.out); n > 0 {
		o := p.out[n-1]
		p.out = p.out[:n-1]
		return o
	}
	return new(outbound)
}

func (p *pool) putOut(o *outbound) {
	p.put(o.buf)
	*o = outbound{}
	if len(p.out) < keptBlocks {
		p.out = append(p.out, o)
	}
}
