package shard

import (
	"slices"
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/egress"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
)

// How a fresh session begins, and what a new connection to NATS means to it.

// TestReconnectedWhileEntering: a session that is not in the directory yet is
// no other node's, but its subscription is a new one as well.
func TestReconnectedWhileEntering(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.knock(dialOptions{})
	h := c.has
	for h.owner.Phase() != ownership.Entering {
		s.out.held = false
		if !l.step(l.now) {
			t.Fatal("the session does not come so far")
		}
		s.out.held = h.owner.Phase() == ownership.Entering
	}
	s.node.reconnect()
	if state := h.core.State(); state != session.Attaching {
		t.Errorf("the session is %v", state)
	}
	s.out.let()
	c.welcomed()
	l.store(c.id, 0, 3)
	c.gets(0, 3)
}

// TestFirstMarkerLost: the copy of a session's first marker does not come back,
// but that of the next one. The entry is written when the first is known.
func TestFirstMarkerLost(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.out.hold()
	c := s.knock(dialOptions{})
	first := l.nats.mark(c.has.sid, store.Marker{ID: 1, Holder: c.has.owner.Holder(), Keep: true}) // no one has subscribed
	s.out.let()
	c.welcomed()
	if e := l.entry(c.id); e.Start != first || e.Floor < first {
		t.Errorf("the entry has start %d and floor %d, the first marker is %d", e.Start, e.Floor, first)
	}
}

// TestMarkerLost: the first copy is lost on its way. The marker is sent again.
func TestMarkerLost(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.deaf = true
	c := s.knock(dialOptions{})
	l.run()
	s.deaf = false
	c.welcomed()
	if n := len(s.out.performed(stats.OpMark)); n != 2 {
		t.Errorf("%d markers", n)
	}
	l.store(c.id, 0, 3)
	c.gets(0, 3)
}

// TestOpenInVain: a session that cannot be opened in time ends its connection,
// and leaves nothing behind.
func TestOpenInVain(t *testing.T) {
	l := newLab(t)
	s := l.one()
	l.nats.faults.save = func(*egress.Op) fault { return fails(store.ErrUnavailable) }
	c := s.knock(dialOptions{})
	s.node.counts(`hydrant_dropped_total{reason="open_timeout"}`, func() { l.advance(s.node.Config.HandshakeTimeout) })
	c.closed(protocol.CloseOverload)
	l.advance(time.Minute)
	if len(s.held) != 0 {
		t.Errorf("%d sessions are held", len(s.held))
	}
}

// TestLeavesEarly: a socket that goes away before its session is there.
func TestLeavesEarly(t *testing.T) {
	l := newLab(t)
	s := l.one()
	for steps := range 12 {
		c := s.knock(dialOptions{})
		for range steps {
			l.step(l.now)
		}
		c.drop()
		l.advance(time.Second)
		if len(s.held) != 0 {
			t.Fatalf("after %d steps %d sessions are held", steps, len(s.held))
		}
		for sid := range l.nats.entries {
			if e := l.entry(sid); e.State != scheme.StateParked {
				t.Errorf("after %d steps an entry stays: %+v", steps, e)
			}
		}
	}
	l.advance(l.nodes[0].Config.Linger)
	for subject, list := range l.nats.listeners {
		if len(list) > 0 {
			t.Errorf("%s has a listener", subject)
		}
	}
}

// TestSaysGoodbyeEarly: what a client sends before its session is there is
// handled, and then its goodbye.
func TestSaysGoodbyeEarly(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.knock(dialOptions{})
	c.raw(`{"to":"echo:/","frm":"x@client:/","mid":"m","bdy":1}`)
	c.leave()
	l.run()
	if !slices.ContainsFunc(l.nats.published, isSubject("umf.v1.svc.echo")) {
		t.Error("the message did not get through")
	}
	l.until("parked", func() bool { return len(s.held) == 0 })
}

// TestReconnect: while there was no connection to NATS, copies were missed.
func TestReconnect(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	s.node.cutOff()
	l.store(c.id, 0, 3)
	l.advance(10 * time.Second)
	c.quiet()
	s.node.rejoin()
	c.gets(0, 3)
	l.store(c.id, 3, 4)
	c.gets(3, 4)
}

// TestReconnectIsSeenFirst: the first copies over a new connection come before
// nats.go reports it, and are not written for what may be another's session.
func TestReconnectIsSeenFirst(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.steal(c.id, scheme.StateLive)
	s.node.epoch++
	l.store(c.id, 0, 1)
	c.closed(protocol.CloseTakenOver)
	c.quiet()
}

// TestReconnectOnce: the same connection is reported twice, by a copy and by
// nats.go.
func TestReconnectOnce(t *testing.T) {
	l := newLab(t)
	s := l.one()
	s.dial()
	l.advance(time.Second)
	before := len(s.out.performed(stats.OpSave))
	s.node.reconnect()
	s.do(func() { s.Connected(s.node.epoch) })
	l.advance(time.Second)
	if n := len(s.out.performed(stats.OpSave)) - before; n != 1 {
		t.Errorf("%d writes", n)
	}
}

// TestResumeInANewLog: a log begins anew at lower sequences, and the client has
// been told. When it names one of these, that is where it goes on.
func TestResumeInANewLog(t *testing.T) {
	l := newLab(t)
	s := l.one()
	l.store(scheme.NewSID(), 0, 100) // another's
	c := s.dialAcked()
	l.nats.log, l.nats.seq = nil, 0
	l.store(c.id, 0, 2)
	if m := c.next(); m.text("typ") != protocol.TypeGap || m.text("bdy", "why") != "rollback" {
		t.Fatalf("told %s", m.raw)
	}
	c.gets(0, 1)
	second := c.next()
	c.drop()
	again := s.dialAcked()
	again.resumes(object{"id": string(c.id), "token": c.token, "seq": second.text("hdr", "x-seq")})
	l.store(c.id, 2, 3)
	again.gets(2, 3)
}
