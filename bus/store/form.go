package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// formGuard is max_msgs of the stream UMF_EXPIRY: no limit that is ever met, but one
// that nodes of the first form, which look for none, do not start with, and do not
// change. See the package's documentation, "Forms".
const formGuard = 1 << 40

// newerForm remembers that a newer version keeps sessions in this directory. Safe
// for concurrent use.
type newerForm struct {
	entry  atomic.Pointer[error] // of an entry that was met; never taken back
	stream atomic.Int64          // the number in the stream's metadata, if it is higher than this code's; else 0
}

// met records that an entry of a newer form was read.
func (s *Store) met(err error) { s.newer.entry.CompareAndSwap(nil, &err) }

// Usable reports whether this code may read and write the directory. The error is
// an ErrNewerForm that says which number was met, and what to do.
func (s *Store) Usable() error {
	if form := s.newer.stream.Load(); form > scheme.Form {
		return scheme.NewerForm(int(form))
	}
	if err := s.newer.entry.Load(); err != nil {
		return *err
	}
	return nil
}

// noteForm records the form that the directory's stream names.
func (s *Store) noteForm(directory jetstream.StreamConfig) {
	form := scheme.FormOf(directory.Metadata)
	if form <= scheme.Form {
		form = 0
	}
	s.newer.stream.Store(int64(form))
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
