package umf

import "bytes"

// eachUnknown calls yield for every member whose key UMF does not define, with
// the key as it was received, in quotes. Of equal keys it gives the last value,
// in the place of the first.
func (e *Envelope) eachUnknown(yield func(key, value []byte)) {
	if e.others > maxUnknown {
		e.eachOfMany(yield)
		return
	}
	members := e.unknown[:e.others]
next:
	for i, m := range members {
		key, value := e.bytes(m.key), m.value
		for _, before := range members[:i] {
			if equalKeys(e.bytes(before.key), key) {
				continue next
			}
		}
		for _, after := range members[i+1:] {
			if equalKeys(e.bytes(after.key), key) {
				value = after.value
			}
		}
		yield(key, e.bytes(value))
	}
}

// eachOfMany is eachUnknown for a message with more unknown keys than the
// envelope remembers. It walks over the text, known to be valid, again; and it
// must not compare every key with every other, because a client chooses how
// many there are.
func (e *Envelope) eachOfMany(yield func(key, value []byte)) {
	members := make([]member, 0, e.others)
	place := make(map[string]int, e.others)
	for i := space(e.text, 1); e.text[i] != '}'; {
		key := i
		keyEnd, value, _ := skipKey(e.text, i)
		end, _ := skipValue(e.text, value, 1)
		if i = space(e.text, end); e.text[i] == ',' {
			i = space(e.text, i+1)
		}
		name, _ := appendCanonicalString(nil, e.text, key+1)
		if _, _, known := lookupField(name[1 : len(name)-1]); known {
			continue
		}
		m := member{span{uint32(key), uint32(keyEnd)}, span{uint32(value), uint32(end)}}
		if first, twice := place[string(name)]; twice {
			members[first].value = m.value
			continue
		}
		place[string(name)] = len(members)
		members = append(members, m)
	}
	for _, m := range members {
		yield(e.bytes(m.key), e.bytes(m.value))
	}
}

// equalKeys reports whether two keys, in quotes, are the same once decoded.
func equalKeys(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return false
	}
	// The canonical form keeps lone surrogates apart, as decoding would not.
	var left, right [128]byte
	l, _ := appendCanonicalString(left[:0], a, 1)
	r, _ := appendCanonicalString(right[:0], b, 1)
	return bytes.Equal(l, r)
}
