package quota

import (
	"sync"
	"time"
)

// A sender's share of one mailbox.
const (
	share      = 10              // one in so many of a mailbox's messages and bytes
	restedFor  = 5 * time.Second // a receiver that takes nothing for this long counts as gone
	lookedFor  = time.Second     // what was said about a receiver holds for this long
	maxPairs   = 1 << 14         // pairs of a sender and a receiver, in two generations
	youngPairs = maxPairs / 2
)

// Verdict says what is to become of a message for a mailbox.
type Verdict uint8

const (
	// Store it, and say what came of it with [Mail.Stored].
	Store Verdict = iota
	// Look how far its receiver has got, tell [Mail.Looked], and ask again.
	Look
	// Refuse it: its sender has as much there as it may.
	Refuse
)

// Mail counts what each sender has stored in each mailbox beyond what its receiver has
// taken. It is in a receiver's way only while that one takes nothing: the mailbox of
// one who does is never full of one sender's messages for long. Safe for concurrent use.
type Mail struct {
	// Immutable.
	messages int
	bytes    int
	full     func() // called when pairs are forgotten

	// Guarded by mu.
	mu         sync.Mutex
	young, old map[pairKey]*pair
}

type pairKey struct {
	from uint64 // of the account
	to   string
}

// pair is what one sender has in one mailbox.
type pair struct {
	stored []stored // oldest first
	bytes  int      // of those
	flying int      // messages on their way
	air    int      // bytes of those

	// As the receiver was when it was looked at last.
	floor  uint64
	moved  time.Duration // when the floor was first seen where it is; 0: never
	looked time.Duration // 0: never
	parked bool
}

// stored is a message at its place in the log.
type stored struct {
	seq  uint64
	size int
}

// NewMail returns a count for mailboxes of so many messages and bytes. full is called
// when some of it is forgotten.
func NewMail(messages, bytes int, full func()) *Mail {
	return &Mail{messages: max(1, messages/share), bytes: max(1, bytes/share), full: full,
		young: make(map[pairKey]*pair)}
}

// Ask says what is to become of a message of size bytes.
func (m *Mail) Ask(a *Account, to string, size int, now time.Duration) Verdict {
	if m == nil || a == nil {
		return Store
	}
	m.mu.Lock()
	p, full := m.pair(pairKey{a.id, to})
	v := m.judge(p, size, now)
	if v == Store {
		p.flying++
		p.air += size
	}
	m.mu.Unlock()
	if full {
		m.full() // without the lock
	}
	return v
}

// judge decides. Caller holds mu.
func (m *Mail) judge(p *pair, size int, now time.Duration) Verdict {
	n, bytes := len(p.stored)+p.flying, p.bytes+p.air
	switch {
	case n == 0, n < m.messages && bytes+size <= m.bytes:
		return Store
	case p.looked == 0 || now-p.looked > lookedFor:
		return Look
	case p.parked || now-p.moved >= restedFor:
		return Refuse
	}
	return Store
}

// Stored says that a message was stored at this place; 0: it was not.
func (m *Mail) Stored(a *Account, to string, seq uint64, size int) {
	if m == nil || a == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.known(pairKey{a.id, to})
	if p == nil {
		return
	}
	p.flying, p.air = max(0, p.flying-1), max(0, p.air-size)
	if seq <= p.floor { // or 0
		return
	}
	p.stored = append(p.stored, stored{seq, size})
	p.bytes += size
	if len(p.stored) > m.messages { // its receiver is taking them
		p.bytes -= p.stored[0].size
		p.stored = append(p.stored[:0], p.stored[1:]...)
	}
}

// Looked says how far a receiver has got, and whether it has no connection. The floor of
// a mailbox that there is none of any more is beyond all.
func (m *Mail) Looked(a *Account, to string, floor uint64, parked bool, now time.Duration) {
	if m == nil || a == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.known(pairKey{a.id, to})
	if p == nil {
		return
	}
	if p.looked == 0 || floor != p.floor {
		p.floor, p.moved = floor, now
	}
	p.looked, p.parked = max(now, 1), parked
	kept := p.stored[:0]
	for _, s := range p.stored {
		if s.seq > floor {
			kept = append(kept, s)
		} else {
			p.bytes -= s.size
		}
	}
	p.stored = kept
}

// known finds a pair. Caller holds mu.
func (m *Mail) known(key pairKey) *pair {
	if p := m.young[key]; p != nil {
		return p
	}
	return m.old[key]
}

// pair finds or makes one. Caller holds mu.
func (m *Mail) pair(key pairKey) (p *pair, full bool) {
	if p = m.young[key]; p != nil {
		return p, false
	}
	if p = m.old[key]; p == nil {
		p = new(pair)
	}
	if len(m.young) >= youngPairs {
		full = len(m.old) > 0
		m.old, m.young = m.young, make(map[pairKey]*pair)
	}
	delete(m.old, key)
	m.young[key] = p
	return p, full
}
