package main

import (
	"runtime/metrics"
	"testing"
	"time"
)

func TestTender(t *testing.T) {
	const mega = 1 << 20
	var d tender
	for _, step := range []struct {
		at    time.Duration
		total uint64
		due   bool
		why   string
	}{
		{1 * time.Second, 4 * mega, false, "a start"},
		{2 * time.Second, 4 * mega, false, "little was allocated"},
		{3 * time.Second, 40 * mega, false, "a burst"},
		{4 * time.Second, 60 * mega, false, "it goes on"},
		{5 * time.Second, 60*mega + 1000, true, "it is over"},
		{6 * time.Second, 60*mega + 2000, false, "done already"},
		{7 * time.Second, 90 * mega, false, "another burst"},
		{8 * time.Second, 90 * mega, false, "too soon after the last time"},
		{10 * time.Second, 90 * mega, true, "long enough after the last time"},
		{26 * time.Second, 91 * mega, false, "not worth it"},
		{60 * time.Second, 99 * mega, false, "load"},
		{61 * time.Second, 100 * mega, true, "what a trickle has left"},
	} {
		if got := d.due(step.at, step.total); got != step.due {
			t.Errorf("%v: due is %v: %s", step.at, got, step.why)
		}
	}
}

// TestAllocationMetric: the runtime still has what tendMemory reads.
func TestAllocationMetric(t *testing.T) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 || sample[0].Value.Uint64() == 0 {
		t.Errorf("kind %v", sample[0].Value.Kind())
	}
}
