package umf

import (
	"bytes"
	"math/bits"
	"unicode/utf8"
)

// Limits of a message's text.
const (
	// MaxDepth is how deep objects and arrays may be nested, the message
	// itself included.
	MaxDepth = 64

	// MaxText is the length in bytes up to which a text is scanned. What
	// connections and NATS let through is far below; the limit is what the
	// positions that an Envelope holds rest on.
	MaxText = 256 << 20
)

// Scan finds the fields of the message in text, in one pass and without
// copying or allocating. The text must be one JSON object (RFC 8259) in valid
// UTF-8, without byte order mark, nested at most [MaxDepth] deep, with nothing
// but white space around it. Otherwise the error is a [*SyntaxError] and e is
// empty.
//
// Of a key that is there twice the last value counts, of a long and a short
// key of one field the long one, unless its value is falsy (see
// [Envelope.Falsy]) and the other's is not. Keys are compared after decoding
// their escapes, and case matters.
//
// Whether it is a message that may be routed is for [Envelope.Check] to say.
func Scan(text []byte, e *Envelope) error {
	e.Reset()
	if len(text) > MaxText {
		return faultLength.at(MaxText)
	}
	// UTF-8 is checked ahead and at once, which is several times faster than
	// in each string. What comes before the first bad byte may still be at
	// fault earlier.
	valid := text
	if !utf8.Valid(text) {
		valid = validPrefix(text)
	}
	end, f := e.scan(valid)
	if len(valid) < len(text) && (f == faultNone || f == faultEnd) {
		end, f = len(valid), faultUTF8
	}
	if f != faultNone {
		e.Reset()
		return f.at(end)
	}
	e.resolve()
	return nil
}

func validPrefix(text []byte) []byte {
	i := 0
	for i < len(text) {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return text[:i]
}

// scan walks over the members of the message. It returns the index of the
// first byte that is wrong, with the fault.
func (e *Envelope) scan(b []byte) (int, fault) {
	open := space(b, 0)
	if open >= len(b) {
		return open, faultEnd
	}
	if b[open] != '{' {
		return open, faultObject
	}
	e.text, e.short = b[open:], true
	b = e.text
	i := space(b, 1)
	if i < len(b) && b[i] == '}' {
		return e.close(b, open, i+1)
	}
	for {
		key := i
		keyEnd, value, f := skipKey(b, i)
		if f != faultNone {
			return open + value, f
		}
		if i, f = skipValue(b, value, 1); f != faultNone {
			return open + i, f
		}
		e.put(member{span{uint32(key), uint32(keyEnd)}, span{uint32(value), uint32(i)}})
		i = space(b, i)
		if i >= len(b) {
			return open + i, faultEnd
		}
		switch b[i] {
		case '}':
			return e.close(b, open, i+1)
		case ',':
			i = space(b, i+1)
		default:
			return open + i, faultObjectNext
		}
	}
}

// close ends the message at end: only white space may follow.
func (e *Envelope) close(b []byte, open, end int) (int, fault) {
	if rest := space(b, end); rest < len(b) {
		return open + rest, faultTrailing
	}
	e.text = b[:end:end]
	return open + end, faultNone
}

// put takes a member of the message.
func (e *Envelope) put(m member) {
	key := e.text[m.key.start+1 : m.key.end-1]
	f, long, ok := lookupField(key)
	if !ok && bytes.IndexByte(key, '\\') >= 0 {
		e.short = false
		f, long, ok = lookupEscaped(key)
	}
	if !ok {
		e.putUnknown(m)
		return
	}
	slot := f
	if long {
		slot += fieldCount
		e.short = false
	}
	bit := uint64(1) << slot
	if e.seen&bit != 0 {
		e.short = false
	}
	e.seen |= bit
	e.values[slot] = m.value
}

func (e *Envelope) putUnknown(m member) {
	e.others++
	key := e.bytes(m.key)
	e.lookalike = e.lookalike || isLookalike(key[1:len(key)-1])
	if e.others > maxUnknown {
		e.short = false
		return
	}
	for _, u := range e.unknown[:e.others-1] {
		if bytes.Equal(e.bytes(u.key), key) {
			e.short = false
		}
	}
	e.unknown[e.others-1] = m
}

func (e *Envelope) bytes(s span) []byte { return e.text[s.start:s.end:s.end] }

// lookupEscaped is lookupField for a key with escapes in it.
func lookupEscaped(key []byte) (f Field, long, ok bool) {
	const longest = len("authorization") * len(`\u0000`)
	if len(key) > longest {
		return 0, false, false
	}
	var buf [longest]byte
	return lookupField(appendDecoded(buf[:0], key))
}

// resolve leaves one value for each field.
func (e *Envelope) resolve() {
	for longs := e.seen >> fieldCount; longs != 0; longs &= longs - 1 {
		f := Field(bits.TrailingZeros64(longs))
		if e.Has(f) && Falsy(e.bytes(e.values[fieldCount+f])) && !e.Falsy(f) {
			continue
		}
		e.values[f] = e.values[fieldCount+f]
		e.seen |= 1 << f
	}
	e.seen &= 1<<fieldCount - 1
}
