package quota

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

const second = time.Second

func address(i int) Who {
	return Who{Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
}

func newTable(t *testing.T, messages, bytes float64) (table *Table, full *int) {
	full = new(int)
	return NewTable(Limits{NewRate(messages, second, 1), NewRate(bytes, second, 1)}, func() { *full++ }), full
}

// taken is how many messages of n bytes are taken at one time.
func taken(a *Account, n int, now time.Duration) (count int) {
	for a.Take(n, now) {
		if count++; count > 1e6 {
			break
		}
	}
	return count
}

// TestAccountOutlivesConnections: who connects anew goes on with what is left.
func TestAccountOutlivesConnections(t *testing.T) {
	for who, want := range map[Who]int{{Identity: "ann"}: 10 * identityWorth, address(1): 10 * addressWorth} {
		table, _ := newTable(t, 10, 0)
		total := 0
		for range 5 {
			a := table.Open(who, 0)
			total += taken(a, 100, 0)
			table.Close(a)
		}
		if total != want {
			t.Errorf("%v: %d of %d", who, total, want)
		}
		if got := taken(table.Open(who, second/2), 100, second/2); got < want/2-1 || got > want/2+1 {
			t.Errorf("%v: %d after half a second, of %d", who, got, want)
		}
	}
}

// TestAccountBytes: bytes are counted beside messages, also those of a message whose
// size is known later.
func TestAccountBytes(t *testing.T) {
	table, _ := newTable(t, 1e6, 1000)
	a := table.Open(Who{Identity: "ann"}, 0)
	if got := taken(a, 100, 0); got != 10*identityWorth {
		t.Errorf("%d messages", got)
	}
	if a.TakeBytes(1, 0) || !a.TakeBytes(1, second) {
		t.Error("bytes beyond the bound")
	}
	if b := table.Open(Who{Identity: "bob"}, 0); !b.Take(100, 0) {
		t.Error("one pays for another")
	}
}

// TestNoLimits: a rate of 0, an account without limits, and none.
func TestNoLimits(t *testing.T) {
	table, _ := newTable(t, 0, 0)
	limited, _ := newTable(t, 1, 1)
	for _, a := range []*Account{table.Open(address(1), 0), limited.Free(address(1)), nil, (*Table)(nil).Open(address(1), 0)} {
		for range 1000 {
			if !a.Take(1<<20, 0) {
				t.Fatal("refused")
			}
		}
	}
}

// TestUnused: of sessions that came to nothing there may be a thousand in ten minutes.
func TestUnused(t *testing.T) {
	table, _ := newTable(t, 0, 0)
	a := table.Open(address(1), 0)
	for i := range unusedMost {
		if !a.MayOpen(0) {
			t.Fatalf("refused after %d", i)
		}
		a.Unused(0)
	}
	if a.MayOpen(0) || table.Open(address(1), 0).MayOpen(0) {
		t.Error("not refused")
	}
	if !a.MayOpen(second) || !table.Open(address(2), 0).MayOpen(0) {
		t.Error("refused, though there is room")
	}
}

// TestTableIsBounded: what says nothing goes first, and what is in use stays.
func TestTableIsBounded(t *testing.T) {
	table, full := newTable(t, 10, 0)
	used := table.Open(Who{Identity: "ann"}, 0)
	taken(used, 1, 0)
	for i := range 3 * maxAccounts {
		table.Close(table.Open(address(i), 0))
	}
	if len(table.accounts) > maxAccounts || *full != 0 {
		t.Errorf("%d accounts, full %d times", len(table.accounts), *full)
	}
	if table.Open(Who{Identity: "ann"}, 0) != used {
		t.Error("an account in use was forgotten")
	}
	for i := range 3 * maxAccounts {
		a := table.Open(address(i), 0)
		a.Take(1, 0)
		table.Close(a)
	}
	if len(table.accounts) > maxAccounts || *full == 0 {
		t.Errorf("%d accounts, full %d times", len(table.accounts), *full)
	}
	if table.Open(Who{Identity: "ann"}, 0) != used {
		t.Error("an account in use was forgotten")
	}
}

// mailbox is one as a sender's node sees it.
type mailbox struct {
	m    *Mail
	from *Account
	seq  uint64
}

// send stores messages until they are not to be, and says how many were and why not.
func (b *mailbox) send(most, size int, now time.Duration) (n int, v Verdict) {
	for n < most {
		if v = b.m.Ask(b.from, "bob", size, now); v != Store {
			return n, v
		}
		b.seq++
		b.m.Stored(b.from, "bob", b.seq, size)
		n++
	}
	return n, Store
}

// TestShareOfAMailbox: of one who takes nothing a sender fills a tenth, by messages or
// by bytes.
func TestShareOfAMailbox(t *testing.T) {
	for _, c := range []struct{ size, most int }{{1, 100}, {1 << 20, 10}, {16 << 20, 1}} {
		for name, parked := range map[string]bool{"parked": true, "stuck": false} {
			b := &mailbox{m: NewMail(1000, 100<<20, func() {}), from: &Account{id: 1}}
			now := second
			n, v := b.send(5000, c.size, now)
			if n != c.most || v != Look {
				t.Fatalf("%d of %d bytes before somebody looks: %v", n, c.size, v)
			}
			b.m.Looked(b.from, "bob", 0, parked, now)
			if !parked {
				now += restedFor
				b.m.Looked(b.from, "bob", 0, parked, now)
			}
			if n, v = b.send(5000, c.size, now); n != 0 || v != Refuse {
				t.Errorf("%s: %d more of %d bytes: %v", name, n, c.size, v)
			}
			other := &mailbox{m: b.m, from: &Account{id: 2}, seq: b.seq}
			if n, _ := other.send(1, c.size, now); n != 1 {
				t.Errorf("%s: a friend pays", name)
			}
			// It is back, and takes some.
			now += 2 * lookedFor
			if _, v = b.send(1, c.size, now); v != Look {
				t.Fatal(v)
			}
			b.m.Looked(b.from, "bob", b.seq, false, now)
			if n, _ = b.send(c.most, c.size, now); n != c.most {
				t.Errorf("%s: %d of %d after all was taken", name, n, c.most)
			}
		}
	}
}

// TestMailOfOneThatTakes: nobody is in the way of a receiver that takes what comes,
// however much that is.
func TestMailOfOneThatTakes(t *testing.T) {
	b := &mailbox{m: NewMail(1000, 1<<20, func() {}), from: &Account{id: 1}}
	for i := range 1000 {
		now := time.Duration(i+1) * second
		for left := 300; left > 0; {
			n, v := b.send(left, 1000, now)
			if left -= n; v == Refuse {
				t.Fatalf("second %d: refused", i)
			} else if v == Look {
				b.m.Looked(b.from, "bob", b.seq-min(b.seq, 50), false, now)
			}
		}
	}
	if p := b.m.young[pairKey{1, "bob"}]; len(p.stored) > 100 {
		t.Errorf("%d places are kept", len(p.stored))
	}
}

// TestMailOnItsWay: what is not acknowledged counts, and what was not stored does not.
func TestMailOnItsWay(t *testing.T) {
	m, a := NewMail(1000, 1<<20, func() {}), &Account{id: 1}
	for range 100 {
		if v := m.Ask(a, "bob", 1, second); v != Store {
			t.Fatal(v)
		}
	}
	if v := m.Ask(a, "bob", 1, second); v != Look {
		t.Fatal(v)
	}
	m.Stored(a, "bob", 0, 1)
	if v := m.Ask(a, "bob", 1, second); v != Store {
		t.Error(v)
	}
}

// TestMailIsBounded: pairs that were used last are kept.
func TestMailIsBounded(t *testing.T) {
	full := 0
	m, a := NewMail(1000, 1<<20, func() { full++ }), &Account{id: 1}
	for i := range 3 * maxPairs {
		m.Ask(a, fmt.Sprint(i), 1, second)
		m.Ask(a, "bob", 1, second)
	}
	if n := len(m.young) + len(m.old); n > maxPairs || full == 0 {
		t.Errorf("%d pairs, full %d times", n, full)
	}
	if p := m.known(pairKey{1, "bob"}); p == nil || p.flying != 100 {
		t.Error("forgotten")
	}
}

// TestAllocs: what happens with each message allocates nothing.
func TestAllocs(t *testing.T) {
	table, _ := newTable(t, 1e9, 1e12)
	a := table.Open(Who{Identity: "ann"}, 0)
	m := NewMail(1000, 1<<30, func() {})
	now, seq := second, uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += second
		a.Take(100, now)
		m.Ask(a, "bob", 100, now)
		seq++
		m.Stored(a, "bob", seq, 100)
		m.Looked(a, "bob", seq, false, now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	table := NewTable(Limits{NewRate(1e9, second, 1), NewRate(1e12, second, 1)}, func() {})
	a := table.Open(Who{Identity: "ann"}, 0)
	var now time.Duration
	b.ReportAllocs()
	for b.Loop() {
		now += second
		a.Take(100, now)
	}
}

func BenchmarkMail(b *testing.B) {
	m, a := NewMail(1000, 16<<20, func() {}), &Account{id: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.Ask(a, "bob", 100, second)
		m.Stored(a, "bob", 0, 100)
	}
}
