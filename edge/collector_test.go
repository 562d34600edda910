package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
)

// newTestNode is a node that was never started.
func newTestNode(t testing.TB) *Node {
	t.Helper()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(cfg, bus.Config{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.pool.stop)
	t.Cleanup(n.cancel)
	return n
}

// Every metric has a base unit, says what it is, and is there from the start,
// before there is a connection to NATS.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	families, err := newTestNode(t).m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, f := range families {
		name := f.GetName()
		found[name] = len(f.GetMetric())
		if !strings.HasPrefix(name, "hydrant_") {
			continue
		}
		if f.GetHelp() == "" || f.GetType().String() == "COUNTER" != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: %s, %q", name, f.GetType(), f.GetHelp())
		}
	}
	for name, series := range map[string]int{
		"hydrant_messages_received_total": int(numReceived), "hydrant_sent_bytes_total": int(numSent),
		"hydrant_closes_total": 28, "hydrant_loop_lag_seconds": 1, "hydrant_connections": 1,
		"hydrant_close_frames_total": protocol.NumCloses, "hydrant_nats_errors_total": len(natsOperations),
	} {
		if found[name] < series {
			t.Errorf("%s has %d series, want %d", name, found[name], series)
		}
	}
}

func read(t *testing.T, m prometheus.Metric) *dto.Metric {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// A histogram adds up over the loops.
func TestDurations(t *testing.T) {
	n := newTestNode(t)
	c := &collector{node: n}
	c.histogram("x_seconds", "x", func(w *worker) *durations { return &w.tally.lag })
	workers := []*worker{{node: n}, {node: n}}
	for i, d := range []time.Duration{-time.Second, 100 * time.Microsecond, 101 * time.Microsecond, time.Second, time.Hour} {
		workers[i%2].tally.lag.observe(d)
	}
	ch := make(chan prometheus.Metric, 1)
	c.list[0].emit(c.list[0].desc, &snapshot{node: n, workers: workers}, ch)
	h := read(t, <-ch).GetHistogram()
	if h.GetSampleCount() != 5 || h.GetSampleSum() < 3601 || h.GetSampleSum() > 3601.001 {
		t.Errorf("%d samples, sum %v", h.GetSampleCount(), h.GetSampleSum())
	}
	for bound, want := range map[float64]uint64{0.0001: 2, 0.0004: 3, 0.4096: 3, 1.6384: 4, 6.5536: 4} {
		for _, b := range h.GetBucket() {
			if b.GetUpperBound() == bound && b.GetCumulativeCount() != want {
				t.Errorf("at most %v s: %d, want %d", bound, b.GetCumulativeCount(), want)
			}
		}
	}
}

// Counting a message and its time costs nothing that the collector has to clean up.
func TestTallyDoesNotAllocate(t *testing.T) {
	w := &worker{size: 300}
	c := &client{w: w}
	if n := testing.AllocsPerRun(1000, func() {
		c.took(inService)
		w.tally.out[outMailbox].add(300)
		w.tally.stored.observe(time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTally is what counting one message in and one out costs, with the
// time of both.
func BenchmarkTally(b *testing.B) {
	w := &worker{size: 300}
	c := &client{w: w}
	b.ReportAllocs()
	for b.Loop() {
		c.took(inService)
		w.tally.published.observe(300 * time.Microsecond)
		w.tally.out[outMailbox].add(300)
		w.tally.stored.observe(2 * time.Millisecond)
	}
}
