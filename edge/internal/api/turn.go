package api

import (
	"context"
	"sync/atomic"
	"time"

	"hydrant/edge/internal/stats"
)

// turn is leave to work on the large bodies of one request: see the package's Design. It
// is taken when a body is there, and lasts until end, or for as long as the body takes at
// gateRate. For the goroutine that serves the request.
type turn struct {
	gate  *gate // immutable
	taken atomic.Bool
	began time.Time
	timer *time.Timer
}

// A turn that ends is followed by a rest, a part of the time that it took: see the
// package's Design.
const (
	restPart = 3
	restMost = 2 * time.Millisecond // of a slow service the node has rested meanwhile
)

// take waits for a turn to work on size bytes, unless these are few, or it is taken. It
// reports whether that came before ctx ended.
func (t *turn) take(ctx context.Context, size int) bool {
	if size < gateLarge || t.taken.Load() {
		return true
	}
	g := t.gate
	g.waiting.Inc()
	defer g.waiting.Dec()
	select {
	case g.turns <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	t.taken.Store(true)
	t.began = time.Now()
	t.timer = time.AfterFunc(time.Duration(size)*time.Second/gateRate, t.giveUp)
	return true
}

// giveUp lets another have its turn. Any goroutine may call it.
func (t *turn) giveUp() {
	if t.taken.CompareAndSwap(true, false) {
		<-t.gate.turns
	}
}

// end ends the turn for good.
func (t *turn) end() {
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.taken.CompareAndSwap(true, false) {
		time.AfterFunc(min(time.Since(t.began)/restPart, restMost), func() { <-t.gate.turns })
	}
}

// begin waits for the turn of a body that has come. Its error is a refusal.
func (a *API) begin(ctx context.Context, t *turn, size int) error {
	ctx, cancel := context.WithTimeout(ctx, a.node.Config.RequestTimeout)
	defer cancel()
	if !t.take(ctx, size) {
		a.node.Metrics.Requests.Inc(stats.RequestRefused)
		return errBusy
	}
	return nil
}

// resume waits for the turn of an answer. One that has waited for long goes out without:
// what was asked for is done.
func (a *API) resume(ctx context.Context, t *turn, size int) {
	ctx, cancel := context.WithTimeout(ctx, a.node.Config.RequestTimeout)
	defer cancel()
	t.take(ctx, size)
}
