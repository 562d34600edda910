package edge

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hydrant/edge/internal/wire"
)

// recent remembers keys for a while: a bounded set. Safe for concurrent use.
type recent struct {
	limit int
	full  func() // called for each key that is refused at the bound

	// Guarded by mu.
	mu    sync.Mutex
	until map[string]time.Time
	order []string // oldest first
}

func newRecent(limit int, full func()) *recent {
	return &recent{limit: limit, full: full, until: make(map[string]time.Time)}
}

// add keeps a key for d. It returns errReplay if it is there already, and
// errReplayFull at the bound, where nobody can tell: the check fails safe.
func (r *recent) add(key string, now time.Time, d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 && !r.until[r.order[0]].After(now) {
		delete(r.until, r.order[0])
		r.order = r.order[1:]
	}
	if _, there := r.until[key]; there {
		return errReplay
	}
	if len(r.order) >= r.limit {
		r.full()
		return errReplayFull
	}
	r.until[key] = now.Add(d)
	r.order = append(r.order, key)
	return nil
}

// Failed resumes of one address: a burst, which a crowd behind one address
// needs after a long outage, then one each refill.
const (
	guessBurst     = 1000
	guessRefill    = 20 * time.Millisecond
	guessAddresses = 1 << 14
)

// guessLimiter bounds the session ids that one address may try (FAILURES S5).
// Safe for concurrent use.
type guessLimiter struct {
	full func() // called when the table starts anew

	// Guarded by mu.
	mu        sync.Mutex
	addresses map[netip.Addr]*rate.Limiter
}

func newGuessLimiter(full func()) *guessLimiter {
	return &guessLimiter{full: full, addresses: make(map[netip.Addr]*rate.Limiter)}
}

// allow counts one failed guess and reports whether the address may go on.
// When the table is full it starts anew: the bound on memory comes first.
func (g *guessLimiter) allow(addr netip.Addr, now time.Time) bool {
	addr = wire.AddressKey(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter := g.addresses[addr]
	if limiter == nil {
		if len(g.addresses) >= guessAddresses {
			g.full()
			clear(g.addresses)
		}
		limiter = rate.NewLimiter(rate.Every(guessRefill), guessBurst)
		g.addresses[addr] = limiter
	}
	return limiter.AllowN(now, 1)
}
