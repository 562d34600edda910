package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Sighting is a message without a time to live that somebody has seen in a mailbox.
type Sighting struct {
	SID  scheme.SID
	Seq  uint64
	Time int64 // when the store stored it, Unix ns
}

// WentBack reports whether the log of a mailbox stream is not the one in which a message
// was seen: the stream was put back to a copy, or has lost its end. What has expired, or
// was dropped, does not tell; then it is false. It fails with an error of NATS, and
// nothing is known.
func (s *Store) WentBack(ctx context.Context, seen Sighting) (bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// A server that led once, and does not know better, says that the log ends before the
	// message. What is acknowledged now has a place in the log that there is: either it is
	// none above the message, or who does not have it answers for a log of before.
	var last uint64
	err := jet.Retry(ctx, func(ctx context.Context) (err error) {
		last, err = jet.PublishAcked(ctx, s.nc, briefMarker(scheme.NewSIDIn(s.PartitionOf(seen.SID), s.cfg.Streams)))
		return err
	})
	if err != nil || last <= seen.Seq {
		return err == nil, err
	}
	var b Batch
	err = jet.Retry(ctx, func(ctx context.Context) (err error) {
		if b, err = s.Read(ctx, seen.SID, seen.Seq, seen.Seq, 0, 0); err == nil && b.HasLast && b.Last < last {
			err = fmt.Errorf("%w: the leader of %s ends at %d, and %d was acknowledged", ErrUnavailable, s.stream(seen.SID), b.Last, last)
		}
		return err
	})
	return b.Anchor == AnchorForeign || b.Anchor == AnchorPresent && b.AnchorTime != seen.Time, err
}

// BackNote is the word in the directory that the log of a mailbox stream has gone back.
// Entries with a higher revision were written after it.
type BackNote struct {
	Rev  uint64 // 0: there is none
	Time int64  // Unix ns, by the clock of the directory's leader
	// Kept: what was stored by then, Unix ns by the stream's clock, and is there, was there
	// all the time, however often the log went back; 0: that is not known.
	Kept int64
}

// NoteBack writes one about a message that is gone, unless there is a later one than the
// last that the caller knows. It lasts as long as entries do.
func (d *Directory) NoteBack(ctx context.Context, partition int, last BackNote, gone Sighting) error {
	if err := d.store.Usable(); err != nil {
		return err
	}
	kept := gone.Time // the log went back after that was stored
	if last.Rev != 0 {
		kept = min(kept, last.Kept)
	}
	_, err := d.send(ctx, &nats.Msg{Subject: scheme.BackKey(partition), Data: strconv.AppendInt(nil, kept, 10), Header: nats.Header{
		jet.HeaderExpected: []string{strconv.FormatUint(last.Rev, 10)},
	}})
	if errors.Is(err, ErrFenced) { // another node was faster
		return nil
	}
	return err
}

// LastBack is the last note of a partition. That there is none, or no later one, is proved
// as absences are ([Directory.Sure]).
func (d *Directory) LastBack(ctx context.Context, partition int) (BackNote, error) {
	if err := d.store.Usable(); err != nil {
		return BackNote{}, err
	}
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	p, err := d.proven(ctx, scheme.BackKey(partition), true)
	if err != nil || p.m == nil {
		return BackNote{}, err
	}
	kept, err := strconv.ParseInt(string(p.m.Data), 10, 64)
	if err != nil {
		kept = 0
	}
	return BackNote{Rev: p.seq, Time: storedAt(p.m.Header), Kept: kept}, nil
}
