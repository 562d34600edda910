package session

import (
	"encoding/binary"
	"math"
	"strings"
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
	f.Add([]byte("001A0007200090010020702"))
	f.Add([]byte("001A0007200090010020702x" + strings.Repeat("0", 60)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &tape{b}
		o := &Options{Window: 1 + int(p.byte()%4), HeldMessages: 1 + int(p.byte()%4), HeldBytes: 20, Batch: 3}
		s, fx := newSession(Class(p.byte()%2), o), &wary{t: t}
		fx.s = s
		for len(p.b) > 0 {
			fx.act(s, p)
			checkReader(t, s, fx.reading)
			if h := s.log.held; h.len() > o.HeldMessages || h != nil && h.bytes > o.HeldBytes {
				t.Fatalf("%d copies, %d bytes held", h.len(), h.bytes)
			}
			if s.Unconfirmed() > o.Window {
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
	s       *Session
	last    uint64 // x-seq of the last message or gap
	began   bool   // there was one
	gap     *Gap   // the last one was this gap
	reading bool
	tailing bool
	mute    bool // there is no tail
	narrow  bool // the next write fills the queue
	full    bool
}

func (w *wary) Read(_, _ uint64, max int) {
	if w.reading || w.full || max < 0 {
		w.t.Fatalf("read while reading %v, full %v, max %d", w.reading, w.full, max)
	}
	w.reading = true
}

func (w *wary) Tail(after, to uint64) bool {
	if w.reading || w.full || to <= after {
		w.t.Fatalf("tail after %d to %d while reading %v, full %v", after, to, w.reading, w.full)
	}
	w.reading, w.tailing = !w.mute, !w.mute
	return !w.mute
}

// copies answers a question for a tail, or comes without one.
func (w *wary) copies(s *Session, p *tape) {
	if w.reading && !w.tailing {
		return
	}
	var list []Copy
	for range p.byte() % 5 {
		f := p.byte()
		c := Copy{Seq: p.seq(), Prev: p.seq(), Time: int64(p.byte()), TTL: f&1 != 0, Payload: make([]byte, f>>4)}
		if f&2 != 0 {
			c.Mark = 1
		}
		list = append(list, c)
	}
	w.reading, w.tailing = false, false
	s.Copies(list, w)
}

// chain checks that a message or gap continues the one before.
func (w *wary) chain(seq, prev uint64) {
	if w.began && w.s.Class() == Acked && prev != w.last {
		w.t.Fatalf("x-prev %d after x-seq %d", prev, w.last)
	}
	w.last, w.began = seq, true
}

func (w *wary) Gap(g Gap) bool {
	switch {
	case g.From > g.To:
		w.t.Fatalf("gap from %d to %d", g.From, g.To)
	case w.s.Class() == Plain:
		return true
	case w.gap != nil && w.gap.Why != Rollback && g.Why != Rollback && g.From <= w.gap.To && g.To >= w.gap.From:
		w.t.Fatalf("gap %+v after %+v", g, *w.gap)
	case w.began && g.Why != Rollback && g.Seq < g.Prev:
		w.t.Fatalf("gap %+v", g)
	}
	w.chain(g.Seq, g.Prev)
	w.gap = &g
	return true
}

func (w *wary) Write(m Out) bool {
	w.chain(m.Seq, m.Prev)
	w.gap = nil
	w.full = w.full || w.narrow
	w.narrow = false
	return !w.full
}

// act makes one event happen.
func (w *wary) act(s *Session, p *tape) {
	switch p.byte() % 14 {
	case 0:
		at := Position{Floor: p.seq(), Seen: p.seq()}
		f := p.byte()
		at.Old, at.FloorTime, at.Tail = f&8 != 0, int64(f>>4), f&4 != 0
		s.Attach(at, f%4 == 0, false, w)
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
		if w.tailing {
			return
		}
		w.reading = false
		b := Batch{Anchor: AnchorState(p.byte() % 4), AnchorTime: int64(p.byte()), Next: p.seq(), Last: p.seq(), Oldest: p.seq(), Msgs: p.msgs()}
		f := p.byte()
		if f%8 == 7 {
			b.Err = errTest
		}
		b.HasLast = f&16 != 0
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
	case 13:
		w.mute = p.byte()%4 == 0
		w.copies(s, p)
	case 12:
		switch p.byte() {
		case 98:
			s.Disconnected(w)
		case 99:
			s.Stop()
		}
		w.narrow = p.byte()%2 == 0
	}
}
