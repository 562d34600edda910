package edge

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// TestRefused: what waits for the word that nobody listens is behind all that has come,
// and does not run before that was taken. Nothing waits for a node that has stopped.
func TestRefused(t *testing.T) {
	stopped := make(chan struct{})
	r := &refused{ch: make(chan *nats.Msg, 3), stopped: stopped}
	first := new(nats.Msg)
	r.ch <- first
	ran := 0
	r.Behind(func() { ran = 1 })
	if m := <-r.ch; m != first || ran != 0 {
		t.Errorf("%v comes first; %d has run", m, ran)
	}
	r.Behind(func() { ran = 2 })
	for want := range 2 {
		if m := <-r.ch; m != passed {
			t.Fatalf("then comes %v", m)
		}
		if r.pass(); ran != want+1 {
			t.Errorf("%d has run, want %d", ran, want+1)
		}
	}
	if n := r.Dropped(); n != 0 {
		t.Errorf("%d dropped without a connection", n)
	}
	close(stopped)
	r.ch = nil
	r.Behind(func() { t.Error("it runs") })
}
