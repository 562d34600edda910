package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// waiting stores messages for a session, which are called so and by their numbers, with those
// of others between.
func waiting(t testing.TB, s *Store, sid scheme.SID, name string, n int) (texts []string) {
	t.Helper()
	for i := range n {
		texts = append(texts, fmt.Sprint(name, i))
		store1(t, s, sid, Outgoing{Payload: []byte(texts[i])})
		store1(t, s, scheme.NewSID(), Outgoing{Payload: []byte("another's")})
	}
	return texts
}

// purged makes room once there is too little.
func purged(t testing.TB, s *Store, url string) Made {
	t.Helper()
	rushUnbounded(t, s)
	m, err := round(t, s, url, longAgo())
	if err != nil || m.Purged != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	return m
}

func stream(t testing.TB, s *Store, name string) jetstream.Stream {
	t.Helper()
	st, err := s.js.Stream(natstest.Context(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// lose deletes a stream, and has it made again.
func lose(t testing.TB, s *Store, name string) {
	t.Helper()
	ctx := natstest.Context(t)
	if err := s.js.DeleteStream(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := s.Repair(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestKeptLost: what was set aside and is lost is told as missing, before and after other
// rounds, whatever is set aside since; what came later is there.
func TestKeptLost(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid, other := scheme.NewSID(), scheme.NewSID()
	floor, others := parked(t, s, sid), parked(t, s, other)
	waiting(t, s, sid, "a", 3)
	purged(t, s, url)
	want := append([]string{"gap"}, waiting(t, s, sid, "b", 2)...)
	before := stream(t, s, scheme.KeptStream(0)).CachedInfo().State.LastSeq
	lose(t, s, scheme.KeptStream(0))
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("lost: %q, want %q", got, want)
	}
	filled := waiting(t, s, other, "c", 5)
	if first := stream(t, s, scheme.KeptStream(0)).CachedInfo().Config.FirstSeq; first <= before {
		t.Errorf("it begins again with %d, and had %d", first, before)
	}
	for n := range 2 {
		purged(t, s, url)
		want = append(want, waiting(t, s, sid, fmt.Sprint("d", n), 2)...)
		if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
			t.Errorf("after %d rounds more: %q, want %q", n+1, got, want)
		}
	}
	if got := whole(t, s, other, others, others, true); !slices.Equal(got, filled) {
		t.Errorf("the other: %q, want %q", got, filled)
	}
}

// TestKeptWentBack: what was set aside has lost its end, and has got another one since.
func TestKeptWentBack(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid, other := scheme.NewSID(), scheme.NewSID()
	floor, others := parked(t, s, sid), parked(t, s, other)
	waiting(t, s, sid, "a", 3)
	purged(t, s, url)
	cfg := stream(t, s, scheme.KeptStream(0)).CachedInfo().Config
	ctx := natstest.Context(t)
	if err := s.js.DeleteStream(ctx, cfg.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.js.CreateStream(ctx, cfg); err != nil { // as it was before
		t.Fatal(err)
	}
	want := append([]string{"gap"}, waiting(t, s, sid, "b", 2)...)
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("gone back: %q, want %q", got, want)
	}
	filled := waiting(t, s, other, "c", 9)
	for n := range 2 {
		purged(t, s, url)
		if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
			t.Errorf("after %d rounds more: %q, want %q", n+1, got, want)
		}
		if got := whole(t, s, other, others, others, true); !slices.Equal(got, filled) {
			t.Errorf("the other, after %d rounds more: %q, want %q", n+1, got, filled)
		}
	}
}

// TestKeptTooOld: the beginning of what was set aside is too old, which is told, to those who
// have not had it.
func TestKeptTooOld(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	var seqs []uint64
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprint(i))
		seqs = append(seqs, store1(t, s, sid, Outgoing{Payload: []byte(want[i])}))
	}
	purged(t, s, url)
	st := stream(t, s, scheme.KeptStream(0))
	if err := st.Purge(natstest.Context(t), jetstream.WithPurgeSequence(st.CachedInfo().State.FirstSeq+2)); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[uint64][]string{
		floor:   append([]string{"gap"}, want[2:]...),
		seqs[1]: want[2:],
		seqs[3]: want[4:],
	} {
		if got := whole(t, s, sid, place, floor, true); !slices.Equal(got, want) {
			t.Errorf("from %d: %q, want %q", place, got, want)
		}
	}
}

// TestKeptLives: messages with a time to live at both ends of what was set aside. When they
// are gone nothing counts as lost, also after another round.
func TestKeptLives(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid, only := scheme.NewSID(), scheme.NewSID()
	floor, onlys := parked(t, s, sid), parked(t, s, only)
	brief := func(sid scheme.SID, text string) {
		store1(t, s, sid, Outgoing{Payload: []byte(text), TTL: 3 * time.Second})
	}
	brief(sid, "first")
	want := waiting(t, s, sid, "a", 2)
	brief(sid, "last")
	brief(only, "alone")
	purged(t, s, url)
	gone := func() bool {
		return slices.Equal(whole(t, s, sid, floor, floor, true), want) && len(whole(t, s, only, onlys, onlys, true)) == 0
	}
	natstest.WaitFor(t, gone)
	want = append(want, waiting(t, s, sid, "b", 1)...)
	purged(t, s, url)
	if !gone() {
		t.Errorf("after another round: %q and %q, want %q", whole(t, s, sid, floor, floor, true), whole(t, s, only, onlys, onlys, true), want)
	}
}

// TestKeptFullForAWhile: as long as there is no room for what waits nothing is purged, and
// nothing is missing; then it is set aside.
func TestKeptFullForAWhile(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid, ctx := scheme.NewSID(), natstest.Context(t)
	floor := parked(t, s, sid)
	for range 4 {
		store1(t, s, sid, Outgoing{Payload: make([]byte, 700<<10)})
	}
	want := waiting(t, s, sid, "a", 3)
	for range 2 {
		if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrNoRoom) || m.Purged != 0 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	cfg := stream(t, s, scheme.KeptStream(0)).CachedInfo().Config
	cfg.MaxBytes *= 4
	if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if m, err := round(t, s, url, longAgo()); err != nil || m.Purged != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	got := whole(t, s, sid, floor, floor, true)
	if len(got) != 7 || slices.Contains(got, "gap") || !slices.Equal(got[4:], want) {
		t.Errorf("%d messages, the last %q", len(got), got[max(0, len(got)-3):])
	}
}

// TestKeptInBatches: much was set aside, in several rounds: it takes several pages of the
// store, and several times of what a reader remembers.
func TestKeptInBatches(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 64 << 20, Memory: true, QueueLimit: 3000})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	var want []string
	for n := range 3 {
		for i := range 600 {
			text := fmt.Sprintf("%d.%-6000d", n, i)
			want = append(want, text)
			store1(t, s, sid, Outgoing{Payload: []byte(text)})
		}
		purged(t, s, url)
	}
	want = append(want, waiting(t, s, sid, "b", 20)...)
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d messages, want %d; the first that differs is %d", len(got), len(want), at)
	}
}

