package edge

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

const (
	// roundEvery is how often a node looks whether room is to be made, and roundSoon how often
	// where the streams fill fast.
	roundEvery = 5 * time.Second
	roundSoon  = 100 * time.Millisecond
	// agedEvery is how often it looks whether streams are old.
	agedEvery = time.Minute
	// ripe is how old at least is what a round purges.
	ripe = 10 * time.Second
	// roundTime bounds a round.
	roundTime = 10 * time.Minute
	// roundSaid is how often it is said that rounds end in the same way.
	roundSaid = 10 * time.Minute
)

// rounds makes room in the streams of mailboxes. Its goroutine owns all of it.
type rounds struct {
	node *Node
	wait time.Duration // how old a connection to NATS must be
	age  time.Duration // from which on streams are old; 0: they never are

	epoch uint64    // of the connection to NATS
	since time.Time // … which began then

	looked time.Time // when it was last looked whether streams are old

	full float64   // how full the fullest stream was
	at   time.Time // when it was; zero: it is not known

	last stats.RoundEnd // how the last round ended
	said time.Time      // when that was said; zero: there was none
}

// makeRoom makes room as often as a stream has become too full, until the node stops.
func (n *Node) makeRoom() {
	r := rounds{node: n, wait: n.cfg.RoomWait, age: n.cfg.LogAge, since: time.Now()}
	for next := roundEvery; pause(n.ctx, next) == nil; {
		next = r.look()
	}
}

// look looks whether there is enough room, and makes some. It returns when to look again.
func (r *rounds) look() (next time.Duration) {
	n := r.node
	if now := n.epoch(); now != r.epoch || !n.nats.connected.Load() {
		r.epoch, r.since = now, time.Now()
	}
	if !n.nats.connected.Load() || !n.serving.Load() {
		return roundEvery
	}
	ctx, cancel := context.WithTimeout(n.ctx, roundTime)
	defer cancel()
	s := n.nats.link.Load().store
	shares, err := s.Shares(ctx)
	if err != nil {
		n.log.Debug("not known how full the mailboxes are", "error", err)
		return roundEvery
	}
	crowded := shares.Crowded()
	if len(crowded) == 0 {
		crowded = r.old(ctx, s)
	}
	if len(crowded) == 0 {
		return r.ahead(shares, time.Now())
	}
	began := time.Now()
	made, err := r.round(ctx, s, crowded)
	r.tell(made, err, len(crowded), time.Since(began))
	if r.at = (time.Time{}); made.Purged > 0 {
		return roundSoon
	}
	return roundEvery
}

// old are the streams, now and then, that are not full, but so old that room is to be made.
func (r *rounds) old(ctx context.Context, s *store.Store) []int {
	n := r.node
	if r.age == 0 || time.Since(r.looked) < agedEvery {
		return nil
	}
	r.looked = time.Now()
	old, err := s.Aged(ctx, r.age)
	if err != nil {
		n.log.Debug("not known how old the mailboxes are", "error", err)
		return nil
	}
	return old
}

// ahead returns when a stream may be too full, at the earliest: in half the time that it would
// take if they went on to fill as fast as they do.
func (r *rounds) ahead(shares store.Shares, now time.Time) time.Duration {
	grown, over := shares.Most()-r.full, now.Sub(r.at).Seconds()
	known := !r.at.IsZero()
	if r.full, r.at = shares.Most(), now; !known || over <= 0 {
		return roundSoon
	}
	return min(max(shares.Before(grown/over)/2, roundSoon), roundEvery)
}

// errYoung: no round begins as long as the connection to NATS is young. What was set aside
// of a log that has gone back must not be on its way any more.
var errYoung = errors.New("edge: connected to NATS only a moment ago")

// round makes room once, over a connection of its own.
func (r *rounds) round(ctx context.Context, s *store.Store, crowded []int) (store.Made, error) {
	n, epoch := r.node, r.epoch
	if time.Since(r.since) < r.wait {
		return store.Made{}, errYoung
	}
	nc, err := connect(ctx, func() (*nats.Conn, error) {
		return bus.Connect(n.nats.cfg, "hydrant-edge-"+n.ID()+"-room", nats.NoReconnect(), nats.ErrorHandler(n.onAsyncError))
	})
	if err != nil {
		return store.Made{}, err
	}
	defer nc.Close()
	lasts := func() bool { return n.epoch() == epoch && n.nats.connected.Load() }
	return s.MakeRoom(ctx, store.Round{Conn: nc, Since: r.since, Lasts: lasts, Ripe: min(ripe, r.wait)}, crowded)
}

// endOf is how a round ended.
func endOf(made store.Made, err error) stats.RoundEnd {
	switch {
	case errors.Is(err, store.ErrNoRoom):
		return stats.RoundFull
	case errors.Is(err, store.ErrWentBack):
		return stats.RoundWentBack
	case errors.Is(err, store.ErrOlderNodes):
		return stats.RoundOlder
	case errors.Is(err, store.ErrOthersTurn):
		return stats.RoundOthers
	case errors.Is(err, errYoung):
		return stats.RoundYoung
	case err != nil:
		return stats.RoundFailed
	case made.Purged == 0:
		return stats.RoundNothing
	}
	return stats.RoundPurged
}

// tell counts what a round has done, and says it.
func (r *rounds) tell(made store.Made, err error, streams int, took time.Duration) {
	n, end := r.node, endOf(made, err)
	n.metrics.Rounds.Inc(end)
	for what, count := range map[stats.SetAside]uint64{
		stats.AsideLooked: made.Looked, stats.AsideSealed: made.Sealed, stats.AsideRefused: made.Refused, stats.AsideUnsure: made.Unsure,
		stats.AsideCopied: made.Copied, stats.AsideLost: made.Lost, stats.AsidePurged: made.Messages,
	} {
		n.metrics.SetAside.Add(what, float64(count))
	}
	again := end == r.last && time.Since(r.said) < roundSaid
	switch {
	case end == stats.RoundPurged:
		n.log.Info("room was made in the streams of mailboxes", "streams", made.Purged, "of", streams, "took", took.Round(time.Millisecond),
			"entries", made.Looked, "sealed", made.Sealed, "copied", made.Copied, "lost", made.Lost, "purged", made.Messages)
	case end == stats.RoundNothing || end == stats.RoundOthers || end == stats.RoundYoung || again:
		return // and what was said before is not forgotten
	default:
		n.log.Warn("no room was made in the streams of mailboxes", "streams", streams, "why", end.String(), "took", took.Round(time.Millisecond), "error", err)
	}
	r.last, r.said = end, time.Now()
}
