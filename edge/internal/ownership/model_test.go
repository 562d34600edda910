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
	taken   [numPhases][numPhases]int
	tails   int // messages that came out of tails
	waited  int // parts that the socket had no room for
	untrue  int // parts that were not as they should be
	tooLate int // tails that were used no more
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
	t.Logf("%d messages out of tails; %d parts waited, %d were wrong; %d tails came too late", c.tails, c.waited, c.untrue, c.tooLate)
	if *modelSteps >= 1_000_000 && min(c.tails, c.waited, c.untrue, c.tooLate) == 0 {
		t.Error("the model does not test all that tails do")
	}
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

// ruleSteps bounds the steps until the model notices that a rule is not kept.
const ruleSteps = 50_000_000

// TestModelWithoutRules: the model notices each rule of tails that is not kept, most
// quickly in the trouble that it is for.
func TestModelWithoutRules(t *testing.T) {
	for r, trouble := range map[rule]int{tailsHaveLinks: troubleTails, tailsFollowAll: troubleTails, tailsAreYoung: troubleSlow} {
		t.Run(r.String(), func(t *testing.T) {
			steps := 0
			for seed := uint64(1); steps < ruleSteps; seed++ {
				w := newWorldOf(seed, trouble, new(counts))
				w.without = r
				failed := w.run()
				if steps += w.steps; failed != "" {
					t.Logf("after %d schedules, %d steps: %s", seed, steps, failed)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
