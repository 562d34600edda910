package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

func TestDirectory(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	if _, _, err := d.Get(ctx, sid); !errors.Is(err, ErrNoSession) {
		t.Fatal(err)
	}
	e := testEntry()
	rev, err := d.Create(ctx, sid, e)
	if err != nil || rev == 0 {
		t.Fatal(rev, err)
	}
	if _, err := d.Create(ctx, sid, e); !errors.Is(err, ErrFenced) {
		t.Error("created twice:", err)
	}
	for _, get := range []func(context.Context, scheme.SID) (scheme.Entry, uint64, error){d.Get, d.Sure} {
		if got, r, err := get(ctx, sid); err != nil || r != rev || !sameEntry(got, e) {
			t.Errorf("%+v at %d, %v", got, r, err)
		}
	}
	e.State, e.Floor, e.Seen = scheme.StateParked, 12, 12
	next, err := d.Update(ctx, sid, e, rev)
	if err != nil || next <= rev {
		t.Fatal(next, err)
	}
	for _, stale := range []uint64{0, rev, next + 1} {
		if _, err := d.Update(ctx, sid, e, stale); !errors.Is(err, ErrFenced) {
			t.Errorf("updated at %d: %v", stale, err)
		}
	}
	if err := d.Delete(ctx, sid, rev); !errors.Is(err, ErrFenced) {
		t.Error("deleted by a former owner:", err)
	}
	if err := d.Delete(ctx, sid, next); err != nil {
		t.Fatal(err)
	}
	for _, get := range []func(context.Context, scheme.SID) (scheme.Entry, uint64, error){d.Get, d.Sure} {
		if _, _, err := get(ctx, sid); !errors.Is(err, ErrNoSession) {
			t.Error(err)
		}
	}
	if _, err := d.Update(ctx, sid, e, next); !errors.Is(err, ErrFenced) {
		t.Error("updated after deletion:", err)
	}
}

