package session

import (
	"testing"
	"time"
	"unsafe"
)

// sink performs effects by ignoring them, and remembers what it must.
type sink struct {
	marks   uint64
	pinged  uint64
	written uint64
	state   State
}

func (f *sink) NextMark() uint64         { f.marks++; return f.marks }
func (f *sink) Mark(uint64, bool)        {}
func (f *sink) Read(uint64, uint64, int) {}
func (f *sink) Tail(_, _ uint64) bool    { return false }
func (f *sink) Timer(time.Duration)      {}
func (f *sink) Write(m Out) bool         { f.written = m.Seq; return true }
func (f *sink) Gap(Gap) bool             { return true }
func (f *sink) Ping(token uint64)        { f.pinged = token }
func (f *sink) Attached() bool           { return true }
func (f *sink) Dirty()                   {}
func (f *sink) State(_, new State)       { f.state = new }
func (f *sink) Count(Event)              {}

// newSession makes a session that is not embedded in an owner.
func newSession(class Class, o *Options) *Session {
	s := new(Session)
	s.Init(class, o)
	return s
}

// live returns a session that is live at sequence 21.
func live(tb testing.TB, class Class, o *Options) (*Session, *sink) {
	s, fx := newSession(class, o), &sink{}
	s.Attach(Position{Floor: 20, Seen: 20}, false, false, fx)
	s.Live(Copy{Seq: 21, Prev: 20, Mark: fx.marks, TTL: true, Time: 1}, fx)
	if s.State() != Live {
		tb.Fatalf("state %v", s.State())
	}
	return s, fx
}

// confirm answers for the client.
func confirm(tb testing.TB, s *Session, fx *sink) {
	if s.Class() == Plain {
		s.Pong(fx.pinged, fx)
	} else if err := s.Ack(fx.written, fx); err != nil {
		tb.Fatal(err)
	}
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 224 {
		t.Errorf("a session takes %d bytes", n)
	}
}

func TestQuietSessionOwnsNoBuffers(t *testing.T) {
	s, fx := live(t, Acked, &Options{})
	s.Live(Copy{Seq: 30, Prev: 29}, fx)
	if s.log.held == nil {
		t.Fatal("nothing is held")
	}
	s.Batch(Batch{Anchor: Present, Msgs: []Stored{{Seq: 29}}}, fx)
	if s.confirm.sent == nil {
		t.Fatal("nothing is unconfirmed")
	}
	confirm(t, s, fx)
	if s.State() != Live || s.log.held != nil || s.confirm.sent != nil {
		t.Errorf("state %v, held %v, sent %v", s.State(), s.log.held, s.confirm.sent)
	}
}

// TestAllocs: neither a live message nor its confirmation allocates, nor does
// a copy that is held for a moment.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	payload := make([]byte, 100)
	for _, class := range []Class{Plain, Acked} {
		t.Run(class.String(), func(t *testing.T) {
			s, fx := live(t, class, &Options{})
			seq := s.Cursor()
			one := func() {
				s.Live(Copy{Seq: seq + 1, Prev: seq, Payload: payload, Time: int64(seq)}, fx)
				seq++
				confirm(t, s, fx)
			}
			if n := testing.AllocsPerRun(1000, one); n != 0 {
				t.Errorf("live: %v allocations a message", n)
			}
			msgs := make([]Stored, 1)
			lost := func() {
				s.Live(Copy{Seq: seq + 2, Prev: seq + 1, Payload: payload}, fx)
				msgs[0] = Stored{Seq: seq + 1, Payload: payload}
				s.Batch(Batch{Anchor: Present, Msgs: msgs}, fx)
				seq += 2
				confirm(t, s, fx)
				confirm(t, s, fx)
			}
			if n := testing.AllocsPerRun(1000, lost); n != 0 {
				t.Errorf("held: %v allocations a message", n)
			}
			if s.State() != Live || s.Floor() != seq {
				t.Errorf("state %v floor %d, want live at %d", s.State(), s.Floor(), seq)
			}
		})
	}
}

func BenchmarkLive(b *testing.B) {
	payload := make([]byte, 100)
	for _, class := range []Class{Plain, Acked} {
		b.Run(class.String(), func(b *testing.B) {
			s, fx := live(b, class, &Options{})
			seq := s.Cursor()
			b.ReportAllocs()
			for b.Loop() {
				s.Live(Copy{Seq: seq + 1, Prev: seq, Payload: payload, Time: int64(seq)}, fx)
				seq++
				confirm(b, s, fx)
			}
		})
	}
}

// BenchmarkAttach is a resume that has missed nothing.
func BenchmarkAttach(b *testing.B) {
	var s Session
	o, fx := &Options{}, &sink{}
	b.ReportAllocs()
	for b.Loop() {
		s.Init(Plain, o)
		s.Attach(Position{Floor: 20, Seen: 20}, false, false, fx)
		s.Live(Copy{Seq: 21, Prev: 20, Mark: fx.marks, TTL: true}, fx)
		s.Stop()
	}
}
