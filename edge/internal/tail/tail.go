package tail

import (
	"time"
)

// Verdict says what became of a copy.
type Verdict uint8

const (
	// Kept: it is there.
	Kept Verdict = iota
	// Full: there is no room for it. What there is stays good; no more is taken.
	Full
	// Broken: the copy before it has not come. As Full.
	Broken
	// Back: it is at or below the end of what there is. It may be of another log, and so
	// may all the rest be: the owner drops the tail.
	Back
)

// maxBytes bounds one tail.
const maxBytes = 512 << 10

// growth is the least by which a tail's room grows. It grows by a quarter: a tail is made
// for a while only, and what is left empty is another's room.
const growth = 512

// Tail is what came for one session since it was parked. For one goroutine.
type Tail struct {
	from   uint64 // the sequence up to which the session had all
	end    uint64 // of the last copy
	packed []byte
	closed bool // no more is taken
}

// New returns the tail of a session that had everything up to a sequence.
func New(from uint64) *Tail { return &Tail{from: from, end: from} }

// End is the sequence of the last copy.
func (t *Tail) End() uint64 { return t.end }

// Bytes is what the tail takes, without what every tail takes.
func (t *Tail) Bytes() int { return cap(t.packed) }

// Closed reports whether no more copies are taken.
func (t *Tail) Closed() bool { return t.closed }

// Fits reports whether all of the tail fits into a part of so many bytes.
func (t *Tail) Fits(most int) bool { return headSize+len(t.packed) <= most }

// Close takes no more copies.
func (t *Tail) Close() { t.closed = true }

// Add keeps a copy, if room for so many bytes more is left to all tails. c.Payload and
// c.Trace are copied. now is the time of this node.
func (t *Tail) Add(c *Copy, now time.Time, room func(bytes int) bool) Verdict {
	switch {
	case c.Seq <= t.end:
		return Back
	case t.closed:
		return Full
	case c.Prev > t.end:
		t.closed = true
		return Broken
	}
	need := len(t.packed) + c.size()
	if need > maxBytes {
		t.closed = true
		return Full
	}
	if need > cap(t.packed) {
		grown := min(max(need, cap(t.packed)+max(cap(t.packed)/4, growth)), maxBytes)
		if !room(grown - cap(t.packed)) {
			t.closed = true
			return Full
		}
		t.packed = append(make([]byte, 0, grown), t.packed...)
	}
	t.packed = c.append(t.packed, now)
	t.end = c.Seq
	return Kept
}

// Part returns what follows a sequence, packed, of about so many bytes at the most. It
// is empty where there is no more, or the next copy alone is larger.
func (t *Tail) Part(holder, after uint64, most int, now time.Time) []byte {
	b := appendHead(make([]byte, 0, min(most, headSize+len(t.packed))), holder, t.end)
	for rest := t.packed; len(rest) > 0; {
		r, size, ok := parseRecord(rest)
		if !ok {
			panic("tail: what was packed here cannot be read")
		}
		text := rest[:size]
		rest = rest[size:]
		switch {
		case r.Seq <= after:
			continue
		case r.expires != 0 && r.expires <= now.UnixNano():
			r.Copy = Copy{Seq: r.Seq, Prev: r.Prev, Time: r.Time, TTL: r.TTL, Place: true}
			text = r.Copy.append(nil, now)
		}
		if len(b)+len(text) > most {
			break
		}
		b = append(b, text...)
	}
	return b
}
