package edge

import (
	"context"
	"time"

	"hydrant/edge/internal/stats"
)

// How often a node looks whether streams and bucket still hold what it needs, and
// for how long. While they do not, it looks every second, and does not wait for the
// look before: what was asked of a leader that died is answered never, or late, and
// a look that begins when NATS is back must not wait for that.
const (
	contractEvery = 30 * time.Second
	contractTime  = 15 * time.Second
	contractAgain = time.Second
	contractLooks = int(contractTime / contractAgain) // at a time
)

// contractWatch keeps the readiness of the store up to date.
type contractWatch struct {
	// Immutable.
	ready     *readiness
	connected func() bool
	check     func(ctx context.Context) error
	now       chan struct{} // asks for a look; room for one

	// Owned by run.
	looking context.Context // of the looks that are under way
	end     context.CancelFunc
}

// look has the streams looked at now. Any goroutine may call it.
func (w *contractWatch) look() {
	select {
	case w.now <- struct{}{}:
	default: // it will be done
	}
}

// verdict is what came of one look.
type verdict struct {
	number int // of the look, in the order in which they began
	err    error
	vain   bool // another look had found nothing before it was done
}

// run looks until ctx ends. A finding stands until a look that began later has found
// nothing; then those that are under way end.
func (w *contractWatch) run(ctx context.Context) {
	verdicts := make(chan verdict, contractLooks)
	begun, under, judged := 0, 0, 0
	w.looking, w.end = context.WithCancel(ctx)
	defer func() { w.end() }()
	every := time.NewTimer(contractEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case v := <-verdicts:
			under--
			if v.vain || v.number < judged { // a later one knows better
				continue
			}
			judged = v.number
			if w.judge(v.err) {
				w.end()
				w.looking, w.end = context.WithCancel(ctx)
			} else {
				every.Reset(contractAgain)
			}
			continue
		case <-w.now:
		case <-every.C:
		}
		if under < contractLooks && w.connected() {
			begun++
			under++
			go w.begin(w.looking, begun, verdicts)
		}
		if w.ready.waits(stats.PartStore) {
			every.Reset(contractAgain)
		} else {
			every.Reset(contractEvery)
		}
	}
}

// begin looks once.
func (w *contractWatch) begin(looking context.Context, number int, verdicts chan<- verdict) {
	ctx, cancel := context.WithTimeout(looking, contractTime)
	defer cancel()
	err := w.check(ctx)
	verdicts <- verdict{number, err, looking.Err() != nil}
}

func (w *contractWatch) judge(err error) (well bool) {
	if err != nil {
		w.ready.not(stats.PartStore, err.Error())
		return false
	}
	w.ready.now(stats.PartStore)
	return true
}
