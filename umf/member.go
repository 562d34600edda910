package umf

import "bytes"

// Members walks over the members of a JSON object, such as a message's headers, in
// the order received: [Members.Next], then Key and Value. Nothing is allocated.
type Members struct {
	raw        []byte
	next       int  // index of the next key; 0: there is none
	broken     bool // that was no JSON
	key, value span
}

// EachMember begins to walk over raw. Where that is no object, or no JSON, the walk
// ends.
func EachMember(raw []byte) Members {
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return Members{}
	}
	i = space(raw, i+1)
	if i >= len(raw) || raw[i] == '}' {
		return Members{}
	}
	return Members{raw: raw, next: i}
}

// Next goes to the next member, and reports whether there is one.
func (m *Members) Next() bool {
	if m.next == 0 {
		return false
	}
	keyEnd, start, f := skipKey(m.raw, m.next)
	end := start
	if f == faultNone {
		end, f = skipValue(m.raw, start, 1)
	}
	i := space(m.raw, end)
	if f != faultNone || i >= len(m.raw) || m.raw[i] != '}' && m.raw[i] != ',' {
		m.next, m.broken = 0, true
		return false
	}
	m.key, m.value = span{uint32(m.next), uint32(keyEnd)}, span{uint32(start), uint32(end)}
	m.next = 0
	if m.raw[i] == ',' {
		m.next = space(m.raw, i+1)
	}
	return true
}

// Key returns the inside of the key's string, as it was received.
func (m *Members) Key() []byte { return m.raw[m.key.start+1 : m.key.end-1 : m.key.end-1] }

// Value returns the value as it was received.
func (m *Members) Value() []byte { return m.raw[m.value.start:m.value.end:m.value.end] }

// Member returns the value of a key in a JSON object, such as a message's body,
// as it was received; nil if raw is no object, or has no such key. Keys are read
// as [Scan] reads them: case matters, escapes are decoded, and of a key that is
// there twice the last value counts. (encoding/json takes ID for id.) Nothing is
// allocated, unless keys have escapes.
func Member(raw []byte, key string) (value []byte) {
	m := EachMember(raw)
	for m.Next() {
		if decodesTo(m.Key(), key) {
			value = m.Value()
		}
	}
	if m.broken {
		return nil
	}
	return value
}

// MemberText is [Member] for a string, decoded. ok is false if there is no such
// key, or another kind of value.
func MemberText(raw []byte, key string) (text string, ok bool) {
	value := Member(raw, key)
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return decodeText(value), true
}

// decodesTo reports whether the inside of a JSON string stands for text.
func decodesTo(inner []byte, text string) bool {
	if string(inner) == text {
		return true
	}
	return bytes.IndexByte(inner, '\\') >= 0 && string(appendDecoded(nil, inner)) == text
}
