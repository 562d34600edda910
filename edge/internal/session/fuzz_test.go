package session

import (
	"encoding/binary"
	"math"
	"testing"
)

// tape hands out numbers from fuzzed bytes.
type tape struct{ b []byte }

func (p *tape) byte() byte {
	if len(p.b) == 0 {
		return 0
	}
	c := p.b[0]
	p.b = p.b[1:]
	return c
}

// seq returns a number near the others, or an extreme one.
func (p *tape) seq() uint64 {
	c := p.byte()
	switch {
	case c == 255:
		return math.MaxUint64
	case c == 254:
		return 1 << 63
	case c > 250:
		var w [8]byte
		for i := range w {
			w[i] = p.byte()
		}
		return binary.BigEndian.Uint64(w[:])
	}
	return uint64(c % 40)
}

func (p *tape) msgs() []Stored {
	var out []Stored
	for range p.byte() % 5 {
		f := p.byte()
		out = append(out, Stored{Seq: p.seq(), Time: int64(p.seq()), Mark: f&1 != 0, TTL: f&2 != 0, Payload: make([]byte, f>>4)})
	}
	return out
}

// FuzzEvents drives a session with any events in any order, also such that no
// owner would cause. It must not panic, nor exceed its bounds.
func FuzzEvents(f *testing.F) {
	f.Add([]byte{0, 0, 20, 20, 2, 0, 21, 20, 1, 0, 2, 16, 30, 29, 0, 0})
	f.Add([]byte{1, 1, 2, 2, 8, 7, 1, 0, 2, 16, 9, 8, 0, 0, 5, 9, 6, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &tape{b}
		o := &Options{Window: 1 + int(p.byte()%4), HeldMessages: 1 + int(p.byte()%4), HeldBytes: 20, Batch: 3}
		s, fx := newSession(Class(p.byte()%2), o), &wary{t: t}
		for len(p.b) > 0 {
			fx.act(s, p)
			checkReader(t, s, fx.reading)
			if h := s.log.held; h.len() > o.HeldMessages || h != nil && h.bytes > o.HeldBytes {
				t.Fatalf("%d copies, %d bytes held", h.len(), h.bytes)
			}
			if over := s.Unconfirmed() - o.Window; over > 0 && over > int(s.confirm.rolled) {
				t.Fatalf("%d unconfirmed", s.Unconfirmed())
			}
		}
	})
}

// checkReader compares the state of the reader with the owner's view and with
// the state of the session.
func checkReader(t *testing.T, s *Session, outstanding bool) {
	t.Helper()
	r := s.reader.state
	if s.active() && s.reader.outstanding() != outstanding ||
		s.state == Attaching && r != notReading && r != readingVoid ||
		s.state == Live && r != notReading {
		t.Fatalf("reader state %d while %v, a read is outstanding: %v", r, s.state, outstanding)
	}
}

// wary performs effects by checking that they are allowed.
type wary struct {
	sink
	t       *testing.T
	reading bool
	narrow  bool // the next write fills the queue
	full    bool
}

func (w *wary) Read(_, _ uint64, max int) {
	if w.reading || w.full || max < 0 {
		w.t.Fatalf("read while reading %v, full %v, max %d", w.reading, w.full, max)
	}
	w.reading = true
}

func (w *wary) Write(Out) bool {
	w.full = w.full || w.narrow
	w.narrow = false
	return !w.full
}

// act makes one event happen.
func (w *wary) act(s *Session, p *tape) {
	switch p.byte() % 13 {
	case 0:
		s.Attach(p.seq(), p.seq(), p.byte()%4 == 0, false, w)
	case 1:
		s.Reattach(false, w)
	case 2, 3, 4:
		f := p.byte()
		c := Copy{Seq: p.seq(), Prev: p.seq(), Time: int64(p.byte()), TTL: f&1 != 0, Payload: make([]byte, f>>4)}
		if f&2 != 0 {
			c.Mark = w.marks
		}
		s.Live(c, w)
	case 5, 6:
		w.reading = false
		b := Batch{Anchor: AnchorState(p.byte() % 4), AnchorTime: int64(p.byte()), Next: p.seq(), Last: p.seq(), Oldest: p.seq(), Msgs: p.msgs()}
		if p.byte()%8 == 7 {
			b.Err = errTest
		}
		s.Batch(b, w)
	case 7:
		w.full = false
		s.Writable(w)
	case 8:
		s.Pong(p.seq(), w)
	case 9:
		_ = s.Ack(p.seq(), w)
	case 10:
		s.Timeout(w)
	case 11:
		s.Refresh(w)
		s.Swept(p.seq(), w)
	case 12:
		if p.byte() == 99 {
			s.Stop()
		}
		w.narrow = p.byte()%2 == 0
	}
}
