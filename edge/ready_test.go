package edge

import (
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/stats"
)

// TestReadyMetricOfADrain: a part that becomes fit while a drain begins does not
// bring hydrant_ready back.
func TestReadyMetricOfADrain(t *testing.T) {
	n := idle(t, func(*Config) {})
	n.ready.now(stats.PartNATS)
	registry := prometheus.NewRegistry()
	registry.MustRegister(n.metrics.Ready)
	for i := range 20_000 {
		n.ready.drain.Store(false)
		n.ready.not(stats.PartListener, "not open yet")
		var both sync.WaitGroup
		both.Go(func() { n.ready.now(stats.PartListener) })
		both.Go(func() { n.Drain("test") })
		both.Wait()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != 0 {
			t.Fatalf("round %d: hydrant_ready is %v in a drain", i, got)
		}
	}
}
