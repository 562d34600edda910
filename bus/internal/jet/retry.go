package jet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// WithDefaultTimeout gives a context that has no deadline this one.
func WithDefaultTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// AttemptTimeout bounds one of several attempts: an answer that was lost, with
// its connection or with the server that was to give it, never comes.
const AttemptTimeout = 3 * time.Second

// Retry calls f until it succeeds, fails for good, or ctx ends; then it returns
// f's last error, or the last ErrUnconfirmed if there was one: that attempt may
// have done what later ones were told cannot be done. Each has AttemptTimeout.
func Retry(ctx context.Context, f func(ctx context.Context) error) error {
	wait := 10 * time.Millisecond
	var doubt error
	for {
		actx, cancel := context.WithTimeout(ctx, AttemptTimeout)
		err := f(actx)
		cancel()
		if err == nil || !Temporary(err) {
			return err
		}
		if errors.Is(err, ErrUnconfirmed) {
			doubt = err
		}
		if Pause(ctx, wait) != nil {
			err = cmp.Or(doubt, err)
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("%w (%w)", err, context.Canceled)
			}
			return err
		}
		wait = min(2*wait, 500*time.Millisecond)
	}
}

// Pause waits for d, or until ctx has ended, and returns the error of ctx then.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
