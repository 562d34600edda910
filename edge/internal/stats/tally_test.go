package stats

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
)

// A histogram adds up over the loops.
func TestDurations(t *testing.T) {
	tallies := [2]Tally{}
	for i, d := range []time.Duration{-time.Second, 100 * time.Microsecond, 101 * time.Microsecond, time.Second, time.Hour} {
		tallies[i%2].Lag.Observe(d)
	}
	c := &collector{}
	c.histogram("x_seconds", "x", func(t *Tally) *Durations { return &t.Lag })
	ch := make(chan prometheus.Metric, 1)
	c.list[0].emit(c.list[0].desc, &Sample{Loops: []Loop{{Tally: &tallies[0]}, {Tally: &tallies[1]}}}, ch)
	var out dto.Metric
	if err := (<-ch).Write(&out); err != nil {
		t.Fatal(err)
	}
	h := out.GetHistogram()
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

// The numbers of all loops are added up, and those of the node are as they are.
func TestCollector(t *testing.T) {
	var tallies [2]Tally
	for i := range tallies {
		tallies[i].In[InService].Add(100)
		tallies[i].Out[OutGap].Add(10)
		tallies[i].HeldBack.Add(3)
		tallies[i].Unacked.Store(4)
		tallies[i].Windowed.Store(1)
	}
	tallies[1].DirtyFrom.Store(time.Now().Add(-time.Hour).UnixNano())
	sample := Sample{Unasked: 5, Cut: 6, Probes: 13, Again: 14, Queues: 15, Looks: 16, Waiting: 7, Busy: 8, Loops: []Loop{
		{Tally: &tallies[0], Ops: 1, Bytes: 10, Flying: 100}, {Tally: &tallies[1], Ops: 2, Bytes: 20, Flying: 200},
	}}
	sample.Wire.Upgraded, sample.Wire.Waiting = 9, 11
	sample.Wire.Drops[2] = 12
	m := New()
	m.Registry.MustRegister(NewCollector(func() Sample { return sample }))
	all := series(t, m)
	for name, want := range map[string]float64{
		`hydrant_messages_received_total{kind="service"}`: 2,
		`hydrant_received_bytes_total{kind="service"}`:    200,
		`hydrant_messages_sent_total{kind="gap"}`:         2,
		`hydrant_sent_bytes_total{kind="gap"}`:            20,
		`hydrant_messages_sent_total{kind="pong"}`:        0,
		`hydrant_held_back_total`:                         6,
		`hydrant_window_messages`:                         8,
		`hydrant_window_full_sessions`:                    2,
		`hydrant_outbox_operations`:                       3,
		`hydrant_outbox_bytes`:                            30,
		`hydrant_outbox_unacknowledged`:                   300,
		`hydrant_reader_inbox_full_total`:                 5,
		`hydrant_discovery_full_total`:                    6,
		`hydrant_proofs_total`:                            13,
		`hydrant_proof_retries_total`:                     14,
		`hydrant_work_queues`:                             15,
		`hydrant_work_queue_looks_total`:                  16,
		`hydrant_pool_queue`:                              7,
		`hydrant_pool_busy`:                               8,
		`hydrant_connections`:                             9,
		`hydrant_loop_inbox`:                              11,
		`hydrant_closes_total{reason="aborted"}`:          12,
	} {
		if got, ok := all[name]; !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, ok, want)
		}
	}
	if lag := all["hydrant_checkpoint_lag_seconds"]; lag < 3600 || lag > 3700 {
		t.Errorf("the oldest floor is %v s old", lag)
	}
}

// Counting what happens with a message allocates nothing, whichever way it is
// counted.
func TestCountingDoesNotAllocate(t *testing.T) {
	var tally Tally
	m := New()
	count := func() {
		tally.In[InService].Add(300)
		tally.Out[OutMailbox].Add(300)
		tally.Stored.Observe(time.Millisecond)
		m.Errors.Inc(protocol.CodeTimeout)
		m.Machine.Inc(session.DuplicateCopy)
		m.Sessions.Move(session.Behind, session.Live)
	}
	if n := testing.AllocsPerRun(1000, count); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTally is what counting one message in and one out costs, with the
// time of both.
func BenchmarkTally(b *testing.B) {
	var tally Tally
	b.ReportAllocs()
	for b.Loop() {
		tally.In[InService].Add(300)
		tally.Published.Observe(300 * time.Microsecond)
		tally.Out[OutMailbox].Add(300)
		tally.Stored.Observe(2 * time.Millisecond)
	}
}

// BenchmarkMove is what counting a change of state costs.
func BenchmarkMove(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.Sessions.Move(session.Live, session.Behind)
	}
}
