package umf

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
)

// fewKeys is the number of keys up to which each is compared with each. Beyond that
// a hash table is faster, and bounds the work on objects with very many keys.
const fewKeys = 16

// maxScratch bounds the members that a canonicalizer keeps between values.
const maxScratch = 4096

// appendCanonicalValue appends a valid JSON value as
// JSON.stringify(JSON.parse(raw)) writes it. repeats reports that an object in
// it has a key twice.
func appendCanonicalValue(dst, raw []byte) (_ []byte, repeats bool) {
	c := canonicalizers.Get().(*canonicalizer)
	c.repeats = false
	dst, _ = c.value(dst, raw, 0)
	repeats = c.repeats
	if cap(c.members) <= maxScratch && cap(c.text) <= 16*maxScratch {
		canonicalizers.Put(c)
	}
	return dst, repeats
}

var canonicalizers = sync.Pool{New: func() any { return &canonicalizer{seed: maphash.MakeSeed()} }}

// canonicalizer writes values in canonical form straight into the output. The
// members of an object are put in order when they all are there, and only if
// they are not already: so the work is a pass over the text and, for each level
// of such objects, a copy of the output.
type canonicalizer struct {
	repeats bool // an object had a key twice

	// Scratch space, kept from one value to the next.
	members []placed // of all objects that are open, the innermost's last
	order   []int32  // of the object just closed: its members that remain
	table   []int32  // hash table over its keys: index of a member + 1
	text    []byte   // its members in order
	seed    maphash.Seed
}

// placed says where in the output a member's key and value are.
type placed struct {
	key, keyEnd     int
	value, valueEnd int
	index           int64 // what an integer-like key stands for, -1 for other keys
}

// value appends the value at i and returns the index after it.
func (c *canonicalizer) value(dst, b []byte, i int) ([]byte, int) {
	switch b[i] {
	case '{':
		return c.object(dst, b, i+1)
	case '[':
		return c.array(dst, b, i+1)
	case '"':
		return appendCanonicalString(dst, b, i+1)
	case 't', 'n':
		return append(dst, b[i:i+4]...), i + 4
	case 'f':
		return append(dst, b[i:i+5]...), i + 5
	}
	end, _ := skipNumber(b, i)
	return appendCanonicalNumber(dst, b[i:end]), end
}

// array appends the rest of an array whose bracket is before i.
func (c *canonicalizer) array(dst, b []byte, i int) ([]byte, int) {
	dst = append(dst, '[')
	i = space(b, i)
	for b[i] != ']' {
		dst, i = c.value(dst, b, i)
		if i = space(b, i); b[i] == ',' {
			dst = append(dst, ',')
			i = space(b, i+1)
		}
	}
	return append(dst, ']'), i + 1
}

// object appends the rest of an object whose brace is before i.
func (c *canonicalizer) object(dst, b []byte, i int) ([]byte, int) {
	dst = append(dst, '{')
	start, first := len(dst), len(c.members)
	i = space(b, i)
	for b[i] != '}' {
		var m placed
		m.key = len(dst)
		dst, i = appendCanonicalString(dst, b, i+1)
		m.keyEnd = len(dst)
		m.index = integerKey(dst[m.key:m.keyEnd])
		dst = append(dst, ':')
		m.value = len(dst)
		i = space(b, i) + 1 // the colon
		dst, i = c.value(dst, b, space(b, i))
		m.valueEnd = len(dst)
		c.members = append(c.members, m)
		if i = space(b, i); b[i] == ',' {
			dst = append(dst, ',')
			i = space(b, i+1)
		}
	}
	members := c.members[first:]
	unique := c.unique(dst, members)
	if !unique || !inOrder(members) {
		dst = c.rearrange(dst, start, members)
	}
	c.repeats = c.repeats || !unique
	c.members = c.members[:first]
	return append(dst, '}'), i + 1
}

// inOrder reports whether members stand as JavaScript enumerates them:
// integer-like keys first and rising, the others as they were added.
func inOrder(members []placed) bool {
	last, names := int64(-1), false
	for i := range members {
		index := members[i].index
		if index < 0 {
			names = true
			continue
		}
		if names || index <= last {
			return false
		}
		last = index
	}
	return true
}

// unique puts into c.order the members that remain when of equal keys the last
// value counts, in the place of the first. It reports whether all do.
func (c *canonicalizer) unique(dst []byte, members []placed) bool {
	c.order = c.order[:0]
	if len(members) > fewKeys {
		c.clearTable(len(members))
	}
	for i := range members {
		m := members[i]
		if first := c.first(dst, members, i); first != i {
			members[first].value, members[first].valueEnd = m.value, m.valueEnd
			continue
		}
		c.order = append(c.order, int32(i))
	}
	return len(c.order) == len(members)
}

// first returns the first of members with the key of number i.
func (c *canonicalizer) first(dst []byte, members []placed, i int) int {
	key := dst[members[i].key:members[i].keyEnd]
	if len(members) <= fewKeys {
		for k := range members[:i] {
			if string(dst[members[k].key:members[k].keyEnd]) == string(key) {
				return k
			}
		}
		return i
	}
	// Senders choose the keys: the hash is seeded, so that they cannot choose
	// keys that collide.
	mask := uint64(len(c.table) - 1)
	for slot := maphash.Bytes(c.seed, key) & mask; ; slot = (slot + 1) & mask {
		k := int(c.table[slot]) - 1
		if k < 0 {
			c.table[slot] = int32(i + 1)
			return i
		}
		if string(dst[members[k].key:members[k].keyEnd]) == string(key) {
			return k
		}
	}
}

// clearTable makes an empty table that n keys fill by half at most.
func (c *canonicalizer) clearTable(n int) {
	size := 4 * fewKeys
	for size < 2*n {
		size *= 2
	}
	if cap(c.table) < size {
		c.table = make([]int32, size)
		return
	}
	c.table = c.table[:size]
	clear(c.table)
}

// rearrange writes the members in c.order again from start on, integer-like
// keys first.
func (c *canonicalizer) rearrange(dst []byte, start int, members []placed) []byte {
	slices.SortStableFunc(c.order, func(a, b int32) int {
		// As unsigned numbers, the -1 of other keys comes after every index.
		return cmp.Compare(uint64(members[a].index), uint64(members[b].index))
	})
	c.text = c.text[:0]
	for n, i := range c.order {
		m := members[i]
		if n > 0 {
			c.text = append(c.text, ',')
		}
		c.text = append(c.text, dst[m.key:m.keyEnd]...)
		c.text = append(c.text, ':')
		c.text = append(c.text, dst[m.value:m.valueEnd]...)
	}
	return append(dst[:start], c.text...)
}

// integerKey returns the number of an integer-like key, in quotes, and -1 for other
// keys. Integer-like is the decimal form of 0 to 2^32-2, which ECMA-262 calls an
// array index.
func integerKey(key []byte) int64 {
	digits := key[1 : len(key)-1]
	if len(digits) == 0 || len(digits) > 10 || digits[0] == '0' && len(digits) > 1 {
		return -1
	}
	n := int64(0)
	for _, c := range digits {
		if c-'0' > 9 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	if n > 1<<32-2 {
		return -1
	}
	return n
}
