package shard

import (
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
			s.out.Push(egress.Op{Kind: stats.OpSubscribe, Subject: scheme.LiveSubject(h.sid), Subscription: &h.subscription, Channel: s.live})
		}
	}
}
