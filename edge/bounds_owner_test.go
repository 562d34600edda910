package edge

import (
	"encoding/json"
	"testing"
	"time"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// The bounds of how sessions come and go (STYLE rule 4), each of them hit.

// resumes gives a session to a new client.
func (r *running) resumes(sid string) *harness.Client {
	r.t.Helper()
	c := r.dial(harness.DialOptions{})
	if m, err := c.Resume(r.t.Context(), "reconnect", harness.Object{"id": sid}); err != nil || c.ID != sid {
		r.t.Fatalf("the session is not given back: %s, %v", m.Raw, err)
	}
	return c
}

// not here, and goes by the directory.
func TestGivenAwayFull(t *testing.T) {
	r := run(t, func(*Config) {})
	c := r.dial(harness.DialOptions{})
	w := r.owner(c)
	entry, _, err := r.dir.GetLatest(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := bus.NodeSubject(r.id)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (answer released) {
		t.Helper()
		text, err := json.Marshal(order{Do: "release", SID: c.ID, Fence: entry.Fence})
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
	if code := r.closed(c); code != closeTakenOver || !first.Found || first.Floor != entry.Floor {
		t.Fatalf("closed with %d, answered %+v", code, first)
	}
	if again := ask(); again != first {
		t.Errorf("answered %+v, and before %+v", again, first)
	}
	r.moves(`hydrant_dropped_total{reason="given_away"}`, func() {
		r.onLoop(w, func() {
			for i := range givenMax + 1 {
				w.given.put(claimKey{bus.NewSID(), uint64(i)}, released{Found: true}, w.loop.Now())
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

// the bound took.
func TestGivenAwayForgets(t *testing.T) {
	g, now := newGivenAway(func() { t.Error("full") }), time.Now()
	g.put(claimKey{"a", 1}, released{Found: true}, now)
	g.put(claimKey{"b", 1}, released{Found: true}, now.Add(givenFor+1))
	if g.get(claimKey{"a", 1}).Found || !g.get(claimKey{"b", 1}).Found {
		t.Errorf("%+v are left", g.answers)
	}
}
