package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/protocol"
)

// TestClaimTimeout: a client that asks for a session, and whose directory does not
// answer, is told to come back.
func TestClaimTimeout(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old, again := s.dial(), s.dial()
	old.drop()
	l.parked(old.id)
	l.nats.faults.get = func(scheme.SID) fault { return fails(store.ErrUnconfirmed) }
	asked := l.now
	s.node.counts(`hydrant_resumes_total{result="error"}`, func() { again.asks(object{"id": string(old.id)}) })
	again.closed(protocol.CloseOverload)
	if took := l.now - asked; took < s.node.Config.HandshakeTimeout || took > s.node.Config.HandshakeTimeout+time.Second {
		t.Errorf("it took %v", took)
	}
	l.nats.faults.get = nil
	next := s.dial()
	next.resumes(object{"id": string(old.id)})
	l.store(next.id, 0, 1)
	next.gets(0, 1)
}

// TestClaimInTime: the time of a claim ends with it, whatever comes of it.
func TestClaimInTime(t *testing.T) {
	l := newLab(t)
	s := l.one()
	old, given, refused := s.dial(), s.dial(), s.dial()
	old.drop()
	l.parked(old.id)
	given.resumes(object{"id": string(old.id)})
	refused.resume(object{"id": string(scheme.NewSID())})
	l.advance(3 * (s.node.Config.RequestTimeout + s.node.Config.HandshakeTimeout))
	given.serves()
	refused.serves()
}
