package crowd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// world is a stream, and a crowd that reads it on the test's goroutine.
type world struct {
	*Crowd
	log    []store.Boxed
	jobs   []func()
	busy   bool // nothing more can be run
	short  bool
	epoch  uint64
	limit  int // messages of a piece
	pieces []uint64
	fails  error
	during func() // a piece is read
	ended  []stats.PassEnd
	now    time.Duration
}

func newWorld(bytes int) *world {
	w := &world{limit: math.MaxInt, now: time.Hour}
	w.Crowd = New(bytes, Source{
		Stopped: context.Background(), Read: w.piece, Epoch: func() uint64 { return w.epoch },
		Ended: func(e stats.PassEnd) { w.ended = append(w.ended, e) }, Short: func() bool { return w.short },
		Run: func(job func()) bool { w.jobs = append(w.jobs, job); return !w.busy },
	})
	return w
}

func (w *world) piece(_ context.Context, _ int, from uint64, limit, _ int) (p store.Piece, err error) {
	w.pieces = append(w.pieces, from)
	if w.during != nil {
		w.during()
	}
	for _, m := range w.log {
		if m.Seq < from {
			continue
		}
		if len(p.Msgs) == min(limit, w.limit) {
			p.More = true
			break
		}
		p.Msgs, p.Last = append(p.Msgs, m), m.Seq
	}
	return p, w.fails
}

// run does what was to be run.
func (w *world) run() {
	jobs := w.jobs
	w.jobs = nil
	for _, job := range jobs {
		job()
	}
}

// sid is session i.
func sid(i int) scheme.SID { return scheme.SID(fmt.Sprintf("a%025d", i)) }

// store puts rounds of messages into the mailboxes of sessions.
func (w *world) store(sessions, rounds int) {
	for range rounds {
		for i := range sessions {
			seq := uint64(len(w.log) + 1)
			w.log = append(w.log, store.Boxed{SID: sid(i), Stored: store.Stored{Seq: seq, Time: int64(seq) * 1000, Payload: make([]byte, 100)}})
		}
	}
}

// last is the last message of a session.
func (w *world) last(i int) (seq uint64) {
	for _, m := range w.log {
		if m.SID == sid(i) {
			seq = m.Seq
		}
	}
	return seq
}

// asked is a question of a test and what came of it.
type asked struct {
	Found
	reply   Reply
	answers int
}

// ask has session i ask for all that follows its first message.
func (w *world) ask(i int, changes ...func(*Question)) *asked {
	a := new(asked)
	q := Question{SID: sid(i), Epoch: w.epoch, After: uint64(i + 1), To: w.last(i), Now: w.now, Answer: func(f Found) { a.Found, a.answers = f, a.answers+1 }}
	for _, change := range changes {
		change(&q)
	}
	if reply, found := w.Ask(q); true {
		a.reply = reply
		if reply == Here {
			a.Found = found
		}
	}
	return a
}

func (a *asked) seqs() (out []uint64) {
	for _, m := range a.Msgs {
		out = append(out, m.Seq)
	}
	return out
}

// begin has sessions ask until one waits, which is returned with how many did not.
func (w *world) begin(t *testing.T, orphan bool) (first *asked, alone int) {
	t.Helper()
	for i := range 500 {
		if a := w.ask(i, func(q *Question) { q.Orphan = orphan }); a.reply != Alone {
			return a, i
		}
	}
	t.Fatal("no pass is begun")
	return nil, 0
}

