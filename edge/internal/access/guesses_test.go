package access

import (
	"net/netip"
	"testing"
	"time"
)

// TestGuessesOfOneSubscriber: who has a /64 of IPv6 does not have as many
// guesses as addresses.
func TestGuessesOfOneSubscriber(t *testing.T) {
	g, now := NewGuesses(func() {}), time.Now()
	addr := netip.MustParseAddr("2001:db8:0:1::")
	for i := range guessBurst {
		if addr = addr.Next(); !g.Allow(addr, now) {
			t.Fatalf("refused after %d", i)
		}
	}
	if g.Allow(addr.Next(), now) {
		t.Error("one more address, and the count begins anew")
	}
	if !g.Allow(netip.MustParseAddr("2001:db8:0:2::1"), now) || !g.Allow(netip.MustParseAddr("192.0.2.1"), now) {
		t.Error("others are refused as well")
	}
}

// TestGuessTableFull: as many addresses as may be remembered.
func TestGuessTableFull(t *testing.T) {
	full := 0
	g, now := NewGuesses(func() { full++ }), time.Now()
	addr := netip.MustParseAddr("10.0.0.0")
	for range guessAddresses {
		addr = addr.Next()
		g.Allow(addr, now)
	}
	if full != 0 || len(g.addresses) != guessAddresses {
		t.Fatalf("%d addresses, full %d times", len(g.addresses), full)
	}
	if !g.Allow(addr.Next(), now) || full != 1 || len(g.addresses) != 1 {
		t.Errorf("%d addresses, full %d times", len(g.addresses), full)
	}
}

// TestGuessesRefill: an address gets its burst, then one at a time.
func TestGuessesRefill(t *testing.T) {
	g := NewGuesses(func() {})
	now := time.Unix(1000, 0)
	addr := netip.MustParseAddr("192.0.2.1")
	for i := range guessBurst {
		if !g.Allow(addr, now) {
			t.Fatalf("refused after %d", i)
		}
	}
	if g.Allow(addr, now) {
		t.Error("allowed beyond the burst")
	}
	if !g.Allow(netip.MustParseAddr("192.0.2.2"), now) {
		t.Error("another address suffers")
	}
	if !g.Allow(addr, now.Add(guessRefill)) {
		t.Error("not refilled")
	}
}
