package ownership

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	modelSteps = flag.Int("steps", 3_000_000, "steps of the model test")
	modelSeed  = flag.Uint64("seed", 0, "seed of the one schedule to run; 0: from 1, until the steps are done")
)

// counts is what all schedules did.
type counts struct {
	taken [numPhases][numPhases]int
}

func (c *counts) moved(from, to Phase) {
	if from != to {
		c.taken[from][to]++
	}
}

// TestModel runs random schedules: several machines on two or three nodes, in
// virtual time, with a directory, a mailbox and one client (sim*_test.go). One that
// fails is repeated with its seed, and told in full. For a long run:
//
//	go test -run TestModel -v -steps 100000000 -timeout 1h ./edge/internal/ownership
func TestModel(t *testing.T) {
	var c counts
	began := time.Now()
	seed, steps, schedules := uint64(1), 0, 0
	if *modelSeed != 0 {
		seed = *modelSeed
	}
	for ; steps < *modelSteps; seed++ {
		w := newWorld(seed, &c)
		failed := w.run()
		steps += w.steps
		schedules++
		if failed != "" || *modelSeed != 0 {
			tell(t, seed)
			break
		}
	}
	t.Logf("%d schedules, %d steps, %v", schedules, steps, time.Since(began).Round(time.Millisecond))
}

// tell repeats a schedule with a trace.
func tell(t *testing.T, seed uint64) {
	var trace strings.Builder
	w := newWorld(seed, new(counts))
	w.trace = &trace
	if failed := w.run(); failed != "" {
		t.Errorf("seed %d: %s\n%s(again with -run TestModel -seed %d)", seed, failed, trace.String(), seed)
	}
}