// TestSeam: between two pieces a mailbox may have dropped something. What was before the
// first of them has to be there still.
func TestSeam(t *testing.T) {
	w := newWorld(Bytes)
	w.store(50, 10)
	w.limit = 180
	a, i := w.begin(t, true)
	w.run()
	seqs := a.seqs()
	if want := w.log[w.pieces[1]-1].Seq; len(seqs) != 10 || len(w.pieces) != 3 || a.Witness >= want || !slices.Contains(seqs, a.Witness) || seqs[slices.Index(seqs, a.Witness)+1] < want {
		t.Errorf("%v with the witness %d, pieces from %v", seqs, a.Witness, w.pieces)
	}
	if a.WitnessTime != int64(a.Witness)*1000 {
		t.Errorf("it is of %d", a.WitnessTime)
	}
	if b := w.ask(i+1, func(q *Question) { q.After = w.pieces[2] + 50 }); b.reply != Here || b.Witness != 0 {
		t.Errorf("%v, %d: there is no seam in it", b.reply, b.Witness)
	}
	if b := w.ask(i+2, func(q *Question) { q.To = uint64(i + 3 + 50) }); b.reply != Here || b.Witness != 0 {
		t.Errorf("%v, %d: it ends before the seam", b.reply, b.Witness)
	}
}

// TestOnlyWhole: a session gets all that it has asked for, or nothing.
func TestOnlyWhole(t *testing.T) {
	for name, change := range map[string]func(*Question){
		"its position is not there":   func(q *Question) { q.After-- },
		"the end is not there":        func(q *Question) { q.To++ },
		"the end is before":           func(q *Question) { q.To = q.After },
		"another connection":          func(q *Question) { q.Epoch++ },
		"an older connection":         func(q *Question) { q.Epoch-- },
		"another mailbox":             func(q *Question) { q.SID = sid(9999) },
		"it only tells that it reads": func(q *Question) { q.Answer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Bytes)
			w.epoch = 7
			w.store(100, 10)
			w.begin(t, true)
			w.run()
			pass := w.of(0).pass
			i := int(pass.from) - 1 // the first one that is in it
			if pass.boxes[sid(i)][0].Seq != pass.from {
				t.Fatal("it begins elsewhere")
			}
			if a := w.ask(i, change); a.reply == Here {
				t.Errorf("it gets %v", a.seqs())
			}
			if a := w.ask(i); a.reply != Here || len(a.Msgs) != 10 {
				t.Errorf("without: %v, %v", a.reply, a.seqs())
			}
			if a := w.ask(i); a.reply == Here {
				t.Error("it gets it again")
			}
		})
	}
}

// TestVoid: what happens while a pass is read, and what it is worth then.
func TestVoid(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*world)
		end     stats.PassEnd
		whole   bool
	}{
		"nothing":             {func(*world) {}, stats.PassRead, true},
		"the connection goes": {func(w *world) { w.Void() }, stats.PassVoid, false},
		"there is another":    {func(w *world) { w.epoch++ }, stats.PassVoid, false},
		"a leader":            {func(w *world) { w.VoidPartition(0) }, stats.PassVoid, false},
		"another's leader":    {func(w *world) { w.VoidPartition(1) }, stats.PassRead, true},
		"no memory":           {func(w *world) { w.short = true }, stats.PassFull, false},
		"it is dropped":       {func(w *world) { w.Drop() }, stats.PassVoid, false},
		"NATS fails":          {func(w *world) { w.fails = errors.New("gone") }, stats.PassFailed, false},
	} {
		for _, piece := range []int{2, 3} {
			t.Run(fmt.Sprint(name, "/at piece ", piece), func(t *testing.T) {
				w := newWorld(Bytes)
				w.store(100, 10)
				w.limit = 400
				w.during = func() {
					if len(w.pieces) == piece {
						c.happens(w)
					}
				}
				a, i := w.begin(t, true)
				b := w.ask(i+1, func(q *Question) { q.Now++ })
				w.run()
				if a.answers != 1 || b.answers != 1 || (len(a.Msgs) == 10) != c.whole || (len(b.Msgs) == 10) != c.whole {
					t.Errorf("%d and %d answers with %v and %v", a.answers, b.answers, a.seqs(), b.seqs())
				}
				if len(w.ended) != 1 || w.ended[0] != c.end {
					t.Errorf("ended %v", w.ended)
				}
				if bytes, waiting := w.Held(); !c.whole && c.end != stats.PassFull && bytes != 0 || waiting != 0 {
					t.Errorf("%d bytes, %d wait", bytes, waiting)
				}
			})
		}
	}
}

