package egress

import (
	"testing"

	"hydrant/edge/internal/stats"
)

// TestPoolIdle: jobs that wait keep no worker from others, and are bounded.
func TestPoolIdle(t *testing.T) {
	p := NewPool(stats.New())
	end := make(chan struct{})
	for range maxIdlers {
		if !p.SubmitIdle(func() { <-end }) {
			t.Fatal("refused below the bound")
		}
	}
	if p.SubmitIdle(func() {}) {
		t.Error("taken beyond the bound")
	}
	ran := make(chan struct{})
	if !p.Submit(func() { close(ran) }) {
		t.Fatal("refused")
	}
	<-ran
	close(end)
	p.Stop()
	if n := p.idle.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
	if p.SubmitIdle(func() {}) {
		t.Error("taken by a pool that has stopped")
	}
}
