package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// formGuard is max_msgs of the stream UMF_EXPIRY: no limit that is ever met, but one
// that nodes of the first form, which look for none, do not start with, and do not
// change. See the package's documentation, "Forms".
const formGuard = 1 << 40

// form is what is known of the form in use. Safe for concurrent use.
type form struct {
	newer  atomic.Pointer[error] // that an entry of a newer one was met; never taken back
	stream atomic.Int64          // the number in the metadata of the directory's stream; 0: it was not looked at
}

// met records that an entry of a newer form was read.
func (s *Store) met(err error) { s.form.newer.CompareAndSwap(nil, &err) }

// Form is the number of the form in which this code writes entries: the one that the
// directory's stream names, so that nodes which know no higher one can read them.
func (s *Store) Form() int {
	return min(max(int(s.form.stream.Load()), scheme.RollingForm), scheme.Form)
}

// Usable reports whether this code may read and write the directory. The error is
// an ErrNewerForm that says which number was met, and what to do.
func (s *Store) Usable() error {
	if form := s.form.stream.Load(); form > scheme.Form {
		return scheme.NewerForm(int(form))
	}
	if err := s.form.newer.Load(); err != nil {
		return *err
	}
	return nil
}

// noteForm records the form that the directory's stream names.
func (s *Store) noteForm(directory jetstream.StreamConfig) {
	s.form.stream.Store(int64(scheme.FormOf(directory.Metadata)))
}

// Raise has the directory's stream name the highest form that this code knows, if it
// names a lower one, and has this store write it. Nodes that know lower ones only do not
// serve from then on. [ErrRefused]: this user may not.
func (s *Store) Raise(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return jet.Retry(ctx, func(ctx context.Context) error {
		st, err := s.js.Stream(ctx, scheme.SessionStream)
		if err != nil {
			return jet.JSError(err)
		}
		next := st.CachedInfo().Config
		if scheme.FormOf(next.Metadata) < scheme.Form {
			if s.mayNot(ctx, scheme.APIStreamUpdate+scheme.SessionStream) {
				return fmt.Errorf("%w: %w: %s to form %d", ErrRefused, jet.ErrDenied, scheme.SessionStream, scheme.Form)
			}
			next.Metadata = withForm(next.Metadata, scheme.Form)
			if _, err := s.js.UpdateStream(ctx, next); err != nil {
				return jet.JSError(err)
			}
		}
		s.noteForm(next)
		return nil
	})
}

// withForm is metadata that name a form.
func withForm(metadata map[string]string, form int) map[string]string {
	named := map[string]string{scheme.MetaForm: strconv.Itoa(form)}
	for key, value := range metadata {
		if key != scheme.MetaForm {
			named[key] = value
		}
	}
	return named
}

// knownForm is the finding that this code may not touch the directory; nil: it may.
func (s *Store) knownForm() error {
	err := s.Usable()
	if err == nil {
		return nil
	}
	f := broken("form of the sessions' entries", fmt.Sprintf("at most %d", scheme.Form), err.Error(),
		"run the newer version on this node too; until then it claims, changes and ends no session")
	return &ContractError{Findings: []Finding{f}}
}

// lookAtForm asks the directory which form is in use, before anything is changed.
func (s *Store) lookAtForm(ctx context.Context) error {
	var st jetstream.Stream
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		st, err = s.js.Stream(ctx, scheme.SessionStream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return jet.JSError(err)
	})
	if err != nil {
		return fmt.Errorf("bus: stream %s: %w", scheme.SessionStream, err)
	}
	if st != nil {
		s.noteForm(st.CachedInfo().Config)
	}
	return s.knownForm()
}
