package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Setup makes streams and bucket, or updates them to this configuration, and registers
// the work queues of these services: all that nodes need done, so that they need no
// right to do it. It needs [scheme.SetupPermissions]. It stores no message, and may be
// repeated. The findings are warnings, of limits that were left as they are; what
// breaks the contract is an error, as of [Open].
func Setup(ctx context.Context, nc *nats.Conn, cfg Config, queues []scheme.Service) ([]Finding, error) {
	s, err := unopened(nc, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := jet.WithDefaultTimeout(ctx, max(s.cfg.Timeout, openTimeout))
	defer cancel()
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	for _, service := range queues {
		if err := s.registerQueue(ctx, service); err != nil {
			return nil, fmt.Errorf("bus: work queue of %s: %w", service, err)
		}
	}
	var found []Finding
	for _, want := range s.cfg.configs() {
		found = append(found, s.askContract(ctx, want)...)
	}
	if err := s.knownForm(); err != nil {
		return nil, err
	}
	failed := failures(found)
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Verdict == Fail }), contractError(failed)
}

// registerQueue makes the consumer of a service's work queue.
func (s *Store) registerQueue(ctx context.Context, service scheme.Service) error {
	return jet.Retry(ctx, func(ctx context.Context) error {
		_, err := s.js.CreateOrUpdateConsumer(ctx, scheme.WorkStream, jet.WorkConsumer(service, jet.DefaultAckWait))
		return jet.JSError(err)
	})
}
