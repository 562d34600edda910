package edge

import (
	"testing"
	"time"

	"hydrant/bus/store"
)

// TestRoundsAhead: a node looks the sooner at its streams the faster they fill.
func TestRoundsAhead(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		before float64 // a second ago; below 0: not known
		shares store.Shares
		want   time.Duration
	}{
		{"not known before", -1, store.Shares{0.1, 0.2}, roundSoon},
		{"at rest", 0.2, store.Shares{0.1, 0.2}, roundEvery},
		{"emptied", 0.5, store.Shares{0.1, 0.2}, roundEvery},
		{"a little", 0.19, store.Shares{0.1, 0.2}, roundEvery},
		{"in two seconds", 0.2, store.Shares{0.1, 0.3333333333}, time.Second},
		{"at once", 0.1, store.Shares{0.59, 0.2}, roundSoon},
	} {
		r := rounds{full: c.before, at: now.Add(-time.Second)}
		if c.before < 0 {
			r = rounds{}
		}
		if got := r.ahead(c.shares, now); got.Round(time.Millisecond) != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
