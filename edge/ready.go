package edge

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// readiness says whether the node takes clients, and what keeps it from that. Safe
// for concurrent use.
type readiness struct {
	gauge prometheus.Gauge
	open  atomic.Bool // there is no reason against being ready, but perhaps a drain
	drain atomic.Bool

	// Guarded by mu.
	mu  sync.Mutex
	why map[string]string // why the node is not ready, by part
}

func newReadiness(gauge prometheus.Gauge) *readiness {
	return &readiness{gauge: gauge, why: make(map[string]string)}
}

// not records why a part keeps the node from being ready.
func (r *readiness) not(part, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why[part] = why
	r.show()
}

// now records that a part keeps the node from nothing.
func (r *readiness) now(part string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.why, part)
	r.show()
}

// leave records that the node drains. It returns false from the second time on.
func (r *readiness) leave() bool {
	if !r.drain.CompareAndSwap(false, true) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.show()
	return true
}

// show sets what is read without the lock. The caller holds it.
func (r *readiness) show() {
	r.open.Store(len(r.why) == 0)
	if r.open.Load() && !r.drain.Load() {
		r.gauge.Set(1)
	} else {
		r.gauge.Set(0)
	}
}

// fit reports whether the node may take clients: also while it drains, as long as
// the balancer may not know.
func (r *readiness) fit() bool { return r.open.Load() }

// draining reports whether the node drains.
func (r *readiness) draining() bool { return r.drain.Load() }

// reasons reports whether the node is ready, or which parts keep it from that;
// with the details, which are for administrators, also why.
func (r *readiness) reasons(details bool) (ready bool, list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(part, why string) {
		if details {
			part += ": " + why
		}
		list = append(list, part)
	}
	for part, why := range r.why {
		add(part, why)
	}
	if r.drain.Load() {
		add("drain", "the node is stopping")
	}
	sort.Strings(list)
	return len(list) == 0, list
}
