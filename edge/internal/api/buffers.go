package api

import "sync"

// buffers are those of large bodies, or of the messages that are made of them, which are
// larger: see the package's Design. Small ones are not kept. Who has put one back has no
// part of it any more. Safe for concurrent use.
type buffers struct{ kept sync.Pool } // of *[]byte

// get returns an empty buffer with room for size bytes; of nil one that is to be kept.
func (b *buffers) get(size int) []byte {
	if b == nil || size < gateLarge {
		return make([]byte, 0, size)
	}
	if p, _ := b.kept.Get().(*[]byte); p != nil && cap(*p) >= size {
		return (*p)[:0]
	}
	return make([]byte, 0, size)
}

func (b *buffers) put(p []byte) {
	if cap(p) < gateLarge {
		return
	}
	poison(p)
	b.kept.Put(&p)
}
