package store

import (
	"sync/atomic"

	"hydrant/bus/scheme"
)

// newerForm remembers that a newer version keeps sessions in this directory. Safe
// for concurrent use.
type newerForm struct {
	entry  atomic.Pointer[error] // of an entry that was met; never taken back
	stream atomic.Int64          // the number in the stream's metadata, if it is higher than this code's; else 0
}

// met records that an entry of a newer form was read.
func (s *Store) met(err error) { s.newer.entry.CompareAndSwap(nil, &err) }

// usable reports whether this code may read and write the directory. The error is
// an ErrNewerForm that says which number was met, and what to do.
func (s *Store) usable() error {
	if form := s.newer.stream.Load(); form > scheme.Form {
		return scheme.NewerForm(int(form))
	}
	if err := s.newer.entry.Load(); err != nil {
		return *err
	}
	return nil
}
