package edge

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// refused is the way on which NATS says that nobody listens to a message. It implements
// [egress.Refused]: what waits to know that nothing was said of a message goes the same
// way, behind.
type refused struct {
	// Immutable after New.
	ch      chan *nats.Msg // of the node's reply subjects
	stopped <-chan struct{}

	// Shared.
	sub atomic.Pointer[nats.Subscription] // nil: not yet

	// Guarded by mu.
	mu      sync.Mutex
	waiting []func()
}

// passed is put into the channel behind what was there.
var passed = new(nats.Msg)

// Behind implements [egress.Refused].
func (r *refused) Behind(f func()) {
	r.mu.Lock()
	r.waiting = append(r.waiting, f)
	r.mu.Unlock()
	select {
	case r.ch <- passed:
	case <-r.stopped: // nobody reads it any more
	}
}

// pass runs the next function that waits. It may be another's than the one that has put
// passed into the channel: then that one has waited longer.
func (r *refused) pass() {
	r.mu.Lock()
	f := r.waiting[0]
	r.waiting = r.waiting[1:]
	r.mu.Unlock()
	f()
}

// Dropped implements [egress.Refused].
func (r *refused) Dropped() int {
	sub := r.sub.Load()
	if sub == nil {
		return 0
	}
	n, err := sub.Dropped()
	if err != nil {
		return 0 // its connection is gone, and with it what was published there
	}
	return n
}
