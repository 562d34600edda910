package edge

import (
	"net/netip"
	"testing"
	"time"
)

// TestGuessesOfOneSubscriber: who has a /64 of IPv6 does not have as many
// guesses as addresses (FAILURES S5).
func TestGuessesOfOneSubscriber(t *testing.T) {
	g, now := newGuessLimiter(func() {}), time.Now()
	addr := netip.MustParseAddr("2001:db8:0:1::")
	for i := range guessBurst {
		if addr = addr.Next(); !g.allow(addr, now) {
			t.Fatalf("refused after %d", i)
		}
	}
	if g.allow(addr.Next(), now) {
		t.Error("one more address, and the count begins anew")
	}
	if !g.allow(netip.MustParseAddr("2001:db8:0:2::1"), now) || !g.allow(netip.MustParseAddr("192.0.2.1"), now) {
		t.Error("others are refused as well")
	}
}

// TestGuessTableFull: as many addresses as may be remembered.
func TestGuessTableFull(t *testing.T) {
	full := 0
	g, now := newGuessLimiter(func() { full++ }), time.Now()
	addr := netip.MustParseAddr("10.0.0.0")
	for range guessAddresses {
		addr = addr.Next()
		g.allow(addr, now)
	}
	if full != 0 || len(g.addresses) != guessAddresses {
		t.Fatalf("%d addresses, full %d times", len(g.addresses), full)
	}
	if !g.allow(addr.Next(), now) || full != 1 || len(g.addresses) != 1 {
		t.Errorf("%d addresses, full %d times", len(g.addresses), full)
	}
}