// TestMailboxesLost: a stream of mailboxes that was lost and is made again begins above all
// that there was: what is missing is told as that, no position is another's, and a purge of
// before does nothing.
func TestMailboxesLost(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	sid := scheme.NewSID()
	floor := parked(t, s, sid)
	before := waiting(t, s, sid, "a", 2)
	purged(t, s, url)
	horizon := stream(t, s, scheme.OutStream(0)).CachedInfo().State.LastSeq
	lose(t, s, scheme.OutStream(0))
	want := append(append(before, "gap"), waiting(t, s, sid, "b", 3)...)
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := stream(t, s, scheme.OutStream(0)).Purge(natstest.Context(t), jetstream.WithPurgeSequence(horizon+1)); err != nil {
		t.Fatal(err)
	}
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("after a late purge: %q, want %q", got, want)
	}
	purged(t, s, url)
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, want) {
		t.Errorf("after a round: %q, want %q", got, want)
	}
}

// TestCopiesOfAnotherLog: copies show that a stream lost its end, and with that its seals, which
// nothing else would tell: to who reads, and to who makes room.
func TestCopiesOfAnotherLog(t *testing.T) {
	s, url := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	ctx, sid := natstest.Context(t), scheme.NewSID()
	floor := parked(t, s, sid)
	waiting(t, s, sid, "a", 4)
	purged(t, s, url)
	cfg := stream(t, s, scheme.OutStream(0)).CachedInfo().Config
	if err := s.js.DeleteStream(ctx, cfg.Name); err != nil {
		t.Fatal(err)
	}
	cfg.FirstSeq = floor + 1 // the purge is there, and what came after it is not
	if _, err := s.js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	waiting(t, s, sid, "b", 1)
	foreign := func(when string) {
		t.Helper()
		if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, []string{"foreign"}) {
			t.Errorf("%s: %q", when, got)
		}
	}
	foreign("copies lie beyond the end")
	rushUnbounded(t, s)
	waiting(t, s, sid, "c", 1)
	foreign("copies lie between what is there")
	if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrWentBack) || m.Purged != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if note, err := s.Directory().LastBack(ctx, 0); err != nil || note.Rev == 0 {
		t.Errorf("%+v, %v", note, err)
	}
	if m, err := round(t, s, url, longAgo()); !errors.Is(err, ErrWentBack) || m != (Made{}) {
		t.Errorf("when it is noted: %+v, %v", m, err)
	}
	if got := whole(t, s, sid, floor, floor, true); !slices.Equal(got, []string{"gap", "b0", "c0"}) {
		t.Errorf("when it is noted copies count: %q", got)
	}
}

// TestRoomTurnLasts: the turn of a round lasts longer than it is written for, and is over soon
// when its holder has died.
func TestRoomTurnLasts(t *testing.T) {
	s, _ := roomStore(t, Config{Bytes: 8 << 20, Memory: true})
	ctx := natstest.Context(t)
	const keep = 5 * time.Second
	alive, die := context.WithCancel(ctx)
	defer die()
	if _, err := s.longTurn(alive, roomTurn, keep, turnPatience); err != nil {
		t.Fatal(err)
	}
	written := func() uint64 {
		t.Helper()
		m, _, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: scheme.TurnKey(roomTurn)})
		if err != nil || len(m.Data) == 0 {
			t.Fatalf("nobody has the turn: %v", err)
		}
		return m.Seq
	}
	first := written()
	natstest.WaitFor(t, func() bool { return written() != first })
	if _, err := s.longTurn(ctx, roomTurn, keep, turnPatience); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another has it: %v", err)
	}
	die()
	natstest.WaitFor(t, func() bool {
		end, err := s.longTurn(ctx, roomTurn, keep, turnPatience)
		if err != nil {
			return false
		}
		end()
		return true
	})
}
