package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hydrant/bus/discovery"
)

// TestCatalogPauses: some questions are put at once, and from then on one a second; who
// asks for nothing for a while has them again.
func TestCatalogPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalog(func() {})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.run(ctx, func(context.Context) ([]discovery.Instance, error) { return nil, nil }, func(*registered) {})
		ask := func() time.Duration {
			begun := time.Now()
			if r, err := c.ask(ctx); err != nil || r.read.Before(begun) {
				t.Fatal(r, err)
			}
			return time.Since(begun)
		}
		for round := range 2 {
			for i := range catalogBurst {
				if took := ask(); took != 0 {
					t.Errorf("round %d, question %d waits for %v", round, i, took)
				}
			}
			for range 3 {
				if took := ask(); took != catalogPause {
					t.Errorf("round %d: one too many waits for %v", round, took)
				}
			}
			time.Sleep((catalogBurst + 1) * catalogPause)
		}
		cancel()
		synctest.Wait()
	})
}
