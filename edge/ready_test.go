package edge

import (
	"log/slog"
	"slices"
	"strings"
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

// TestWarningsOfTheStore: what is wrong with the store and keeps the node from nothing is
// counted and can be asked for, and each change is one line.
func TestWarningsOfTheStore(t *testing.T) {
	var log strings.Builder
	m := stats.New()
	r := newReadiness(m, slog.New(slog.NewTextHandler(&log, nil)))
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Warnings)
	for lines, warnings := range [][]string{nil, {"a", "b"}, {"a"}, nil} {
		for range 2 {
			r.warn(warnings)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != float64(len(warnings)) || !slices.Equal(r.warnings(), warnings) {
			t.Errorf("%v, and %v", got, r.warnings())
		}
		if got := strings.Count(log.String(), "\n"); got != lines {
			t.Errorf("%d lines: %s", got, &log)
		}
	}
	if ready, _ := r.reasons(true); !ready {
		t.Error("it is not ready")
	}
}
