package chaos

import (
	"fmt"
	"sync"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// fault is one that was made.
type fault struct {
	s          *schedule
	what, whom string
	once       sync.Once
	done       chan struct{} // closed when it is known whether it bit
}

// note writes down that a fault is being made. It has to bite: the run is judged
// by that as well.
func (s *schedule) note(what, whom string) *fault {
	s.run.cfg.Log("%s: %s", what, whom)
	s.run.h.Add(history.Event{Kind: history.Fault, What: what, Node: whom})
	return &fault{s: s, what: what, whom: whom, done: make(chan struct{})}
}

// bit says that the fault had the effect that it is for, and how one sees that.
func (f *fault) bit(why string) {
	f.once.Do(func() {
		f.s.run.cfg.Log("%s: %s: %s", f.what, f.whom, why)
		f.s.run.h.Add(history.Event{Kind: history.Bit, What: f.what, Node: f.whom, Why: why})
		close(f.done)
	})
}

// missed says that it had not.
func (f *fault) missed(why string) {
	f.once.Do(func() {
		f.s.run.cfg.Log("%s: %s: missed: %s", f.what, f.whom, why)
		f.s.run.h.Add(history.Event{Kind: history.Missed, What: f.what, Node: f.whom, Why: why})
		close(f.done)
	})
}

// over reports whether it is known.
func (f *fault) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// await makes the end of the faults wait until this one has bitten, and does
// something for that every second. What others hide is made again when no more begin.
func (s *schedule) await(f *fault, again func()) {
	s.running.Go(func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		calm, end := s.calm, (<-chan time.Time)(nil)
		if calm == nil {
			end = time.After(harness.Patience)
		}
		for {
			select {
			case <-f.done:
				return
			case <-calm:
				calm, end = nil, time.After(harness.Patience)
			case <-end:
				f.missed("not within " + harness.Patience.String())
				return
			case <-second.C:
				again()
			}
		}
	})
}

// broken writes down that a process did not do what it must.
func (s *schedule) broken(whom string, err error) {
	s.run.cfg.Log("broken: %s: %v", whom, err)
	s.run.h.Add(history.Event{Kind: history.Broken, Node: whom, Why: err.Error()})
}

// froze is what came of an attempt to freeze a process that runs.
func (f *fault) froze(err error) {
	if err == nil {
		f.bit("every thread has stopped")
	}
}

func (f *fault) cutOff(connections int) {
	if connections > 0 {
		f.bit(fmt.Sprint(connections, " connections"))
	}
}
