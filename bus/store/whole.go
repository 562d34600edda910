package store

import (
	"context"
	"errors"
	"fmt"

	"hydrant/bus/internal/jet"
	"hydrant/bus/kept"
	"hydrant/bus/scheme"
)

// Question is what a reader asks of a mailbox.
type Question struct {
	From, Anchor    uint64 // as for [Store.Read]
	Limit, MaxBytes int    // the same

	// Place is up to where the reader has dealt with all.
	Place uint64
	// Known: the anchor was met in this mailbox, and is not only a client's word.
	Known bool
	// Settled: up to there the session's entry says, or once said, that all was delivered.
	Settled uint64
	// Shelf is what the reader remembers from one question to the next; not nil.
	Shelf *Shelf
}

// Shelf is what a reader remembers of what was set aside of its mailbox. The zero value
// remembers nothing. It belongs to one reading at a time.
type Shelf = kept.Memory[Stored]

// ReadWhole is [Store.Read], of the mailbox as if nothing had been set aside: see package
// [hydrant/bus/kept].
func (s *Store) ReadWhole(ctx context.Context, sid scheme.SID, q Question) (Batch, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	src := &source{mailbox: s.mailbox(sid), ctx: ctx, sid: sid}
	b, err := kept.Read(src, q.kept(), q.Shelf)
	if errors.Is(err, kept.ErrAgain) && !jet.Temporary(err) {
		err = fmt.Errorf("%w: bus: %s: %w", ErrUnconfirmed, src.stream, err)
	}
	return b, err
}

func (q *Question) kept() kept.Question {
	return kept.Question{From: q.From, Anchor: q.Anchor, Limit: q.Limit, MaxBytes: q.MaxBytes, Place: q.Place, Known: q.Known, Settled: q.Settled}
}

// ErrMissing: something of what was set aside is missing; [Store.ReadWhole] says what.
var ErrMissing = kept.ErrMissing

// ReadAside reads what was set aside before a seal of what is asked for, if that is all that
// was before it: else it is [ErrMissing].
func (s *Store) ReadAside(ctx context.Context, sid scheme.SID, q Question, seal *Stored) ([]Stored, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if seal.Seal == nil {
		return nil, ErrMissing
	}
	return kept.Aside(&source{mailbox: s.mailbox(sid), ctx: ctx, sid: sid}, q.kept(), seal.Seal)
}

// Begins is what the stream of a partition began with when this store asked last.
func (s *Store) Begins(partition int) uint64 { return s.begins[partition].Load() }
