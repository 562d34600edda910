package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
	"hydrant/integration/harness"
)

// The bounds of how sessions come and go, each of them hit.

// parked waits until the directory says that a session is parked.
func (r *running) parked(sid string) {
	r.t.Helper()
	r.until(func() error {
		if entry, _, err := r.dir.GetLatest(r.t.Context(), sid); err != nil || entry.State != scheme.StateParked {
			return fmt.Errorf("%v, %v", entry.State, err)
		}
		return nil
	})
}

// resumes gives a session to a new client.
func (r *running) resumes(sid string) *harness.Client {
	r.t.Helper()
	c := r.dial(harness.DialOptions{})
	if m, err := c.Resume(r.t.Context(), "reconnect", harness.Object{"id": sid}); err != nil || c.ID != sid {
		r.t.Fatalf("the session is not given back: %s, %v", m.Raw, err)
	}
	return c
}

// writable lets the directory be written, or not.
func (r *running) writable(yes bool) {
	r.t.Helper()
	js, _ := r.mailboxes()
	stream, err := js.Stream(r.t.Context(), "KV_"+scheme.SessionBucket)
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = -1
	if !yes {
		cfg.MaxMsgSize = 1
	}
	if _, err := js.UpdateStream(r.t.Context(), cfg); err != nil {
		r.t.Fatal(err)
	}
}

// TestParkFails: a session whose socket is gone, and whose entry is refused as
// often as it is tried. The last checkpoint is what a resume goes on from.
func TestParkFails(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w, sid := r.owner(c), c.ID
	r.store(sid, 0, 2, 1)
	r.gets(c, 0, 2)
	last, err := r.Node.store.LastSeqs(t.Context(), []string{sid})
	if err != nil {
		t.Fatal(err)
	}
	r.until(func() error {
		if entry, _, err := r.dir.GetLatest(t.Context(), sid); err != nil || entry.Floor != last[sid] {
			return fmt.Errorf("floor %d, %v", entry.Floor, err)
		}
		return nil
	})
	r.writable(false)
	const refused, failed = `hydrant_directory_writes_total{result="error"}`, `hydrant_session_events_total{what="park_failed"}`
	before := r.metric(refused)
	r.moves(failed, func() {
		c.Drop()
		r.until(func() error {
			there := true
			r.onLoop(w, func() {
				a := w.attachments[sid]
				if there = a != nil; there && a.parking && !a.saving {
					a.save() // as its timer would
				}
			})
			if there {
				return errNotYet
			}
			return nil
		})
	})
	if n := r.metric(refused) - before; n != 1+saveRetries {
		t.Errorf("tried %v times", n)
	}
	r.writable(true)
	r.store(sid, 2, 4, 1)
	r.gets(r.resumes(sid), 2, 4)
}

// TestNothingIsTidied: the pool is full when an entry is to be removed, or to be
// parked again. It stays; the session it was for is not held up.
func TestNothingIsTidied(t *testing.T) {
	const dropped = `hydrant_dropped_total{reason="directory_cleanup"}`
	for name, gone := range map[string]bool{"a fresh session": false, "a claim whose socket is gone": true} {
		t.Run(name, func(t *testing.T) {
			r := run(t, func(*Config) {})
			w, c, old := r.crowdWithout()
			fresh := c.ID
			goOn := r.asksInVain(c, old)
			if gone {
				r.kick(fresh)
				if code := r.closed(c); code != protocol.CloseKicked.Number() {
					t.Errorf("closed with %d", code)
				}
			}
			leave := r.hold(w)
			goOn()
			r.until(func() error { // the session is claimed, and that waits for the loop
				if entry, _, err := r.dir.GetLatest(t.Context(), old); err != nil || entry.State != scheme.StateLive || r.pool.busy.Load() > 0 {
					return fmt.Errorf("%v, %v", entry.State, err)
				}
				return nil
			})
			goOn = r.holdPool(nil)
			for r.pool.submit(func() {}) {
			}
			r.moves(dropped, leave)
			stalled := false
			r.onLoop(w, func() { stalled = w.stalls > 0 })
			if stalled { // on a slow machine: that it still has the session it asks the directory first
				goOn()
			}
			if gone {
				goOn()
				c = r.resumes(old)
			} else if m, err := c.Find(t.Context(), func(m harness.Message) bool { return m.Type() == "connection" }); err != nil || m.At("bdy", "id") != old {
				t.Fatalf("not resumed: %s, %v", m.Raw, err)
			}
			r.store(old, 0, 3, 1)
			r.gets(c, 0, 3)
			goOn()
			if _, _, err := r.dir.GetLatest(t.Context(), fresh); err != nil {
				t.Errorf("the entry of the fresh session: %v", err)
			}
		})
	}
}

