package tail

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"hydrant/bus/scheme"
)

var now = time.Date(2026, 1, 12, 20, 0, 0, 0, time.UTC)

func endless(int) bool { return true }

func add(t *testing.T, tail *Tail, c Copy) {
	t.Helper()
	if v := tail.Add(&c, now, endless); v != Kept {
		t.Fatalf("%+v: %v", c, v)
	}
}

func parse(t *testing.T, b []byte) Part {
	t.Helper()
	p, err := ParsePart(b, nil)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return p
}

// TestParts: what was added comes out as it was, in parts of any size.
func TestParts(t *testing.T) {
	copies := []Copy{
		{Seq: 21, Prev: 20, Payload: []byte("one")},
		{Seq: 30, Prev: 21, Time: 7, Place: true, Holder: math.MaxUint64, TTL: true},
		{Seq: 1 << 60, Prev: 0, Time: math.MaxInt64, Trace: "00-x", Payload: []byte{}},
		{Seq: math.MaxUint64, Prev: 1 << 60, TTL: true, Payload: bytes.Repeat([]byte("x"), 300)},
	}
	tail := New(20)
	for _, c := range copies {
		add(t, tail, c)
	}
	for most := range 500 {
		var got []Copy
		after := uint64(20)
		for {
			b := tail.Part(9, after, most, now)
			p := parse(t, b)
			if p.Holder != 9 || p.End != math.MaxUint64 || len(b) > max(most, headSize) {
				t.Fatalf("%d bytes of %d: %+v", len(b), most, p)
			}
			if len(p.Copies) == 0 {
				break
			}
			got = append(got, p.Copies...)
			after = got[len(got)-1].Seq
		}
		if want := copies[:len(got)]; !reflect.DeepEqual(got, append([]Copy(nil), want...)) {
			t.Fatalf("at most %d: %+v", most, got)
		}
		if most > 400 && len(got) != len(copies) {
			t.Fatalf("at most %d: %d copies", most, len(got))
		}
	}
}

