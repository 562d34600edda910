package egress

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"hydrant/edge/internal/stats"
)

// full is how many calls found no room.
func full(t *testing.T, m *stats.Metrics) float64 {
	t.Helper()
	sums, err := m.Sums()
	if err != nil {
		t.Fatal(err)
	}
	return sums["hydrant_pool_full_total"]
}

// TestPoolFull: as many calls as may are under way, and as many as may wait. Those
// beyond are refused at once, and all others are made.
func TestPoolFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := stats.New()
		p := NewPool(m)
		leave := make(chan struct{})
		var made atomic.Int64
		call := func() {
			<-leave
			made.Add(1)
		}
		for range Workers {
			p.Submit(call)
		}
		synctest.Wait()
		if p.Busy() != Workers || p.Waiting() != 0 {
			t.Errorf("%d calls are under way, %d wait", p.Busy(), p.Waiting())
		}
		for i := range queueLimit {
			if !p.Submit(call) {
				t.Fatalf("refused after %d", i)
			}
		}
		if full(t, m) != 0 || p.Waiting() != queueLimit {
			t.Errorf("%v were refused, %d wait", full(t, m), p.Waiting())
		}
		for range 2 {
			if p.Submit(func() { t.Error("a call that was refused is made") }) {
				t.Error("one more is taken")
			}
		}
		if n := full(t, m); n != 2 {
			t.Errorf("%v were refused", n)
		}
		close(leave)
		synctest.Wait()
		if made.Load() != Workers+queueLimit || p.Busy() != 0 || p.Waiting() != 0 {
			t.Errorf("%d calls were made, %d are under way, %d wait", made.Load(), p.Busy(), p.Waiting())
		}
		if !p.Submit(call) {
			t.Error("there is no room again")
		}
		p.Stop()
	})
}

// TestPoolStop: the end waits for the calls that were taken, and no other is taken
// from then on.
func TestPoolStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := stats.New()
		p := NewPool(m)
		var taken, made atomic.Int64
		var loops sync.WaitGroup
		for range 4 {
			loops.Go(func() {
				for p.Submit(func() { made.Add(1) }) {
					taken.Add(1)
				}
			})
		}
		leave := make(chan struct{})
		for !p.Submit(func() { <-leave }) { // of the queue that the loops fill
		}
		stopped := false
		go func() {
			p.Stop()
			stopped = true
		}()
		synctest.Wait()
		if stopped {
			t.Error("it has ended, and a call is under way")
		}
		close(leave)
		p.Stop() // a second time as well
		loops.Wait()
		if taken.Load() != made.Load() || p.Submit(func() {}) {
			t.Errorf("%d calls were taken, %d made, and there may be more", taken.Load(), made.Load())
		}
	})
}