// TestDirectoryNoEntry: what is no entry is reported as such, and not as a
// session's absence.
func TestDirectoryNoEntry(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx := s.Directory(), natstest.Context(t)
	sid := scheme.NewSID()
	if _, err := jet.PublishAcked(ctx, s.nc, &nats.Msg{Subject: scheme.SessionKey(sid), Data: []byte("junk")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get(ctx, sid); !errors.Is(err, ErrBadEntry) {
		t.Error(err)
	}
	if found, err := d.Lookup(ctx, sid); !found.Exists || err != nil {
		t.Error(found, err)
	}
}

// TestDirectoryRecognises: the repetition of a write whose answer was lost
// conflicts with the write itself. It is recognised, and another's is not.
func TestDirectoryRecognises(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	e := testEntry()
	m, err := d.message(sid, &e, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := d.send(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	name := m.Header.Get(scheme.HeaderWrite)
	if got, own, err := d.wrote(ctx, m.Subject, name); err != nil || !own || got != rev {
		t.Errorf("%d %v, %v", got, own, err)
	}
	if _, err := d.send(ctx, m); !errors.Is(err, ErrFenced) { // nothing was lost: a conflict
		t.Error(err)
	}
	if _, err := d.Update(ctx, sid, e, rev); err != nil {
		t.Fatal(err)
	}
	if _, own, err := d.wrote(ctx, m.Subject, name); err != nil || own {
		t.Error("took another's write for its own:", err)
	}
	if _, own, err := d.wrote(ctx, scheme.SessionKey(scheme.NewSID()), name); err != nil || own {
		t.Error("took nothing for its own:", err)
	}
}

// TestDirectoryRace: of many that take a session over at the same time, one
// wins.
func TestDirectoryRace(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	rev, err := d.Create(ctx, sid, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		var mu sync.Mutex
		var won []uint64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				e := testEntry()
				e.Node = scheme.NewNodeID()
				r, err := d.Update(ctx, sid, e, rev)
				if err == nil {
					mu.Lock()
					won = append(won, r)
					mu.Unlock()
				} else if !errors.Is(err, ErrFenced) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d winners", round, len(won))
		}
		rev = won[0]
	}
}

func TestDirectoryUpdateAsync(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	rev, err := d.Create(ctx, sid, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		rev uint64
		err error
	}
	results := make(chan result, 1)
	done := func(rev uint64, err error) { results <- result{rev, err} }
	e := testEntry()
	e.Floor, e.Seen = 100, 100
	if err := d.UpdateAsync(sid, e, rev, 0, done); err != nil {
		t.Fatal(err)
	}
	r := <-results
	if r.err != nil || r.rev <= rev {
		t.Fatal(r)
	}
	if err := d.UpdateAsync(sid, e, rev, 0, done); err != nil {
		t.Fatal(err)
	}
	if r := <-results; !errors.Is(r.err, ErrFenced) {
		t.Error(r)
	}
	if got, at, err := d.Get(ctx, sid); err != nil || at != r.rev || got.Floor != 100 {
		t.Error(got, at, err)
	}
}

func TestDirectoryList(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx := s.Directory(), natstest.Context(t)
	list := func(most int) map[scheme.SID]scheme.Entry {
		all := make(map[scheme.SID]scheme.Entry)
		if err := d.List(ctx, func(sid scheme.SID, e scheme.Entry) bool {
			all[sid] = e
			return len(all) < most
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if n := len(list(10)); n != 0 {
		t.Errorf("%d sessions in an empty directory", n)
	}
	want := make(map[scheme.SID]uint64)
	for i := range 5 {
		e := testEntry()
		e.Floor, e.Seen = uint64(i), uint64(i)
		sid := scheme.NewSID()
		rev, err := d.Create(ctx, sid, e)
		if err != nil {
			t.Fatal(err)
		}
		if i == 4 {
			if err := d.Delete(ctx, sid, rev); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want[sid] = uint64(i)
	}
	if _, err := jet.PublishAcked(ctx, s.nc, &nats.Msg{Subject: scheme.SessionKey(scheme.NewSID()), Data: []byte("junk")}); err != nil {
		t.Fatal(err)
	}
	got := list(100)
	if len(got) != len(want) {
		t.Fatalf("%d sessions", len(got))
	}
	for sid, floor := range want {
		if got[sid].Floor != floor {
			t.Errorf("%s: %+v", sid, got[sid])
		}
	}
	for range listBatch + 1 { // more than one answer brings
		if _, err := d.Create(ctx, scheme.NewSID(), testEntry()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(list(2 * listBatch)); n != len(want)+listBatch+1 {
		t.Errorf("%d sessions of %d", n, len(want)+listBatch+1)
	}
	if n := len(list(2)); n != 2 {
		t.Errorf("%d after a stop at 2", n)
	}
}

// TestDirectoryListMeanwhile: who is there all the time is in the list, once,
// however often the entry is written and whoever comes while it is made.
func TestDirectoryListMeanwhile(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	for range listBatch {
		if _, err := d.Create(ctx, scheme.NewSID(), testEntry()); err != nil {
			t.Fatal(err)
		}
	}
	rev, err := d.Create(ctx, sid, testEntry())
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := d.Create(ctx, scheme.NewSID(), testEntry()); err != nil {
				t.Error(err)
				return
			}
			var err error
			if rev, err = d.Update(ctx, sid, testEntry(), rev); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer writer.Wait()
	defer close(stop)
	for round := range 10 {
		found, times := 0, 0
		if err := d.List(ctx, func(listed scheme.SID, _ scheme.Entry) bool {
			times++
			if listed == sid {
				found++
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if found != 1 {
			t.Fatalf("list %d: among %d sessions it is %d times", round, times, found)
		}
	}
}

func TestLookup(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx, sid := s.Directory(), natstest.Context(t), scheme.NewSID()
	if _, cached := d.Known(sid); cached {
		t.Error("cached before it was asked")
	}
	for range 2 {
		if found, err := d.Lookup(ctx, sid); found.Exists || err != nil {
			t.Fatal(found, err)
		}
	}
	if found, cached := d.Known(sid); found.Exists || !cached {
		t.Error("the miss is not cached")
	}
	if _, err := d.Create(ctx, sid, testEntry()); err != nil {
		t.Fatal(err)
	}
	// This node made it, so it knows.
	if found, err := d.Lookup(ctx, sid); !found.Exists || err != nil {
		t.Fatal(found, err)
	}
	// One that another node made is found as well.
	elsewhere := openStore(t, connect(t, s.nc.ConnectedUrl()), s.Config()).Directory()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if found, err := elsewhere.Lookup(ctx, sid); !found.Of(testEntry().Identity) || err != nil {
				t.Error(found, err)
			}
		})
	}
	wg.Wait()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := d.Lookup(cancelled, scheme.NewSID()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLookupOvertaken: what this node has learned meanwhile is newer than an
// answer that was on its way.
func TestLookupOvertaken(t *testing.T) {
	l := newLookups()
	for _, exists := range []bool{true, false} {
		sid := scheme.NewSID()
		q, _, err := l.ask(sid)
		if err != nil {
			t.Fatal(err)
		}
		l.put(sid, Found{Exists: exists})
		answer := ErrNoSession
		if !exists {
			answer = nil // there is one
		}
		l.answer(sid, q, "", answer)
		if got, cached := l.get(sid); got.Exists != exists || !cached {
			t.Errorf("exists %v, cached %v; want %v", got, cached, exists)
		}
	}
}

// TestFoundOf: a session is of its identity, and one without is of nobody.
func TestFoundOf(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, test := range []struct {
		found    Found
		identity string
		want     bool
	}{
		{FoundSession("ann"), "ann", true},
		{FoundSession("ann"), "Ann", false},
		{FoundSession("ann"), "ann ", false},
		{FoundSession("ann"), "", false},
		{FoundSession(""), "", false},
		{FoundSession(""), "ann", false},
		{FoundSession(long + "a"), long + "a", true},
		{FoundSession(long + "a"), long + "b", false},
		{Found{}, "", false},
		{Found{}, "ann", false},
		{Found{Exists: true}, "", false},
		{Found{Exists: true}, "ann", false},
	} {
		if got := test.found.Of(test.identity); got != test.want {
			t.Errorf("%v of %.10q: %v", test.found, test.identity, got)
		}
		if n := testing.AllocsPerRun(10, func() { test.found.Of(test.identity) }); n != 0 {
			t.Errorf("%.10q: %v allocations", test.identity, n)
		}
	}
}

// TestDirectoryGetUnanswered: a replica that does not answer, since its server
// is frozen, is not waited for until the end: the leader is asked for a hint.
func TestDirectoryGetUnanswered(t *testing.T) {
	t.Parallel()                              // it waits for an answer that does not come
	nc := connect(t, natstest.Start(t).URL()) // without the stream
	if _, err := nc.SubscribeSync(scheme.APIDirectGet + scheme.SessionStream + ".>"); err != nil {
		t.Fatal(err)
	}
	d := &Directory{store: &Store{nc: nc, cfg: Config{Timeout: 2 * jet.AttemptTimeout}}}
	if _, _, err := d.Get(context.Background(), scheme.NewSID()); !strings.Contains(err.Error(), "(10059)") {
		t.Error(err)
	}
}

// TestLookupBounds: neither made-up sessions nor real ones fill the memory, and
// the ones do not displace the others.
func TestLookupBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes in which hits grow old
		l := newLookups()
		first := scheme.NewSID()
		l.put(first, FoundSession("ann"))
		for i := range 3 * maxLookups {
			l.put(scheme.SID(fmt.Sprint("made up ", i)), Found{})
		}
		if found, ok := l.get(first); !found.Of("ann") || !ok {
			t.Error("misses displaced a hit")
		}
		if n := len(l.misses.young) + len(l.misses.old); n > maxLookups {
			t.Errorf("%d misses", n)
		}
		l.put(first, Found{})
		if found, ok := l.get(first); found.Exists || !ok {
			t.Error("a hit that became a miss")
		}
		var askers []*lookup
		for range maxAskers {
			q, mine, err := l.ask(scheme.NewSID())
			if err != nil || !mine {
				t.Fatal(err)
			}
			askers = append(askers, q)
		}
		sid := scheme.NewSID()
		if _, _, err := l.ask(sid); !errors.Is(err, ErrOverload) {
			t.Error(err)
		}
		failed := errors.New("failed")
		l.answer(sid, askers[0], "", failed)
		if !errors.Is(askers[0].err, failed) {
			t.Error(askers[0].err)
		}
		if _, ok := l.get(sid); ok {
			t.Error("a failure was remembered")
		}
		g := &generations{young: map[scheme.SID]remembered{sid: {at: time.Now().Add(-lookupTTL)}}}
		if _, ok := g.get(sid, time.Now()); ok {
			t.Error("an old answer counts")
		}
	})
}
