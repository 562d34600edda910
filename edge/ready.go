package edge

import (
	"context"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"hydrant/edge/internal/stats"
)

// readiness says whether the node takes clients, and what it waits for. Each
// change of that is a line in the log, and hydrant_waiting has it. Safe for
// concurrent use.
type readiness struct {
	metrics *stats.Metrics
	log     *slog.Logger
	open    atomic.Bool // there is no reason against being ready, but perhaps a drain
	drain   atomic.Bool

	// Guarded by mu.
	mu     sync.Mutex
	why    map[stats.Part]string // what the node waits for, by part
	warned []string              // what is wrong with the store, and keeps the node from nothing
}

func newReadiness(metrics *stats.Metrics, log *slog.Logger) *readiness {
	return &readiness{metrics: metrics, log: log, why: make(map[stats.Part]string)}
}

// not records what is wrong with a part of the node, which waits for it. That stands
// until now, or until another reason. Only a change is logged, since who waits asks
// again and again.
func (r *readiness) not(part stats.Part, why string) { r.wait(slog.LevelWarn, part, why) }

// begin is not for what takes its time, and is as it should be.
func (r *readiness) begin(part stats.Part, why string) { r.wait(slog.LevelInfo, part, why) }

func (r *readiness) wait(level slog.Level, part stats.Part, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, waited := r.why[part]
	if waited && before == why {
		return
	}
	r.why[part] = why
	r.log.Log(context.Background(), level, "waiting", "for", part.String(), "why", why)
	r.show(part, true)
}

// now records that a part keeps the node from nothing.
func (r *readiness) now(part stats.Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, waited := r.why[part]; !waited {
		return
	}
	delete(r.why, part)
	r.log.Info("no longer waiting", "for", part.String())
	r.show(part, false)
}

// warn records all that is wrong with the store and does no harm to readiness. A
// change is logged.
func (r *readiness) warn(warnings []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case slices.Equal(warnings, r.warned):
		return
	case len(warnings) == 0:
		r.log.Info("nothing is to be said about the store any more")
	default:
		r.log.Warn("the store", "warnings", strings.Join(warnings, "; "))
	}
	r.warned = warnings
	r.metrics.Warnings.Set(float64(len(warnings)))
}

// warnings are those of warn.
func (r *readiness) warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.warned)
}

// waits reports whether a part keeps the node from being ready.
func (r *readiness) waits(part stats.Part) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, waits := r.why[part]
	return waits
}

// leave records that the node drains. It returns false from the second time on.
func (r *readiness) leave() bool {
	if !r.drain.CompareAndSwap(false, true) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.show(stats.PartDrain, true)
	return true
}

// show sets what is read without the lock, after a change of one part. The caller
// holds it.
func (r *readiness) show(part stats.Part, waits bool) {
	r.metrics.Waiting.Set(part, waits)
	r.open.Store(len(r.why) == 0)
	if r.open.Load() && !r.drain.Load() {
		r.metrics.Ready.Set(1)
	} else {
		r.metrics.Ready.Set(0)
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
	add := func(part stats.Part, why string) {
		text := part.String()
		if details {
			text += ": " + why
		}
		list = append(list, text)
	}
	for part, why := range r.why {
		add(part, why)
	}
	if r.drain.Load() {
		add(stats.PartDrain, "the node is stopping")
	}
	sort.Strings(list)
	return len(list) == 0, list
}
