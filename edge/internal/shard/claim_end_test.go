package shard

import (
	"testing"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/protocol"
)

// TestClosedDuringAClaim: a client that does not answer its close is closed while
// it claims a session. It does not get that session any more, which is parked.
func TestClosedDuringAClaim(t *testing.T) {
	l := newLab(t)
	s, c, sid := l.crowdWithout()
	c.silent = true
	l.nats.faults.save = saving(sid, fault{after: 100 * time.Millisecond})
	c.asks(object{"id": string(sid)})
	l.run()
	s.do(func() { c.close(protocol.CloseRestart, "") })
	l.advance(time.Second)
	c.closed(protocol.CloseRestart)
	if e := l.entry(sid); e.State != scheme.StateParked || len(s.claims) != 0 {
		t.Errorf("%+v, %d claims", e, len(s.claims))
	}
	c.quiet()
	c.drop()
	l.parked(c.id)
}

// TestRefusedAfterTheClose: the same, where the claim is refused.
func TestRefusedAfterTheClose(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	c.silent = true
	s.node.pool.hold()
	c.asks(object{"id": string(scheme.NewSID())})
	l.run()
	s.do(func() { c.close(protocol.CloseRestart, "") })
	s.node.pool.let()
	l.advance(time.Minute)
	c.quiet()
	if len(s.claims) != 0 {
		t.Error("the claim is left")
	}
}

// TestReconnectedDuringAClaim: what the claim waits for to be repeated is repeated
// at once, and what was sent before proves nothing.
func TestReconnectedDuringAClaim(t *testing.T) {
	l := newLab(t)
	s, c, sid := l.crowdWithout()
	s.node.cutOff()
	c.asks(object{"id": string(sid)})
	l.advance(2300 * time.Millisecond) // between two attempts
	began := l.now
	s.node.rejoin()
	if m := c.next(); m.text("bdy", "id") != string(sid) {
		t.Fatalf("got %s", m.raw)
	}
	if took := l.now - began; took > 0 {
		t.Errorf("it took %v", took)
	}
	l.store(sid, 0, 2)
	c.gets(0, 2)
}

// TestLostBeforeTheWelcome: a claim that was taken by another before its client
// was told. With numbers a newer socket has it; without, the client is to come back.
func TestLostBeforeTheWelcome(t *testing.T) {
	for name, attempts := range map[string][2]uint64{"newer": {3, 4}, "older": {3, 2}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s, c, sid := l.crowdWithout()
			s.deaf = true // its marker does not come back
			c.asks(object{"id": string(sid), "attempt": attempts[0]})
			l.advance(time.Second)
			l.steal(sid, scheme.StateLive)
			l.change(sid, func(e *scheme.Entry) { e.Attempt = attempts[1] })
			s.deaf = false
			want := protocol.CloseTakenOver
			if attempts[1] < attempts[0] {
				want = protocol.CloseOverload
			}
			c.closed(want)
			c.quiet()
		})
	}
}
