package integration

import (
	"strings"
	"sync"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// Connections of a node with a maximal age end, each at an age of its own, and
// their sessions go on elsewhere with everything that was sent meanwhile.
func TestMaxConnectionAge(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	const age = 2 * time.Second
	aging := w.Start(t, "aging", map[string]string{"EDGE_MAX_CONNECTION_AGE": age.String()})
	other := w.Start(t, "other", nil)
	stays := world.Dial(t, other)
	clients := make([]*world.Client, 60)
	lives := make([]time.Duration, len(clients))
	var group sync.WaitGroup
	for i := range clients {
		started := time.Now()
		c := world.Dial(t, aging)
		clients[i] = c
		group.Go(func() {
			code, reason, err := c.Client.Closed(t.Context())
			lives[i] = time.Since(started)
			if err != nil || code != 1012 || !strings.HasPrefix(reason, "retry after ") {
				t.Errorf("closed with %d %q, %v", code, reason, err)
			}
		})
	}
	const each = 3
	for _, c := range clients {
		w.PushNumbers(t, c.ID, 0, each)
	}
	group.Wait()
	shortest, longest := lives[0], lives[0]
	for _, life := range lives {
		shortest, longest = min(shortest, life), max(longest, life)
	}
	if shortest < age*85/100 || longest-shortest < age/20 {
		t.Errorf("connections lived from %v to %v, want %v and a tenth more or less", shortest, longest, age)
	}
	for _, c := range clients {
		w.PushNumbers(t, c.ID, each, 2*each)
		seen := len(c.Inbox())
		again := c.Resume(other)
		for seen < 2*each {
			seen = again.WantContinuation(seen, 1)
		}
		again.Drop()
	}
	if err := aging.Ready(); err != nil {
		t.Error(err)
	}
	stays.Fence() // ages are off
	metric := metrics(t, aging)
	if n := metric["hydrant_retired_total"]; n < float64(len(clients)) {
		t.Errorf("hydrant_retired_total %v, want %d", n, len(clients))
	}
}
