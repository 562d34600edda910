package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// Times of a turn.
const (
	turnTime  = 10 * time.Second // for how long one whose holder has died stands: more than the call that it is for
	turnEnded = time.Second      // for how long the end of one is kept
	turnPause = 20 * time.Millisecond
)

// turn waits until this store has the turn of that name, which end gives back. Nodes
// that do not know of turns do not wait for them, and one that lasts longer than keep is
// over without notice: it keeps away what would be done twice at a time, and fences off
// nothing. [ErrRefused]: the directory takes no more.
func (s *Store) turn(ctx context.Context, name string, keep time.Duration) (end func(), err error) {
	t, err := s.takeTurn(ctx, name, keep)
	if err != nil {
		return nil, err
	}
	return func() { s.endTurn(ctx, t.key, t.seq) }, nil
}

// longTurn is a turn that lasts until end is called, and is over soon if this process dies.
// It waits for it no longer than patience.
func (s *Store) longTurn(ctx context.Context, name string, keep, patience time.Duration) (end func(), err error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	t, err := s.takeTurn(wait, name, keep)
	cancel()
	if err != nil {
		return nil, err
	}
	lasts, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for jet.Pause(lasts, keep/3) == nil {
			if seq, err := s.writeTurn(lasts, t.key, t.holder, t.seq, keep); err == nil {
				t.seq = seq
			}
		}
	}()
	return func() {
		stop()
		<-done
		s.endTurn(ctx, t.key, t.seq)
	}, nil
}

// heldTurn is a turn that this store has.
type heldTurn struct {
	key    string
	holder []byte
	seq    uint64 // of what was written last
}

func (s *Store) takeTurn(ctx context.Context, name string, keep time.Duration) (heldTurn, error) {
	if err := s.Usable(); err != nil {
		return heldTurn{}, err
	}
	t := heldTurn{key: scheme.TurnKey(name), holder: []byte(scheme.NewNodeID())}
	for {
		last, _, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: t.key})
		switch {
		case err != nil:
			return t, fmt.Errorf("bus: turn %s: %w", name, err)
		case string(last.Data) == string(t.holder): // which was not confirmed
			t.seq = last.Seq
			return t, nil
		case len(last.Data) == 0: // there is none, or it has ended
			if t.seq, err = s.writeTurn(ctx, t.key, t.holder, last.Seq, keep); err == nil {
				return t, nil
			}
			if !errors.Is(err, ErrFenced) && !jet.Temporary(err) {
				return t, fmt.Errorf("bus: turn %s: %w", name, err)
			}
		}
		if err := jet.Pause(ctx, turnPause); err != nil {
			return t, fmt.Errorf("bus: turn %s, which another has: %w", name, jet.RequestError(err))
		}
	}
}

// endTurn gives a turn back, unless it is over. If that fails, its time ends it.
func (s *Store) endTurn(ctx context.Context, key string, seq uint64) {
	_, _ = s.writeTurn(context.WithoutCancel(ctx), key, nil, seq, turnEnded)
}

// writeTurn writes where nothing has been written since.
func (s *Store) writeTurn(ctx context.Context, key string, holder []byte, since uint64, keep time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	return jet.PublishAcked(ctx, s.nc, &nats.Msg{Subject: key, Data: holder, Header: nats.Header{
		jet.HeaderExpected: []string{strconv.FormatUint(since, 10)},
		jet.HeaderTTL:      []string{jet.TTLSeconds(keep)},
	}})
}
