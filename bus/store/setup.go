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
// Where the directory could be written in a higher form, or the stream of work takes it
// for any name, older is called. If no node runs that does not know better, the form is
// raised, and the stream takes work of registered queues only.
func Setup(ctx context.Context, nc *nats.Conn, cfg Config, queues []scheme.Service, older func(context.Context) (Older, error)) ([]Finding, error) {
	s, err := unopened(nc, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := jet.WithDefaultTimeout(ctx, max(s.cfg.Timeout, openTimeout))
	defer cancel()
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	found, err := s.setupQueues(ctx, queues, older)
	if err != nil {
		return nil, err
	}
	raised, err := s.raiseUnless(ctx, older)
	if err != nil {
		return nil, err
	}
	found = append(found, raised...)
	for _, want := range s.cfg.configs() {
		found = append(found, s.askContract(ctx, want)...)
	}
	if err := s.knownForm(); err != nil {
		return nil, err
	}
	failed := failures(found)
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Verdict == Fail }), contractError(failed)
}

// Older are nodes of former versions that run, by their ids.
type Older struct {
	Form []string // that do not know the highest form of entries
	Work []string // that serve only while the stream of work takes it for any name
}

// setupQueues registers work queues, or finds that nodes run which expect work for any
// name to be taken.
func (s *Store) setupQueues(ctx context.Context, queues []scheme.Service, older func(context.Context) (Older, error)) ([]Finding, error) {
	have, err := s.workStream(ctx)
	if err != nil {
		return nil, err
	}
	if !takesAny(&have) {
		return nil, s.registerQueues(ctx, queues, false)
	}
	nodes, err := older(ctx)
	if err != nil {
		return nil, fmt.Errorf("bus: which nodes run: %w", err)
	}
	if err := s.registerQueues(ctx, queues, len(nodes.Work) == 0); err != nil || len(nodes.Work) == 0 {
		return nil, err
	}
	return []Finding{{Warn, "stream " + scheme.WorkStream,
		"it goes on taking work for any name, since nodes run that expect it: " + strings.Join(nodes.Work, ", "),
		"when they have left, run this again; nodes that may update streams do it by themselves"}}, nil
}

// raiseUnless raises the form, or finds that nodes run which do not know it.
func (s *Store) raiseUnless(ctx context.Context, older func(context.Context) (Older, error)) ([]Finding, error) {
	if s.Form() == scheme.Form {
		return nil, nil
	}
	nodes, err := older(ctx)
	if err != nil {
		return nil, fmt.Errorf("bus: which nodes run: %w", err)
	}
	if len(nodes.Form) == 0 {
		return nil, s.Raise(ctx)
	}
	return []Finding{{Warn, "form of the sessions' entries",
		fmt.Sprintf("it stays %d, since nodes run that do not know %d: %s", s.Form(), scheme.Form, strings.Join(nodes.Form, ", ")),
		"when they have left, run this again; nodes that may update streams do it by themselves"}}, nil
}
