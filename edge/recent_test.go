package edge

import (
	"net/netip"
	"testing"
	"time"
)

// TestGuessesOfOneSubscriber: who has a /64 of IPv6 does not have as many
// guesses as addresses (FAILURES S5).
func TestGuessesOfOneSubscriber(t *testing.T) {
	g, now := newGuessLimiter(), time.Now()
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
