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
	if err := s.Usable(); err != nil {
		return nil, err
	}
	key, holder := scheme.TurnKey(name), []byte(scheme.NewNodeID())
	for {
		last, _, err := jet.LeaderGet(ctx, s.nc, scheme.SessionStream, jet.GetRequest{LastFor: key})
		switch {
		case err != nil:
			return nil, fmt.Errorf("bus: turn %s: %w", name, err)
		case string(last.Data) == string(holder): // which was not confirmed
			return func() { s.endTurn(ctx, key, last.Seq) }, nil
		case len(last.Data) == 0: // there is none, or it has ended
			seq, err := s.writeTurn(ctx, key, holder, last.Seq, keep)
			if err == nil {
				return func() { s.endTurn(ctx, key, seq) }, nil
			}
			if !errors.Is(err, ErrFenced) && !jet.Temporary(err) {
				return nil, fmt.Errorf("bus: turn %s: %w", name, err)
			}
		}
		if err := jet.Pause(ctx, turnPause); err != nil {
			return nil, fmt.Errorf("bus: turn %s, which another has: %w", name, jet.RequestError(err))
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
