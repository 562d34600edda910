package edge

import (
	"net/netip"
	"testing"
	"time"
)

func TestRecentIsBounded(t *testing.T) {
	refused := 0
	r := newRecent(2, func() { refused++ })
	now := time.Unix(1000, 0)
	if r.add("a", now, time.Minute) != nil || r.add("a", now, time.Minute) != errReplay || r.add("b", now, time.Minute) != nil {
		t.Fatal("a repeated key must be refused, a new one taken")
	}
	if r.add("c", now, time.Minute) != errReplayFull || refused != 1 {
		t.Error("taken beyond the bound, or not counted")
	}
	if r.add("c", now.Add(time.Minute), time.Minute) != nil {
		t.Error("not taken after the others had their time")
	}
}

func TestGuessLimiter(t *testing.T) {
	g := newGuessLimiter(func() {})
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("192.0.2.1")
	for i := range guessBurst {
		if !g.allow(addr, now) {
			t.Fatalf("refused after %d", i)
		}
	}
	if g.allow(addr, now) {
		t.Error("allowed beyond the burst")
	}
	if !g.allow(netip.MustParseAddr("192.0.2.2"), now) {
		t.Error("another address suffers")
	}
	if !g.allow(addr, now.Add(guessRefill)) {
		t.Error("not refilled")
	}
}
