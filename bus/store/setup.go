package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Setup makes streams and bucket, or updates them to this configuration, and registers
// the work queues of these services: all that nodes need done, so that they need no
// right to do it. It needs [scheme.SetupPermissions]. It stores no message, and may be
// repeated. The findings are warnings, of limits that were left as they are; what
// breaks the contract is an error, as of [Open].
//
// Where the directory could be written in a higher form, older is called, which names
// the nodes that do not know that form. If there is none, it is from then on.
func Setup(ctx context.Context, nc *nats.Conn, cfg Config, queues []scheme.Service, older func(context.Context) ([]string, error)) ([]Finding, error) {
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
			return nil, err
		}
	}
	found, err := s.raiseUnless(ctx, older)
	if err != nil {
		return nil, err
	}
	for _, want := range s.cfg.configs() {
		found = append(found, s.askContract(ctx, want)...)
	}
	if err := s.knownForm(); err != nil {
		return nil, err
	}
	failed := failures(found)
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Verdict == Fail }), contractError(failed)
}

// raiseUnless raises the form, or finds that nodes run which do not know it.
func (s *Store) raiseUnless(ctx context.Context, older func(context.Context) ([]string, error)) ([]Finding, error) {
	if s.Form() == scheme.Form {
		return nil, nil
	}
	nodes, err := older(ctx)
	if err != nil {
		return nil, fmt.Errorf("bus: which nodes run: %w", err)
	}
	if len(nodes) == 0 {
		return nil, s.Raise(ctx)
	}
	return []Finding{{Warn, "form of the sessions' entries",
		fmt.Sprintf("it stays %d, since nodes run that do not know %d: %s", s.Form(), scheme.Form, strings.Join(nodes, ", ")),
		"when they have left, run this again; nodes that may update streams do it by themselves"}}, nil
}

// registerQueue makes the consumer of a service's work queue.
func (s *Store) registerQueue(ctx context.Context, service scheme.Service) error {
	err := jet.Retry(ctx, func(ctx context.Context) error {
		_, err := s.js.CreateOrUpdateConsumer(ctx, scheme.WorkStream, jet.WorkConsumer(service))
		return jet.JSError(err)
	})
	if err != nil {
		return fmt.Errorf("bus: work queue of %s: %w", service, err)
	}
	return nil
}
