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
	// roundEvery is how often a node looks whether room is to be made.
	roundEvery = 5 * time.Second
	// roundTime bounds a round.
	roundTime = 10 * time.Minute
)

// makeRoom makes room in the streams of mailboxes, as often as one has become too full,
// until the node stops. It does not as long as its connection to NATS is young: what was
// set aside of a log that has gone back must not be on its way any more.
func (n *Node) makeRoom() {
	var epoch uint64
	since := time.Now()
	for pause(n.ctx, roundEvery) == nil {
		if now := n.epoch(); now != epoch || !n.nats.connected.Load() {
			epoch, since = now, time.Now()
			continue
		}
		if time.Since(since) < n.cfg.RoomWait || !n.serving.Load() {
			continue
		}
		n.oneRound(since, func() bool { return n.epoch() == epoch && n.nats.connected.Load() })
	}
}

// oneRound looks whether there is enough room, and makes some.
func (n *Node) oneRound(since time.Time, lasts func() bool) {
	ctx, cancel := context.WithTimeout(n.ctx, roundTime)
	defer cancel()
	s := n.nats.link.Load().store
	crowded, err := s.Crowded(ctx)
	if err != nil {
		n.log.Debug("not known how full the mailboxes are", "error", err)
		return
	}
	if len(crowded) == 0 {
		return
	}
	nc, err := connect(ctx, func() (*nats.Conn, error) {
		return bus.Connect(n.nats.cfg, "hydrant-edge-"+n.ID()+"-room", nats.NoReconnect(), nats.ErrorHandler(n.onAsyncError))
	})
	if err != nil {
		n.log.Debug("no connection for a round", "error", err)
		return
	}
	defer nc.Close()
	began := time.Now()
	made, err := s.MakeRoom(ctx, store.Round{Conn: nc, Since: since, Lasts: lasts}, crowded)
	n.tellRound(made, err, len(crowded), time.Since(began))
}

// tellRound counts what a round has done, and says it.
func (n *Node) tellRound(made store.Made, err error, streams int, took time.Duration) {
	end := stats.RoundPurged
	switch {
	case errors.Is(err, store.ErrNoRoom):
		end = stats.RoundFull
	case errors.Is(err, store.ErrWentBack):
		end = stats.RoundWentBack
	case err != nil:
		end = stats.RoundFailed
	case made.Purged == 0:
		end = stats.RoundNothing
	}
	n.metrics.Rounds.Inc(end)
	for what, count := range map[stats.SetAside]uint64{
		stats.AsideLooked: made.Looked, stats.AsideSealed: made.Sealed, stats.AsideRefused: made.Refused, stats.AsideUnsure: made.Unsure,
		stats.AsideCopied: made.Copied, stats.AsideLost: made.Lost, stats.AsidePurged: made.Messages,
	} {
		n.metrics.SetAside.Add(what, float64(count))
	}
	switch end {
	case stats.RoundFull, stats.RoundWentBack:
		n.log.Warn("no room was made in the streams of mailboxes", "streams", streams, "error", err)
	case stats.RoundNothing:
	default:
		n.log.Info("a round of making room in the streams of mailboxes", "end", end.String(), "streams", made.Purged, "of", streams, "took", took.Round(time.Millisecond),
			"entries", made.Looked, "sealed", made.Sealed, "copied", made.Copied, "lost", made.Lost, "purged", made.Messages, "error", err)
	}
}
