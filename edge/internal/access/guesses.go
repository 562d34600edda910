package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hydrant/edge/internal/wire"
)

// Failed resumes of one address: a burst, which a crowd behind one address
// needs after a long outage, then one each refill.
const (
	guessBurst     = 1000
	guessRefill    = 20 * time.Millisecond
	guessAddresses = 1 << 14
)

// Guesses bounds what one address may try: session ids, or tokens of administrators.
// What counts as one address is for [wire.AddressKey] to say. Safe for concurrent use.
type Guesses struct {
	// Immutable.
	refill time.Duration
	burst  int
	full   func() // called when the table starts anew

	// Guarded by mu.
	mu        sync.Mutex
	addresses map[netip.Addr]*rate.Limiter
}

// NewGuesses returns an empty table for session ids. full is called when it starts anew.
func NewGuesses(full func()) *Guesses { return newGuesses(guessRefill, guessBurst, full) }

func newGuesses(refill time.Duration, burst int, full func()) *Guesses {
	return &Guesses{refill: refill, burst: burst, full: full, addresses: make(map[netip.Addr]*rate.Limiter)}
}

// Allow counts one failed guess and reports whether the address may go on.
// When the table is full it starts anew: the bound on memory comes first.
func (g *Guesses) Allow(addr netip.Addr, now time.Time) bool {
	limiter, anew := g.limiter(wire.AddressKey(addr))
	if anew {
		g.full() // without the lock
	}
	return limiter.AllowN(now, 1)
}

// Left reports whether an address may still guess.
func (g *Guesses) Left(addr netip.Addr, now time.Time) bool {
	g.mu.Lock()
	limiter := g.addresses[wire.AddressKey(addr)]
	g.mu.Unlock()
	return limiter == nil || limiter.TokensAt(now) >= 1
}

// limiter returns that of an address, and whether the table was full for it.
func (g *Guesses) limiter(addr netip.Addr) (limiter *rate.Limiter, anew bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limiter = g.addresses[addr]; limiter != nil {
		return limiter, false
	}
	if anew = len(g.addresses) >= guessAddresses; anew {
		clear(g.addresses)
	}
	limiter = rate.NewLimiter(rate.Every(g.refill), g.burst)
	g.addresses[addr] = limiter
	return limiter, anew
}
