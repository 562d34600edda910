package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
)

// Sockets that leave one session for another while something else happens.

// crowdWithout is a shard with a client, and a session whose client has gone away
// from there.
func (l *lab) crowdWithout() (s *testShard, c *testClient, parked scheme.SID) {
	l.t.Helper()
	s = l.one()
	gone, c := s.dial(), s.dial()
	gone.drop()
	l.parked(gone.id)
	return s, c, gone.id
}

// TestStallWhileResuming: the process stops while a socket's next session is
// being claimed. The socket is frozen for the one that it had, and goes on with
// the other.
func TestStallWhileResuming(t *testing.T) {
	l := newLab(t)
	s, c, old := l.crowdWithout()
	s.node.pool.hold()
	c.asks(object{"id": string(old)})
	l.run()
	s.doze()
	s.node.pool.let()
	s.awake(time.Minute)
	if m := c.next(); m.text("bdy", "id") != string(old) {
		t.Fatalf("not resumed: %s", m.raw)
	}
	l.store(old, 0, 3)
	c.gets(0, 3)
}

// TestStallBeforeTheClaimIsThere: the claim's write is acknowledged, and that
// waits for the loop while the process stands still. It proves nothing any more.
func TestStallBeforeTheClaimIsThere(t *testing.T) {
	for name, stolen := range map[string]bool{"kept": false, "stolen": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, c, old := l.crowdWithout()
			l.nats.faults.save = saving(old, fault{after: 100 * time.Millisecond})
			c.asks(object{"id": string(old)})
			l.run()
			s.doze()
			l.advance(100 * time.Millisecond)
			if e := l.entry(old); e.State != scheme.StateLive {
				t.Fatalf("not claimed: %+v", e)
			}
			if stolen {
				l.steal(old, scheme.StateLive)
			}
			s.awake(time.Minute)
			if stolen {
				c.closed(protocol.CloseTakenOver)
				c.quiet()
				return
			}
			if m := c.next(); m.text("bdy", "id") != string(old) {
				t.Fatalf("not resumed: %s", m.raw)
			}
			l.store(old, 0, 3)
			c.gets(0, 3)
		})
	}
}

// TestResumeWhileFrozen: a socket that is frozen since a stall leaves its session
// for another one before the directory has confirmed it.
func TestResumeWhileFrozen(t *testing.T) {
	for name, used := range map[string]bool{"a fresh session": false, "a session in use": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, c, old := l.crowdWithout()
			l.nats.faults.save = saving(c.id, fault{late: 5 * time.Second})
			s.do(func() {
				c.has.used = used
				s.Stalled(time.Minute)
			})
			c.resumes(object{"id": string(old)})
			l.store(old, 0, 3)
			c.gets(0, 3)
		})
	}
}

// TestResumeDiscards: a fresh session that nothing has passed for leaves no trace.
func TestResumeDiscards(t *testing.T) {
	l := newLab(t)
	_, c, old := l.crowdWithout()
	fresh := c.id
	c.resumes(object{"id": string(old)})
	l.run()
	if _, there := l.nats.entries[fresh]; there {
		t.Error("the fresh session has an entry")
	}
}

// TestResumeLate: a session that had been open for a while when its socket went
// back to an older one ends like any other, since word of that is on its way.
func TestResumeLate(t *testing.T) {
	l := newLab(t)
	s, c, old := l.crowdWithout()
	fresh := c.id
	s.do(s.renew)
	c.resumes(object{"id": string(old)})
	l.parked(fresh)
}

// TestResumeWithQueue: what was queued for a session when the process stopped may
// be another node's to send by then, also when its socket leaves it for another
// session.
func TestResumeWithQueue(t *testing.T) {
	l := newLab(t)
	s, c, old := l.crowdWithout()
	l.nats.faults.save = saving(c.id, fault{late: 5 * time.Second})
	s.do(func() {
		c.has.used = true
		c.queues()
		s.Stalled(time.Minute)
	})
	l.steal(c.id, scheme.StateLive)
	c.asks(object{"id": string(old)})
	c.closed(protocol.CloseOverload)
	c.quiet()
	l.parked(old)
	l.store(old, 0, 3)
	again := s.dial()
	again.resumes(object{"id": string(old)})
	again.gets(0, 3)
}

// TestNothingIsTidied: the pool is full when the entry of a fresh session is to be
// removed. It stays; the session that the client has instead is not held up.
func TestNothingIsTidied(t *testing.T) {
	l := newLab(t)
	s, c, old := l.crowdWithout()
	fresh := c.id
	l.nats.faults.save = saving(old, fault{late: 100 * time.Millisecond})
	c.asks(object{"id": string(old)})
	l.run()
	s.node.pool.full = true
	s.node.counts(`hydrant_dropped_total{reason="directory_cleanup"}`, func() {})
	if m := c.next(); m.text("bdy", "id") != string(old) {
		t.Fatalf("not resumed: %s", m.raw)
	}
	l.store(old, 0, 3)
	s.node.pool.full = false
	c.gets(0, 3)
	if e := l.entry(fresh); e.State != scheme.StateLive {
		t.Errorf("the entry of the fresh session: %+v", e)
	}
}

// TestClaimOfNobody: the socket of a claim is gone before the claim's write is
// acknowledged, and the pool is full. The session is parked again.
func TestClaimOfNobody(t *testing.T) {
	l := newLab(t)
	s, c, old := l.crowdWithout()
	l.nats.faults.save = saving(old, fault{late: 100 * time.Millisecond})
	c.asks(object{"id": string(old)})
	l.run()
	s.node.pool.full = true
	c.drop()
	l.until("a session that is parked under another holder", func() bool { return len(s.held)+len(s.claims) == 0 })
	if e := l.entry(old); e.State != scheme.StateParked {
		t.Errorf("%+v", e)
	}
	s.node.pool.full = false
	l.store(old, 0, 3)
	again := s.dial()
	again.resumes(object{"id": string(old)})
	again.gets(0, 3)
}
