package crowd

import "testing"

// TestPrices: a pass is begun when that would have been cheaper, or far more will come.
func TestPrices(t *testing.T) {
	for name, c := range map[string]struct {
		sessions, rounds int
		messages         int // each that read by itself
		orphan           bool
		alone            [2]int
	}{
		"ten each":               {600, 10, 9, false, [2]int{30, 50}},
		"a hundred each":         {60, 100, 99, false, [2]int{10, 18}},
		"a node has died":        {600, 10, 9, true, [2]int{15, 16}},
		"few, and a node's end":  {20, 300, 299, true, [2]int{6, 16}},
		"only one message, many": {2000, 2, 1, false, [2]int{20, 40}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Bytes)
			w.store(c.sessions, c.rounds)
			w.Took(c.messages)
			a, alone := w.begin(t, c.orphan)
			if alone < c.alone[0] || alone > c.alone[1] {
				t.Errorf("after %d", alone)
			}
			w.run()
			if len(a.Msgs) != c.rounds || a.answers != 1 {
				t.Errorf("%d messages, %d answers", len(a.Msgs), a.answers)
			}
			if w.ask(alone+1).reply != Here {
				t.Error("the next one gets nothing")
			}
		})
	}
}

// TestFewAreNoCrowd: three sessions are none, whatever they cost.
func TestFewAreNoCrowd(t *testing.T) {
	w := newWorld(Bytes)
	w.store(3, 2)
	for i := range fewest - 1 {
		if a := w.ask(i); a.reply != Alone {
			t.Fatal("a pass is begun for one")
		}
	}
}

// TestLongAgo: what asked long ago is not compared.
func TestLongAgo(t *testing.T) {
	w := newWorld(Bytes)
	w.store(600, 10)
	for i := range 500 {
		w.now += forgotten / 3
		if w.ask(i, func(q *Question) { q.Orphan = true }).reply != Alone {
			t.Fatalf("a pass is begun after %d", i)
		}
	}
}

// TestLowestPosition: one position that is far below does not keep a pass from the others,
// and is not served by it.
func TestLowestPosition(t *testing.T) {
	w := newWorld(Bytes)
	w.store(600, 10)
	far := uint64(1 << 20)
	for i := range w.log {
		w.log[i].Seq += far
	}
	shift := func(q *Question) { q.After += far }
	low := w.ask(0, func(q *Question) { q.After = 1 })
	var a *asked
	for i := 1; i < 100; i++ {
		if a = w.ask(i, shift); a.reply != Alone {
			break
		}
	}
	if a.reply != Later || low.reply != Alone {
		t.Fatalf("%v, %v", a.reply, low.reply)
	}
	if other := w.ask(599, func(q *Question) { q.After = 5 }); other.reply != Alone {
		t.Error("a position before the pass waits for it")
	}
	w.run()
	if len(a.Msgs) != 10 || w.pieces[0] < far {
		t.Errorf("%d messages, read from %d", len(a.Msgs), w.pieces[0])
	}
}
