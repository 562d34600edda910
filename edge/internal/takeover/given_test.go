package takeover

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
)

// TestGivenFull: as many answers are remembered as may. The oldest goes for a new
// one, and that is told.
func TestGivenFull(t *testing.T) {
	full, now := 0, time.Now()
	g := NewGiven(func() { full++ })
	key := func(i int) Key { return Key{testSID, uint64(i)} }
	for i := range givenMax {
		g.Put(key(i), Answer{Found: true, Position: scheme.Position{Floor: uint64(i)}}, now)
	}
	if full != 0 || !g.Get(key(0)).Found {
		t.Errorf("%d had to go, and there was room", full)
	}
	for i := range 3 {
		g.Put(key(givenMax+i), Answer{Found: true}, now)
	}
	if len(g.answers) != givenMax || len(g.order) != givenMax || full != 3 {
		t.Errorf("%d answers are kept, in an order of %d; %d had to go", len(g.answers), len(g.order), full)
	}
	if g.Get(key(0)).Found || g.Get(key(2)).Found || g.Get(key(3)).Floor != 3 || !g.Get(key(givenMax+2)).Found {
		t.Error("another one than the oldest had to go")
	}
}

// TestGivenForgets: an answer that no claim waits for any more is none that the
// bound took.
func TestGivenForgets(t *testing.T) {
	g, now := NewGiven(func() { t.Error("full") }), time.Now()
	a, b, c := Key{testSID, 1}, Key{testSID, 2}, Key{testSID, 3}
	g.Put(a, Answer{Found: true}, now)
	g.Put(b, Answer{Found: true}, now.Add(1))
	g.Put(b, Answer{Found: true, Position: scheme.Position{Floor: 7}}, now.Add(2))
	g.Put(c, Answer{Found: true}, now.Add(givenFor+1)) // a is too old, b is not
	if g.Get(a).Found || g.Get(b).Floor != 7 || !g.Get(c).Found {
		t.Errorf("%+v are left", g.answers)
	}
	if got := g.Get(Key{testSID, 4}); got != (Answer{}) {
		t.Errorf("an unknown holder: %+v", got)
	}
}