// TestGivenAwayFull: a loop remembers for so many sessions what it has answered
// to those who asked for them. Who asks again for one before is told that it is
// not here, and goes by the directory.
func TestGivenAwayFull(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w := r.owner(c)
	entry, _, err := r.dir.GetLatest(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := scheme.NodeSubject(r.id)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (answer released) {
		t.Helper()
		text, err := json.Marshal(order{Do: "release", SID: c.ID, Fence: entry.Holder})
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.nc.RequestWithContext(t.Context(), subject, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first := ask()
	if code := r.closed(c); code != protocol.CloseTakenOver.Number() || !first.Found || first.Floor != entry.Floor {
		t.Fatalf("closed with %d, answered %+v", code, first)
	}
	if again := ask(); again != first {
		t.Errorf("answered %+v, and before %+v", again, first)
	}
	r.moves(`hydrant_dropped_total{reason="given_away"}`, func() {
		r.onLoop(w, func() {
			for i := range givenMax + 1 {
				w.given.put(claimKey{scheme.NewSID(), uint64(i)}, released{Found: true}, w.loop.Now())
			}
			if n, m := len(w.given.answers), len(w.given.order); n != givenMax || m != givenMax {
				t.Errorf("%d answers are kept, in an order of %d", n, m)
			}
		})
	})
	if late := ask(); late.Found {
		t.Errorf("answered %+v", late)
	}
	r.resumes(c.ID)
}

// TestGivenAwayForgets: an answer that nobody waits for any more is none that
// the bound took.
func TestGivenAwayForgets(t *testing.T) {
	g, now := newGivenAway(func() { t.Error("full") }), time.Now()
	g.put(claimKey{"a", 1}, released{Found: true}, now)
	g.put(claimKey{"b", 1}, released{Found: true}, now.Add(givenFor+1))
	if g.get(claimKey{"a", 1}).Found || !g.get(claimKey{"b", 1}).Found {
		t.Errorf("%+v are left", g.answers)
	}
}

// TestClaimAttempts: the owner of a session writes its entry each time between
// a resume's look at it and the claim.
func TestClaimAttempts(t *testing.T) {
	r := run(t, func(*Config) {})
	sid, entry := scheme.NewSID(), scheme.Entry{Node: scheme.NewNodeID(), Holder: 1, State: scheme.StateLive}
	rev, err := r.dir.Create(t.Context(), sid, entry)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := scheme.NodeSubject(entry.Node)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 2*claimAttempts)
	if _, err := r.nc.Subscribe(subject, func(m *nats.Msg) {
		asked <- struct{}{}
		next, err := r.dir.Update(context.WithoutCancel(t.Context()), sid, entry, rev)
		if err != nil {
			t.Error(err)
		}
		rev = next
		if err := m.Respond([]byte(`{"found":true}`)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := r.dial(harness.DialOptions{})
	r.moves(`hydrant_resumes_total{result="lost"}`, func() {
		r.send(c, harness.Object{"to": "hydra-router:/", "typ": "reconnect", "bdy": harness.Object{"id": sid}})
		r.closes(c, protocol.CloseTakenOver)
	})
	if n := len(asked); n != claimAttempts {
		t.Errorf("%d attempts", n)
	}
}

// TestCheckpointRate: a loop writes so many moved floors at a time. The others
// wait for the next time, and how long is to be seen.
func TestCheckpointRate(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w := r.owner(c)
	most := checkpointRate / len(r.workers) / int(time.Second/checkpointEvery)
	r.onLoop(w, func() {
		a := w.attachments[c.ID]
		for _, before := range w.dirty {
			before.isDirty = false
		}
		w.dirty = nil
		for range 3 * most {
			w.dirty = append(w.dirty, a)
		}
		a.isDirty, a.dirtySince = true, uint32((w.age() - time.Minute).Milliseconds())
		w.checkpoint()
		if n := len(w.dirty); n != 2*most {
			t.Errorf("%d of %d wait", n, 3*most)
		}
		if lag := r.metric("hydrant_checkpoint_lag_seconds"); lag < 59 {
			t.Errorf("the oldest has waited for %v s", lag)
		}
	})
	r.until(func() error {
		if lag := r.metric("hydrant_checkpoint_lag_seconds"); lag > 0 {
			return fmt.Errorf("the oldest has waited for %v s", lag)
		}
		return nil
	})
	r.serves(c)
}