// TestRestAfterFailure: no pass is begun for a while after one that has failed, nor after
// one that had no room.
func TestRestAfterFailure(t *testing.T) {
	for end, rest := range map[stats.PassEnd]time.Duration{stats.PassFailed: pause, stats.PassFull: fullPause} {
		w := newWorld(Bytes)
		w.store(100, 10)
		if end == stats.PassFailed {
			w.fails = errors.New("gone")
		}
		w.during = func() { w.short = end == stats.PassFull }
		w.begin(t, true)
		w.run()
		w.fails, w.short, w.during = nil, false, nil
		asks := func(i int) Reply { return w.ask(i, func(q *Question) { q.Orphan = true }).reply }
		for i := range 90 {
			if asks(i) != Alone {
				t.Fatalf("after %v a pass is begun at once", end)
			}
		}
		w.now += rest
		w.Tidy(w.now)
		later := slices.ContainsFunc(make([]int, 90), func(int) bool { return asks(50) == Later })
		if !later {
			t.Errorf("after %v none is begun any more", end)
		}
	}
}

// TestRoom: passes keep no more than they may, and what was dealt out makes room.
func TestRoom(t *testing.T) {
	const room = 150_000
	w := newWorld(room)
	w.store(300, 10)
	w.limit = 300
	_, i := w.begin(t, true)
	w.run()
	if bytes, _ := w.Held(); bytes == 0 || bytes > room || w.ended[0] != stats.PassFull {
		t.Errorf("%d bytes, ended %v", bytes, w.ended)
	}
	last := w.of(0).pass.last
	before, _ := w.Held()
	a := w.ask(i+1, func(q *Question) { q.To = uint64(i + 2 + 300) })
	if after, _ := w.Held(); a.reply != Here || after >= before || uint64(i+2+300) > last {
		t.Errorf("%v; %d bytes, %d before", a.reply, after, before)
	}
	if b := w.ask(i + 2); b.reply != Alone {
		t.Error("what there was no room for is given")
	}
	for j := i + 3; j < 300; j++ {
		w.ask(j, func(q *Question) { q.To = uint64(j + 1 + 300) })
	}
	w.Void()
	if bytes, _ := w.Held(); bytes != 0 {
		t.Errorf("%d bytes are left", bytes)
	}
}

// TestUnused: a pass goes when nobody has asked for a while.
func TestUnused(t *testing.T) {
	w := newWorld(Bytes)
	w.store(100, 10)
	_, i := w.begin(t, true)
	w.run()
	w.now += unused
	w.Tidy(w.now)
	if a := w.ask(i + 1); a.reply != Here {
		t.Fatal("it is gone too early")
	}
	w.now += unused
	if w.Tidy(w.now); !w.Has(0) {
		t.Error("it is gone though it was asked")
	}
	w.now++
	if w.Tidy(w.now); w.Has(0) {
		t.Error("it stays")
	}
	if bytes, _ := w.Held(); bytes != 0 {
		t.Errorf("%d bytes are left", bytes)
	}
}

// TestGoesOn: what is stored behind a pass is read from its end.
func TestGoesOn(t *testing.T) {
	w := newWorld(Bytes)
	w.store(200, 10)
	_, i := w.begin(t, true)
	w.run()
	end := uint64(len(w.log))
	w.store(200, 3)
	for j := i + 1; j < 200; j++ {
		if a := w.ask(j, func(q *Question) { q.Orphan = true }); a.reply == Later {
			w.run()
			if len(a.Msgs) != 13 || a.Witness == 0 || a.Witness > end || w.pieces[1] != end+1 {
				t.Errorf("%v with the witness %d, pieces from %v", a.seqs(), a.Witness, w.pieces)
			}
			return
		}
	}
	t.Error("it does not go on")
}

// TestNoWorker: a pass that nobody can read is not begun.
func TestNoWorker(t *testing.T) {
	w := newWorld(Bytes)
	w.store(100, 10)
	w.busy = true
	for i := range 90 {
		if w.ask(i, func(q *Question) { q.Orphan = true }).reply != Alone {
			t.Fatal("one waits for it")
		}
	}
	w.busy = false
	w.begin(t, true)
}
