package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Subjects of the stream of work that are no queue's. See the package's documentation,
// "Work".
const (
	anyWork = scheme.PrefixWork + "*"         // as former versions have it
	noWork  = scheme.PrefixWork + "none.none" // without queues: one it must have. No service may publish there
)

// takesAny reports whether a stream of work takes it for any name.
func takesAny(c *jetstream.StreamConfig) bool { return slices.Contains(c.Subjects, anyWork) }

// ofWork reports whether subjects are such as the stream of work may have.
func ofWork(subjects []string) bool {
	return len(subjects) > 0 && !slices.ContainsFunc(subjects, func(s string) bool { return !strings.HasPrefix(s, scheme.PrefixWork) })
}

// subjects are those that the stream of work has where these queues are registered.
func (l *queueList) subjects() []string {
	if len(l.names) == 0 {
		return []string{noWork}
	}
	all := make([]string, 0, len(l.names))
	for service := range l.names {
		all = append(all, scheme.WorkSubject(service))
	}
	slices.Sort(all)
	return all
}

// workStream asks for the stream of work.
func (s *Store) workStream(ctx context.Context) (have jetstream.StreamConfig, err error) {
	err = jet.Retry(ctx, func(ctx context.Context) error {
		st, err := s.js.Stream(ctx, scheme.WorkStream)
		if err == nil {
			have = st.CachedInfo().Config
		}
		return jet.JSError(err)
	})
	return have, err
}

// fitWork has the stream of work take what is for a registered queue, and nothing else;
// but one that takes work for any name only if it is to be narrowed. own are
// registered by the caller.
//
// NATS changes a stream unconditionally, so that of two who do at a time one undoes what
// the other did. But a queue's consumer is there before its subject, and whoever has
// changed the subjects looks again: the last one to do so finds what it has undone.
func (s *Store) fitWork(ctx context.Context, narrow bool, own ...scheme.Service) error {
	for {
		next, err := s.workStream(ctx)
		if err != nil || takesAny(&next) && !narrow {
			return err
		}
		l, err := s.listQueues(ctx) // later than the subjects: what they have, and this has not, is gone
		if err != nil {
			return err
		}
		for _, service := range own {
			l.names[service] = struct{}{}
		}
		want := l.subjects()
		if sameSubjects(next.Subjects, want) {
			return nil
		}
		if s.mayNot(ctx, scheme.APIStreamUpdate+scheme.WorkStream) {
			return fmt.Errorf("%w to have stream %s take the work of the queues that are registered, and no other: run `hydrant setup`", jet.ErrDenied, scheme.WorkStream)
		}
		next.Subjects = want
		err = jet.Retry(ctx, func(ctx context.Context) error {
			_, err := s.js.UpdateStream(ctx, next)
			return jet.JSError(err)
		})
		if err != nil {
			return fmt.Errorf("bus: subjects of stream %s: %w", scheme.WorkStream, err)
		}
	}
}

// registerQueues makes the consumers of these services' work queues, and has the stream
// take work for them.
func (s *Store) registerQueues(ctx context.Context, services []scheme.Service, narrow bool) error {
	for _, service := range services {
		err := jet.Retry(ctx, func(ctx context.Context) error {
			_, err := s.js.CreateOrUpdateConsumer(ctx, scheme.WorkStream, jet.WorkConsumer(service))
			return jet.JSError(err)
		})
		if err != nil {
			return fmt.Errorf("bus: work queue of %s: %w", service, err)
		}
	}
	return s.fitWork(ctx, narrow, services...)
}

// RegisterQueues registers the work queues of these services, as [Setup] does, and
// changes nothing else.
func RegisterQueues(ctx context.Context, nc *nats.Conn, services ...scheme.Service) error {
	s, err := unopened(nc, Config{})
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.registerQueues(ctx, services, false)
}