// TestLinks: nothing is kept behind a copy that has not come, nor what comes again.
func TestLinks(t *testing.T) {
	for name, c := range map[string]struct {
		next   Copy
		want   Verdict
		closed bool
	}{
		"the next":       {Copy{Seq: 40, Prev: 30}, Kept, false},
		"one is gone":    {Copy{Seq: 40, Prev: 0}, Kept, false},
		"one is missing": {Copy{Seq: 40, Prev: 31}, Broken, true},
		"the last again": {Copy{Seq: 30, Prev: 20}, Back, false},
		"one before":     {Copy{Seq: 21, Prev: 20}, Back, false},
	} {
		tail := New(20)
		add(t, tail, Copy{Seq: 30, Prev: 20})
		if got := tail.Add(&c.next, now, endless); got != c.want || tail.Closed() != c.closed {
			t.Errorf("%s: %v, closed %v", name, got, tail.Closed())
		}
		if c.closed {
			if got := tail.Add(&Copy{Seq: 50, Prev: 30}, now, endless); got != Full {
				t.Errorf("%s: then %v", name, got)
			}
		}
		if p := parse(t, tail.Part(1, 20, MaxPart, now)); len(p.Copies) == 0 || p.Copies[0].Seq != 30 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestBounds: neither a tail nor all of them take more than they may, and what there is
// stays.
func TestBounds(t *testing.T) {
	tail, budget := New(0), NewBudget(1<<20)
	if !budget.Begin("a", 1) {
		t.Fatal("no room")
	}
	n := uint64(0)
	payload := make([]byte, 1000)
	for tail.Add(&Copy{Seq: n + 1, Prev: n, Payload: payload}, now, budget.Room) == Kept {
		n++
	}
	if n < 400 || tail.Bytes() > maxBytes || !tail.Closed() || tail.End() != n {
		t.Errorf("%d copies, %d bytes", n, tail.Bytes())
	}
	if _, taken := budget.Held(); taken != int64(tail.Bytes()+overhead) {
		t.Errorf("%d are counted, %d bytes", taken, tail.Bytes())
	}
	second := New(0)
	if !budget.Begin("b", 1) {
		t.Fatal("no room")
	}
	var m uint64
	for second.Add(&Copy{Seq: m + 1, Prev: m, Payload: payload}, now, budget.Room) == Kept {
		m++
	}
	tails, taken := budget.Held()
	if m == 0 || tails != 2 || taken > 1<<20 || !second.Closed() {
		t.Errorf("%d copies, %d bytes of %d tails", m, taken, tails)
	}
	budget.End("a", 1, tail.Bytes())
	budget.End("b", 1, second.Bytes())
	if tails, taken := budget.Held(); tails != 0 || taken != 0 {
		t.Errorf("%d tails, %d bytes are left", tails, taken)
	}
	if NewBudget(0).Begin("a", 1) {
		t.Error("a tail without room")
	}
}

// TestNumber: there are so many and no more, and each is where it was begun last.
func TestNumber(t *testing.T) {
	budget := NewBudget(1 << 40)
	for range maxTails {
		if !budget.Begin(scheme.NewSID(), 0) {
			t.Fatal("refused below the bound")
		}
	}
	if budget.Begin(scheme.NewSID(), 0) {
		t.Error("taken beyond the bound")
	}
	budget = NewBudget(1 << 20)
	budget.Begin("a", 1)
	budget.Begin("a", 2)
	budget.End("a", 1, 0)
	if loop, there := budget.Place("a"); loop != 2 || !there {
		t.Errorf("%d, %v", loop, there)
	}
	budget.End("a", 2, 0)
	if _, there := budget.Place("a"); there {
		t.Error("it stays")
	}
}

// TestLife: of a message whose time to live is over only the place is handed on.
func TestLife(t *testing.T) {
	tail := New(0)
	add(t, tail, Copy{Seq: 1, Payload: []byte("short"), TTL: true, Life: time.Second})
	add(t, tail, Copy{Seq: 2, Prev: 1, Payload: []byte("long")})
	for after, gone := range map[time.Duration]bool{0: false, time.Second - 1: false, time.Second: true, time.Hour: true} {
		p := parse(t, tail.Part(1, 0, MaxPart, now.Add(after)))
		if len(p.Copies) != 2 || p.Copies[0].Place != gone || !p.Copies[0].TTL || (p.Copies[0].Payload == nil) != gone || string(p.Copies[1].Payload) != "long" {
			t.Errorf("after %v: %+v", after, p.Copies)
		}
	}
}

// TestNone is of no holder, and has no copies.
func TestNone(t *testing.T) {
	if p := parse(t, None); p.Holder != 0 || p.End != 0 || p.Copies != nil {
		t.Errorf("%+v", p)
	}
}

// FuzzParsePart: whatever a node says is read, or refused, and copies are in order.
func FuzzParsePart(f *testing.F) {
	tail := New(20)
	tail.Add(&Copy{Seq: 21, Prev: 20, Payload: []byte("one"), Trace: "t", TTL: true, Life: time.Hour}, now, endless)
	tail.Add(&Copy{Seq: 30, Prev: 21, Time: 7, Place: true, Holder: 3}, now, endless)
	f.Add(tail.Part(9, 0, MaxPart, now))
	f.Add(tail.Part(9, 21, MaxPart, now))
	f.Add(None)
	f.Add([]byte{1})
	f.Add([]byte("-ERR"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePart(b, nil)
		if err != nil {
			if !errors.Is(err, ErrPart) || p.Copies != nil {
				t.Errorf("%v, %+v", err, p)
			}
			return
		}
		last := uint64(0)
		for _, c := range p.Copies {
			if c.Seq <= last || c.Prev >= c.Seq || c.Seq > p.End {
				t.Fatalf("%+v", p)
			}
			last = c.Seq
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	payload := make([]byte, 200)
	b.ReportAllocs()
	var tail *Tail
	for i := range b.N {
		if i%1000 == 0 {
			tail = New(0)
		}
		n := uint64(i % 1000)
		tail.Add(&Copy{Seq: n + 1, Prev: n, Payload: payload, Time: 1}, now, endless)
	}
}
