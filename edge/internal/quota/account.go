package quota

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Who is a sender: an identity or, where there is none, an address.
type Who struct {
	Identity string
	Address  netip.Addr
}

// Worth says how many connections' allowance a sender has.
const (
	identityWorth = 10 // of one user: tabs, telephones
	addressWorth  = 50 // of an office, or of a network that shares an address
)

// Sessions of one sender that ended unused: this many at once, and in ten minutes.
const (
	unusedMost = 1000
	unusedTime = 10 * time.Minute
)

// maxAccounts bounds a table.
const maxAccounts = 1 << 16

// Limits are those of one connection.
type Limits struct{ Messages, Bytes Rate }

// Account is what one sender has spent. Its methods are safe for concurrent use, and
// those of nil allow everything.
type Account struct {
	// Immutable.
	id     uint64 // stands for who it is
	limits Limits

	messages, bytes, unused bucket

	users int // connections, guarded by the table's mu
}

var unusedRate = NewRate(unusedMost/unusedTime.Seconds(), unusedTime, unusedMost)

// Take spends a message of n bytes, and reports whether that was left.
func (a *Account) Take(n int, now time.Duration) bool {
	return a == nil || a.messages.take(a.limits.Messages, 1, now) && a.bytes.take(a.limits.Bytes, n, now)
}

// TakeBytes spends n bytes of a message that was taken when its size was not known.
func (a *Account) TakeBytes(n int, now time.Duration) bool {
	return a == nil || a.bytes.take(a.limits.Bytes, n, now)
}

// Unused counts a session that has ended without any use.
func (a *Account) Unused(now time.Duration) {
	if a != nil {
		a.unused.take(unusedRate, 1, now)
	}
}

// MayOpen reports whether the sender has not left too many sessions unused.
func (a *Account) MayOpen(now time.Duration) bool { return a == nil || a.unused.left(unusedRate, now) }

func (a *Account) resting(now time.Duration) bool {
	return a.messages.resting(now) && a.bytes.resting(now) && a.unused.resting(now)
}

// Table has the accounts of all senders. Safe for concurrent use.
type Table struct {
	// Immutable.
	limits Limits
	seed   maphash.Seed
	full   func() // called when accounts are forgotten that say something

	// Guarded by mu.
	mu       sync.Mutex
	accounts map[Who]*Account
}

// NewTable returns an empty table. full is called when it is full of accounts that are
// in use.
func NewTable(limits Limits, full func()) *Table {
	return &Table{limits: limits, seed: maphash.MakeSeed(), full: full, accounts: make(map[Who]*Account)}
}

// Open returns the account of a sender, which is kept until as many calls of Close.
func (t *Table) Open(who Who, now time.Duration) *Account {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	a, full := t.of(who, now)
	a.users++
	t.mu.Unlock()
	if full {
		t.full() // without the lock
	}
	return a
}

// Free returns an account without limits, for a sender that stands for many: a proxy
// that does not say whom it speaks for.
func (t *Table) Free(who Who) *Account {
	if t == nil {
		return nil
	}
	return &Account{id: maphash.Comparable(t.seed, who)}
}

// Close ends the use of an account.
func (t *Table) Close(a *Account) {
	if t == nil || a == nil {
		return
	}
	t.mu.Lock()
	a.users--
	t.mu.Unlock()
}

// of finds or makes an account. Caller holds mu.
func (t *Table) of(who Who, now time.Duration) (a *Account, full bool) {
	if a = t.accounts[who]; a != nil {
		return a, false
	}
	if len(t.accounts) >= maxAccounts {
		full = t.forget(now)
	}
	worth := float64(addressWorth)
	if who.Identity != "" {
		worth = identityWorth
	}
	a = &Account{id: maphash.Comparable(t.seed, who), limits: Limits{t.limits.Messages.times(worth), t.limits.Bytes.times(worth)}}
	t.accounts[who] = a
	return a, full
}

// forget makes room: by accounts that say nothing and, where those are few, by all that
// no connection uses. Those in use are as many as there are connections.
func (t *Table) forget(now time.Duration) (full bool) {
	for who, a := range t.accounts {
		if a.users <= 0 && a.resting(now) {
			delete(t.accounts, who)
		}
	}
	if len(t.accounts) < maxAccounts/2 {
		return false
	}
	for who, a := range t.accounts {
		if a.users <= 0 {
			delete(t.accounts, who)
		}
	}
	return true
}
