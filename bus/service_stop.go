package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
)

// Stop ends the service gracefully: it leaves the queue group, handles what
// has arrived, waits for its acknowledgements, and returns. When ctx (at most
// DrainTimeout, if it has no end) ends before, the handlers' contexts end and
// Stop returns ErrDrain. It does not close the NATS connection. Later calls wait
// for the first and return the same. A Start that is under way is waited for,
// and what it made is undone. A service that was never started is to be stopped
// as well.
func (s *Service) Stop(ctx context.Context) error {
	if s == nil {
		return errNoService
	}
	s.mu.Lock()
	was := s.state
	s.state = serviceStopping
	s.mu.Unlock()
	if was == serviceStopping {
		select {
		case <-s.stopped:
			return s.stopErr
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrDrain, ctx.Err())
		}
	}
	ctx, cancel := jet.WithDefaultTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	var err error
	if was == serviceRunning {
		s.begun(ctx)
		if s.micro != nil {
			err = s.micro.Stop()
		}
		err = errors.Join(err, s.drain(ctx))
	}
	s.finish()
	s.stopErr = err
	close(s.stopped)
	return err
}

// begun waits until Start has made all that is to be undone. When ctx ends
// before, so does what Start waits for.
func (s *Service) begun(ctx context.Context) {
	select {
	case <-s.started:
	case <-ctx.Done():
		s.cancel()
		<-s.started
	}
}

// drain receives nothing new and waits until what was received is done.
func (s *Service) drain(ctx context.Context) error {
	for _, sub := range s.subs {
		_ = sub.Drain() // fails only if the connection is closed: then nothing comes either
	}
	if s.work != nil {
		if err := s.work.drain(ctx); err != nil {
			return err
		}
	}
	if err := s.arrived(ctx); err != nil {
		return err
	}
	s.lanes.close()
	select {
	case <-s.lanes.idle:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrDrain, ctx.Err())
	}
	for range cap(s.slots) { // with all slots in hand, nothing is in flight
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrDrain, ctx.Err())
		}
	}
	return nil
}

// arrived waits until everything that the server has sent to this connection
// has passed through its subscriptions' callbacks.
func (s *Service) arrived(ctx context.Context) error {
	err := s.nc.FlushWithContext(ctx)
	if errors.Is(err, nats.ErrConnectionClosed) || s.nc.IsClosed() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDrain, err)
	}
	passed := make(chan struct{})
	if err := s.nc.Barrier(func() { close(passed) }); err != nil {
		return nil // the connection is closed
	}
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrDrain, ctx.Err())
	}
}

// finish releases what the service holds, whether or not it was drained.
// Handlers that are still running find their contexts ended.
func (s *Service) finish() {
	s.cancel()
	s.sessions.close()
	s.lanes.close()
	if s.work != nil {
		s.work.abandon()
	}
	s.acks.Close()
	s.refusals.Close()
	s.nc.RemoveStatusListener(s.status)
	s.watch.Wait()
}
