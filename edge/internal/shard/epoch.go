package shard

import (
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/stats"
)

// reconnectBits is how much of an epoch counts reconnects: one every millisecond for
// a thousand years.
const reconnectBits = 45

// Epoch orders what comes from NATS: reconnects of a connection, whose
// subscriptions nats.go makes again by itself, and connections that follow one
// another, whose subscriptions the shards make again.
func Epoch(connections, reconnects uint64) uint64 { return connections<<reconnectBits | reconnects }

// another reports whether two epochs are those of two connections.
func another(a, b uint64) bool { return a>>reconnectBits != b>>reconnectBits }

// resubscribe listens again for all sessions that were listened for on a connection
// that is gone. It comes before they are attached again, whose markers have to be
// heard.
func (s *Shard) resubscribe() {
	for _, h := range s.held {
		if h.listening() {
			s.out.Push(egress.Op{Kind: stats.OpSubscribe, Subject: scheme.LiveWildcard(h.sid), Subscription: h.subscription, Channel: s.live})
		}
	}
}

// logTime is a time on the store's clock since which the connection to NATS has
// lasted, so that no log has gone back since.
type logTime struct {
	marks uint64 // the last marker that was sent before the connection began, or later
	at    int64  // when the first one after that was stored, Unix ns; 0: none is back
}

// marked notes that a marker of this shard is back, and when it was stored; 0: that
// is not known.
func (t *logTime) marked(id uint64, at int64) {
	if t.at == 0 && id > t.marks {
		t.at = at
	}
}

// clockSkew is how far the clocks of two NATS servers may be apart: the leaders of
// two streams give the times that are compared.
const clockSkew = 10 * time.Second

// older reports whether a position may be from before this connection to NATS: then
// its log may have gone back since. Only a message that is younger shows that it is not.
func (t *logTime) older(p scheme.Position) bool {
	return t.at == 0 || max(p.FloorTime, p.SeenTime) <= t.at+int64(clockSkew)
}
