package store

import (
	"context"
	"errors"
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
	info, err := s.workInfo(ctx)
	if err == nil {
		have = info.Config
	}
	return have, err
}

func (s *Store) workInfo(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	err = jet.Retry(ctx, func(ctx context.Context) error {
		st, err := s.js.Stream(ctx, scheme.WorkStream)
		if err == nil {
			info = st.CachedInfo()
		}
		return jet.JSError(err)
	})
	return info, err
}

// workFit is what the stream of work has, and is to have.
type workFit struct {
	have jetstream.StreamConfig
	want []string // nil: what it has
	deaf []string // subjects that it has, and does not listen to
}

// fits reports whether nothing is to be done.
func (f *workFit) fits() bool { return f.want == nil && len(f.deaf) == 0 }

// next are the subjects that the stream is to get now: a subject that it does not listen to
// is taken out, and so put in at the next time.
func (f *workFit) next() []string {
	if f.want != nil {
		return f.want
	}
	heard := slices.DeleteFunc(slices.Clone(f.have.Subjects), func(subject string) bool { return slices.Contains(f.deaf, subject) })
	if len(heard) == 0 {
		return []string{noWork}
	}
	return heard
}

// look looks how the stream of work is, and is to be.
func (s *Store) look(ctx context.Context, narrow, listen bool, own []scheme.Service) (f workFit, err error) {
	info, err := s.workInfo(ctx)
	if err != nil || takesAny(&info.Config) && !narrow {
		return f, err
	}
	f.have = info.Config
	l, err := s.listQueues(ctx) // later than the subjects: what they have, and this has not, is gone
	if err != nil {
		return f, err
	}
	for _, service := range own {
		l.names[service] = struct{}{}
	}
	want := l.subjects()
	switch {
	case !sameSubjects(f.have.Subjects, want):
		f.want = want
	case listen && s.running != nil && (info.Cluster == nil || info.Cluster.Name == ""):
		f.deaf = s.deaf(ctx, want)
	}
	return f, nil
}

// deaf returns those subjects of the stream of work which it does not listen to. It asks
// as only nodes may: with what a stream of another name is to take, and so this refuses.
func (s *Store) deaf(ctx context.Context, subjects []string) (deaf []string) {
	for _, subject := range subjects {
		if subject == noWork {
			continue
		}
		_, err := jet.PublishAcked(ctx, s.nc, &nats.Msg{Subject: subject, Header: nats.Header{jet.HeaderExpectedStream: []string{"none"}}})
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			deaf = append(deaf, subject)
		case errors.Is(err, ErrUnconfirmed), ctx.Err() != nil:
			return deaf // the next look tells
		}
	}
	return deaf
}

// fitWork has the stream of work take what is for a registered queue, and nothing else;
// but one that takes work for any name only if it is to be narrowed. own are
// registered by the caller.
//
// NATS changes a stream unconditionally, so that of two who do at a time one undoes what
// the other did. But a queue's consumer is there before its subject, and whoever has
// changed the subjects looks again: the last one to do so finds what it has undone. That
// the stream listens to what it has, see the package's documentation, "Work queues".
func (s *Store) fitWork(ctx context.Context, narrow bool, own ...scheme.Service) error {
	f, err := s.look(ctx, narrow, true, own)
	switch {
	case err != nil || f.fits():
		return err
	case !s.mayNot(ctx, scheme.APIStreamUpdate+scheme.WorkStream):
	case f.want == nil:
		return fmt.Errorf("%w to have stream %s listen again to what it is to take, %s: start that server anew", jet.ErrDenied, scheme.WorkStream, strings.Join(f.deaf, ", "))
	default:
		return fmt.Errorf("%w to have stream %s take the work of the queues that are registered, and no other: run `hydrant setup`", jet.ErrDenied, scheme.WorkStream)
	}
	end, err := s.workTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	for listen := true; ; listen = listen && len(f.deaf) == 0 { // once: behind a leaf node the server's listening is heard later
		if f, err = s.look(ctx, narrow, listen, own); err != nil || f.fits() {
			return err
		}
		next := f.have
		next.Subjects = f.next()
		err = jet.Retry(ctx, func(ctx context.Context) error {
			_, err := s.js.UpdateStream(ctx, next)
			return jet.JSError(err)
		})
		if err != nil {
			return fmt.Errorf("bus: subjects of stream %s: %w", scheme.WorkStream, err)
		}
	}
}

// workTurn waits until it is this store's turn to change the stream of work. Without
// nodes' rights there is none, nor where the directory is full.
func (s *Store) workTurn(ctx context.Context) (end func(), err error) {
	if s.running == nil {
		return func() {}, nil
	}
	end, err = s.turn(ctx, "work", turnTime)
	if errors.Is(err, ErrRefused) {
		return func() {}, nil
	}
	return end, err
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
